"""Compares two domains: faults in the data, then tests of covariate shift, with one correction for all of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from acclimate.data.domain import Domain
from acclimate.data.source import Source, as_domain
from acclimate.errors import BadInput
from acclimate.shift import columns, effects, rows
from acclimate.shift.columns import Tested, percent
from acclimate.shift.faults import faults
from acclimate.shift.findings import Bound, Finding, Findings, Typical, Where, by_size
from acclimate.shift.kernel import kernel_test
from acclimate.shift.outputs import BEYOND_SHARES
from acclimate.shift.proxy_distance import proxy_a_distance
from acclimate.shift.two_sample import FEWEST, ClassifierTest, classifier_test

MOST_ROWS = 100_000
"""Most rows of a domain that are compared, drawn at random."""
MOST_COLUMNS = 1000
"""Most columns or words that are tested one by one, the most frequent words first."""
TYPICAL = 12
"""Examples of each domain that are shown as most typical of the difference."""
NOTHING = "any shift: the domains have nothing in common that varies"
NOT_ZERO = "{} is not zero in {} of the source and {} of the target"
KEPT = 100
"""Most columns or words that a diagnosis keeps, those that differ most."""


class Part(NamedTuple):
    """One test with its place, before correction."""

    where: Where
    test: Tested


def diagnose(
    source: Source,
    target: Source,
    *,
    features: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    label: str | None = None,
    text: str | None = None,
    drop: Sequence[str] = (),
) -> Findings:
    """Return what differs between two domains, without any labels.

    Args:
        source: Examples as `acclimate.load` or `acclimate.adapt` take them: a path, arrays, a data frame, texts.
        target: The other examples, of the same kind.
        features: What a backbone makes of both, ``(n, d)`` and ``(m, d)``; images need them. `acclimate.diagnose`
            computes them.
        label: Column of a table with the labels, which are set aside.
        text: Column with the text.
        drop: Columns of a table to leave out.

    Returns:
        The findings, the largest difference first.

    Raises:
        BadInput: The domains cannot be read, or are of different kinds.
    """
    a, b = (
        as_domain(given, name=name, label=label, text=text, drop=drop, read_labels=False)
        for given, name in ((source, "source"), (target, "target"))
    )
    check_alike(a, b)
    return compare(a, b, features=features)


def check_alike(source: Domain, target: Domain) -> None:
    """Refuse domains that cannot be compared.

    Raises:
        BadInput: They are of different kinds, or vectors of different lengths, or one is empty.
    """
    if source.kind != target.kind:
        raise BadInput(
            f"{target.name}: the examples are of kind {target.kind!r}, the source's of kind {source.kind!r}; "
            "give the same kind"
        )
    if source.kind == "vectors" and source.vectors.shape[1] != target.vectors.shape[1]:
        widths = source.vectors.shape[1], target.vectors.shape[1]
        raise BadInput(f"{target.name}: has {widths[1]} columns, the source has {widths[0]}; give the same columns")
    for domain in (source, target):
        if not len(domain):
            raise BadInput(f"{domain.name}: has no examples; give some")


def compare(
    source: Domain,
    target: Domain,
    *,
    features: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    places: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    more: Sequence[Part] = (),
    source_error: float | None = None,
) -> Findings:
    """Return what differs between two domains that were checked; see `diagnose`.

    Args:
        source: The one.
        target: The other.
        features: What a backbone makes of both, or of some rows of both.
        places: These rows; by default all.
        more: Tests of a model's outputs and of labels, to be corrected together with the others.
        source_error: A model's error on held-out examples of the source.
    """
    found = faults(source, target)
    about = source.name, target.name, source.kind, len(source), len(target)
    if min(len(source), len(target)) < FEWEST:
        return Findings(*about, tuple(found), unknown=(f"any shift: it takes {FEWEST} examples of each domain",))
    if places is None and features is None:
        places = drawn(source), drawn(target)
    of_source, of_target = source.take(drawn(source)), target.take(drawn(target))
    if features is None and source.kind in ("images", "image and text"):
        raise BadInput("images are compared by features of a backbone; give features, or use acclimate.diagnose")
    a, b = rows.rows_of(of_source, of_target) if features is None else rows.standardised(*features)
    parts, bound = list(more), None
    typical: Typical = ((), ())
    if a.shape[1]:
        classified, of_whole = of_domains(a, b)
        parts += of_whole
        bound = bound_of(proxy_a_distance(a, b), source_error)
        typical = _typical(classified, places or (np.arange(len(a)), np.arange(len(b))))
    parts += [Part("column", one) for one in _single(of_source, of_target)]
    tests = by_size(corrected(parts))
    limits = _limits(source, target) if tests else (NOTHING,)
    return Findings(*about, tuple(found), _some(tests), bound, (), limits, typical=typical)


def of_domains(source: rows.Rows, target: rows.Rows) -> tuple[ClassifierTest, list[Part]]:
    """Return the tests of whole examples on standardised features, the classifier's by itself, too."""
    classified = classifier_test(source, target)
    return classified, [Part("domains", _of_classifier(classified)), Part("domains", _of_kernel(source, target))]


def drawn(domain: Domain, most: int = MOST_ROWS) -> NDArray[np.int64]:
    """Return the rows of a domain that are compared: all, or as many at random."""
    return np.sort(np.random.default_rng(0).permutation(len(domain))[:most])


def corrected(parts: Sequence[Part]) -> list[Finding]:
    """Return the findings with corrected p-values; each kind of test has the same share of the error probability.

    A table may have a thousand columns, a model a hundred classes: they would otherwise leave next to nothing to the
    other tests. What is left beyond the class shares is asked only if something was found.
    """
    gated = [part.test.name == BEYOND_SHARES for part in parts]
    counted = [part for part, late in zip(parts, gated, strict=True) if not late]
    often = Counter(part.where for part in counted)
    p = iter(effects.holm([part.test.p for part in counted], [1 / often[part.where] for part in counted]))
    values = [None if late else float(next(p)) for late in gated]
    least = min((value for value in values if value is not None), default=0.0)
    return [
        _finding(part, max(part.test.p, least) if value is None else value)
        for part, value in zip(parts, values, strict=True)
    ]


def _finding(part: Part, p: float) -> Finding:
    test = part.test
    said = effects.verdict(test.effect, p)
    statistic, effect = float(f"{test.statistic:.6g}"), round(test.effect, 4)
    return Finding(part.where, test.name, test.test, statistic, float(f"{p:.3g}"), effect, said, test.text, test.bars)


def _some(tests: Sequence[Finding]) -> tuple[Finding, ...]:
    """All tests but those of columns that differ least, where there are very many."""
    columns = [one for one in tests if one.where == "column"][KEPT:]
    left_out = {id(one) for one in columns}
    return tuple(one for one in tests if id(one) not in left_out)


def _of_classifier(found: ClassifierTest) -> Tested:
    text = f"a classifier tells the domain of {percent(found.accuracy)} of the examples; 50% is chance"
    effect = effects.effect_of_auc(found.auc)
    return Tested("examples", "classifier two-sample test", found.auc, found.p, effect, text, None)


def _of_kernel(source: rows.Rows, target: rows.Rows) -> Tested:
    found = kernel_test(source, target)
    text = f"similarity to other examples alone ranks {percent(max(found.auc, 0.5))} of pairs by domain; 50% is chance"
    effect = effects.effect_of_auc(found.auc)
    return Tested("similarity", "kernel MMD", found.statistic, found.p, effect, text, None)


def _single(source: Domain, target: Domain) -> Iterator[Tested]:
    """Yield the tests of each column or word; of images there are none."""
    if source.kind == "table":
        yield from columns.column_tests(source.table[:, :MOST_COLUMNS], target.table)
    elif source.kind == "text":
        yield from _of_words(source.texts, target.texts)
    elif source.kind == "vectors":
        yield from _of_vectors(source, target)


def _of_vectors(source: Domain, target: Domain) -> Iterator[Tested]:
    a, b = source.vectors, target.vectors
    if scipy.sparse.issparse(a) or scipy.sparse.issparse(b):
        shares = np.stack([np.asarray((scipy.sparse.csr_array(x) != 0).mean(0)).ravel() for x in (a, b)])
        often = np.argsort(-shares.sum(0), kind="stable")[:MOST_COLUMNS]
        return columns.word_tests(
            shares[:, often], (len(source), len(target)), [f"feature {i}" for i in often], NOT_ZERO
        )
    width = min(a.shape[1], MOST_COLUMNS)
    return columns.vector_tests(np.asarray(a), np.asarray(b), [f"feature {i}" for i in range(width)])


def _of_words(source: list[str], target: list[str]) -> Iterator[Tested]:
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(binary=True, max_features=MOST_COLUMNS)
    try:
        counts = counter.fit_transform([*source, *target])
    except ValueError:  # there is not a single word
        return iter(())
    parts = counts[: len(source)], counts[len(source) :]
    shares = np.stack([np.minimum(np.asarray(part.mean(0)).ravel(), 1) for part in parts])
    return columns.word_tests(shares, (len(source), len(target)), list(counter.get_feature_names_out()))


def bound_of(distance: float, source_error: float | None) -> Bound:
    r"""Return the terms of the bound on the target's error in words.

    .. math:: \varepsilon_T \le \varepsilon_S + \tfrac{1}{2} d_{\mathcal H \Delta \mathcal H} + \lambda

    Reference:
        Ben-David et al., A Theory of Learning from Different Domains, Machine Learning 2010.
        doi:10.1007/s10994-009-5152-4
    """
    half = distance / 2
    error = "the error on the source" if source_error is None else f"the error on the source ({source_error:.0%})"
    says = f"the proxy A-distance is {distance:.2f} of 2"
    vacuous = ", so that the bound promises nothing" if half + (source_error or 0) >= 0.5 else ""
    return Bound(
        round(distance, 4),
        source_error,
        f"Ben-David's bound: the target's error is at most {error}, plus half the distance of the domains "
        f"({half:.0%}; {says}), plus the error of the best model for both, which is unknown without labels of the "
        f"target{vacuous}",
    )


def _typical(found: ClassifierTest, places: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Typical:
    """Rows of the source and of the target that the classifier places most surely in their own domain."""
    n = len(places[0])
    source, target = np.argsort(found.scores[:n], kind="stable"), np.argsort(-found.scores[n:], kind="stable")
    return tuple(places[0][source[:TYPICAL]].tolist()), tuple(places[1][target[:TYPICAL]].tolist())


def _limits(source: Domain, target: Domain) -> tuple[str, ...]:
    """What the numbers of examples leave open, and what no comparison of examples can tell."""
    least = effects.detectable(len(source), len(target))
    few = [f"differences of less than {least:.1f} standard deviations: the domains have too few examples"]
    return tuple(few * (least > effects.SMALL))
