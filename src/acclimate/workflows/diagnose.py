"""Diagnose: what differs between two domains, and what a Run's model makes of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.data import Domain, listed
from acclimate.data.broken import readable
from acclimate.data.source import Source, as_domain
from acclimate.data.tables import Columns
from acclimate.errors import BadInput
from acclimate.shift import concept, harm, outputs, rows
from acclimate.shift.columns import Tested, percent
from acclimate.shift.diagnosis import Part, check_alike, compare
from acclimate.shift.faults import class_faults
from acclimate.shift.findings import Finding, Findings, Where
from acclimate.shift.label_shift import label_shift
from acclimate.shift.two_sample import FEWEST
from acclimate.workflows.diagnosed_features import Seen, features_of, seen_by

if TYPE_CHECKING:  # torch is needed for images and Runs alone
    from acclimate.runs.outputs import ClassOutputs
    from acclimate.runs.run import Run
    from acclimate.shift.label_shift import ClassShare

SHOWN = 10
"""Most classes whose shares are told one by one."""
MAX_BAD = 0.01
"""Share of broken images that are left out."""
NO_LABELS = "label shift: it takes a Run (--model) or labels of the target (--target-labels)"
NO_MODEL = "harm to a model: it takes a Run (--model) or labels of the source"
FEW_FOR_HARM = "harm to a model: there are too few held-out examples, or too few or too many classes"
NO_HELD_OUT = (
    "a shift of the outputs: the Run has no held-out examples of its source",
    "harm to the model: the Run has no held-out examples of its source",
)
OF_NUMBERS = ("label shift: the Run predicts numbers", "harm to the model: the Run predicts numbers")
FEW_FOR_CONCEPT = "concept drift: too few labelled examples of the target are like ones of the source"
NO_CONCEPT = "concept drift: whether like examples have other classes now takes labels of the target"


TOO_FEW = "Whether more than the class shares changed cannot be tested: too few examples of the source have labels"


class Domains(NamedTuple):
    """What is compared: the source, the target, and labelled examples of the target if there are any."""

    source: Domain
    target: Domain
    labelled: Domain | None


class Of(NamedTuple):
    """What a Run, or labels, add: tests, and sentences that depend on none."""

    tests: tuple[Part, ...] = ()
    label_shift: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    accuracy: str = ""
    source_error: float | None = None


def diagnose(
    source: Source,
    target: Source,
    *,
    model: "str | Path | Run | None" = None,
    target_labels: Source | None = None,
    label: str | None = None,
    text: str | None = None,
    image: str | None = None,
    drop: Sequence[str] = (),
    page: str | Path | None = None,
) -> Findings:
    """Say what differs between two domains, and how much.

    Labels in the target are set aside unread. Images are compared by features of EfficientNet-Lite0 or of the Run,
    texts by their words.

    Args:
        source: The domain a model learns from; see `acclimate.data.source.Source`.
        target: The domain where it must work.
        model: A finished Run: its features are compared, its outputs tested, the class shares estimated, and harm is
            tested to its model rather than to a linear one of the source's labels.
        target_labels: Labelled examples of the target, for the shares of its classes and concept drift.
        label: Column of a table with the labels; by default the Run's.
        text: Column with the text.
        image: Column with the paths of images.
        drop: Columns to leave out.
        page: File to write as an HTML page.

    Raises:
        BadInput: A domain or the Run cannot be read, or they do not fit together.
    """
    run = _opened(model)
    columns = Columns(label, text, image, tuple(drop))
    domains = _of_run(run, source, target, target_labels) if run else _read(source, target, target_labels, columns)
    check_alike(domains.source, domains.target)
    found = _compared(domains, run)
    if page is not None:
        from acclimate.report.diagnosis import write_page

        write_page(Path(page), found, domains.source, domains.target)
    return found


def _opened(model: "str | Path | Run | None") -> "Run | None":
    if model is None:
        return None
    from acclimate.runs.run import Run

    return model if isinstance(model, Run) else Run.open(model)


def _read(source: Source, target: Source, labelled: Source | None, columns: Columns) -> Domains:
    with_labels = columns._replace(must_have_label=columns.label is not None, read_labels=True)
    return Domains(
        _domain(source, "source", with_labels),
        _domain(target, "target", columns._replace(read_labels=False)),
        None if labelled is None else _domain(labelled, "target labels", with_labels),
    )


def _domain(given: Source, name: str, columns: Columns) -> Domain:
    return checked(as_domain(given, name=name, **columns._asdict()))


def _of_run(run: "Run", source: Source, target: Source, labelled: Source | None) -> Domains:
    """The domains, read as the Run's were."""

    def domain(given: Source, name: str, *, read_labels: bool = False) -> Domain:
        found = run.domain(given, read_labels=read_labels)
        return checked(found if isinstance(given, str | Path | Domain) else replace(found, name=name))

    return Domains(
        domain(source, "source"),
        domain(target, "target"),
        None if labelled is None else domain(labelled, "target labels", read_labels=True),
    )


def checked(domain: Domain) -> Domain:
    """The domain without its broken images, if they are few.

    Raises:
        BadInput: Too many are broken, or a file that a table lists is missing.
    """
    listed.require_files(domain)
    return readable(domain, MAX_BAD)


def _compared(domains: Domains, run: "Run | None") -> Findings:
    source, target, labelled = domains
    if labelled is not None and labelled.labels is None:
        raise BadInput(f"{labelled.name}: has no labels; give class folders, `y`, or --label COLUMN")
    if min(len(source), len(target)) < FEWEST:
        return compare(source, target)
    seen = seen_by(run, source, target)
    of = _from_run(run, seen, labelled) if run else _from_labels(source, labelled, seen)
    found = compare(
        source, target, features=seen.features, places=seen.places, more=of.tests, source_error=of.source_error
    )
    spelt = tuple(class_faults(run.recipe.classes if run else source.classes, labelled.classes if labelled else ()))
    unknown = (*of.unknown, *found.unknown)
    said = (*of.label_shift, *verdict_on_shares(found))
    return replace(found, faults=(*spelt, *found.faults), label_shift=said, unknown=unknown, accuracy=of.accuracy)


def _from_labels(source: Domain, target_labels: Domain | None, seen: Seen) -> Of:
    """What labelled examples of the source, and of the target if there are any, say."""
    if source.labels is None:
        return Of(unknown=(NO_LABELS, NO_MODEL, NO_CONCEPT))
    codes = source.take(seen.places[0]).codes(source.classes)
    a, b = rows.standardised(*seen.features)
    tested = _part("harm", harm.of_labels(a, codes, b))
    unknown = () if tested else (FEW_FOR_HARM,)
    if target_labels is None:
        return Of(tested, unknown=(*unknown, NO_LABELS, NO_CONCEPT))
    known = _known(target_labels, source.classes)
    shares = outputs.shares_of(known.codes(source.classes), len(source.classes))
    assert target_labels.labels is not None
    tested += (Part("label", outputs.true_shares(source.labels.tolist(), target_labels.labels.tolist())),)
    tested += _part("label", outputs.rest_test(a, codes, shares, b))
    both = rows.standardised(*features_of(source.take(seen.places[0]), known))
    drift = _part("concept", concept.concept_drift(both[0], codes, both[1], known.codes(source.classes)))
    said = _counted(known.codes(source.classes), source.classes)
    return Of((*tested, *drift), said, (*unknown, *(() if drift else (FEW_FOR_CONCEPT,))))


def _part(where: Where, tested: Tested | None) -> tuple[Part, ...]:
    return () if tested is None else (Part(where, tested),)


def _known(labelled: Domain, classes: Sequence[str]) -> Domain:
    """The examples whose class the source has."""
    assert labelled.labels is not None
    kept = np.flatnonzero([name in classes for name in labelled.labels.tolist()])
    if not len(kept):
        raise BadInput(f"{labelled.name}: has no class of the source; write the classes the same way in both")
    return labelled.take(kept)


def _from_run(run: "Run", seen: Seen, target_labels: Domain | None) -> Of:
    """What a Run's held-out source examples and its predictions say."""
    from acclimate.runs.outputs import ClassOutputs, read_file

    accuracy = _accuracy(run)
    if not run.outputs(run.recipe.seeds[0], run.kept, "source_val").is_file():
        return Of(unknown=(*NO_HELD_OUT, NO_CONCEPT), accuracy=accuracy)
    held = read_file(run, run.recipe.seeds[0], run.kept, "source_val", features=True)
    if not isinstance(held, ClassOutputs):
        return Of(unknown=(*OF_NUMBERS, NO_CONCEPT), accuracy=accuracy)
    scored = run.scores["source_val"]
    error = 1 - scored["accuracy"] if scored and "accuracy" in scored else None
    harmed = _harm_to(held, seen)
    unknown = () if harmed else (FEW_FOR_HARM,)
    if target_labels is None:
        tests, said = _of_outputs(run, held, seen, None)
        return Of((*harmed, *tests), said, (*unknown, NO_CONCEPT), accuracy, error)
    known = _known(target_labels, run.recipe.classes)
    tests, said = _of_outputs(run, held, seen, known)
    drift, measured = _of_labelled(run, held, known)
    unknown = (*unknown, *(() if drift else (FEW_FOR_CONCEPT,)))
    told = ". ".join(filter(None, (measured, accuracy)))
    return Of((*harmed, *drift, *tests), said, unknown, told, error)


def _harm_to(held: "ClassOutputs", seen: Seen) -> tuple[Part, ...]:
    """The test whether the shift harms the Run's model."""
    (source, target), (p, q) = seen.features, seen.probabilities
    together, target = rows.standardised(np.concatenate([source, held.features]), target)
    judged = (
        harm.Judged(together[: len(source)], p),
        harm.Judged(together[len(source) :], held.probabilities[held.rows]),
        harm.Judged(target, q),
    )
    return _part("harm", harm.of_model(*judged, model="the Run's model"))


def _of_labelled(run: "Run", held: "ClassOutputs", known: Domain) -> tuple[tuple[Part, ...], str]:
    """The test of concept drift, and how often the model is right on labelled examples of the target."""
    from acclimate.training.inference import predict

    found, codes = predict(run.model(run.kept), run.preprocess.inputs(known), "target"), known.codes(run.recipe.classes)
    both = rows.standardised(held.features, found.features)
    drift = _part("concept", concept.concept_drift(both[0], held.true[held.rows], both[1], codes))
    right, held_right = found.probabilities.argmax(1) == codes, held.predicted == held.true
    low, high = _interval(int(right.sum()), len(right))
    return drift, (
        f"The Run's model is right on {percent(right.mean())} ({percent(low)} to {percent(high)}) of the target's "
        f"labelled examples, and on {percent(held_right.mean())} of held-out source examples"
    )


def _of_outputs(
    run: "Run", held: "ClassOutputs", seen: Seen, labelled: Domain | None
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    classes, p = run.recipe.classes, seen.probabilities[1]
    found = [Part("outputs", one) for one in outputs.output_tests(held.probabilities, p, classes)]
    found.append(Part("label", outputs.predicted_shares(held.probabilities, p, classes)))
    if labelled is None:
        shift = label_shift("em", held.probabilities, held.true, p)
        shares, said = shift.shares, tuple(_told(**_by_name(one)) for one in shift.by_class(classes)[:SHOWN])
    else:
        codes, known = labelled.codes(classes), np.array(classes)[held.true].tolist()
        found.append(Part("label", outputs.true_shares(known, np.array(classes)[codes].tolist())))
        shares, said = outputs.shares_of(codes, len(classes)), _counted(codes, classes)
    a, b = rows.standardised(held.features, seen.features[1])
    of_rows = held.probabilities[held.rows], p
    rest = outputs.rest_test(a, held.true[held.rows], shares, b, probabilities=of_rows)
    return (*found, *_part("label", rest)), said


def _by_name(one: "ClassShare") -> dict[str, Any]:
    return {"name": one["class"], **{key: one[key] for key in ("source", "share", "low", "high")}}


def _counted(codes: NDArray[np.int64], classes: Sequence[str]) -> tuple[str, ...]:
    """The share of each class among labelled examples, with its 95 % interval."""
    told = []
    for code, name in list(enumerate(classes))[:SHOWN]:
        count = int((codes == code).sum())
        low, high = _interval(count, len(codes))
        told.append(
            f"{name} has {percent(count / len(codes))} ({percent(low)} to {percent(high)}) of the target's labels"
        )
    return tuple(told)


def _interval(count: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    from scipy.stats import binomtest

    low, high = binomtest(count, n).proportion_ci(method="wilson")
    return float(low), float(high)


def _told(name: str, source: float, share: float, low: float, high: float) -> str:
    """One class's share, if nothing but the shares has changed."""
    return (
        f"If only the class shares changed, the share of {name} went from {percent(source)} to {percent(share)} "
        f"({percent(low)} to {percent(high)})"
    )


def verdict_on_shares(found: Findings) -> Iterator[str]:
    """Whether the shares of the classes explain the difference, as far as the tests tell."""
    of_label: dict[str, Finding] = {one.name: one for one in found.of("label")}
    rest = of_label.get(outputs.BEYOND_SHARES)
    moved = any(one.level for name, one in of_label.items() if name != outputs.BEYOND_SHARES)
    if rest is None:
        if of_label:
            yield TOO_FEW
        return
    if not rest.level and moved:
        yield "Label shift: the class shares explain the difference as far as these examples tell"
    elif rest.level:
        yield (
            "More than the class shares changed, so a correction for label shift alone may do harm; estimates of the "
            "shares that rest on predictions are unreliable"
        )


def _accuracy(run: "Run") -> str:
    """What the Run says of its accuracy on the target that it was adapted to."""
    found = run.scores.get("target_estimate")
    if found is None:
        return ""
    if "unknown" in found:
        return f"The Run cannot estimate its accuracy on its target: {found['unknown']}"
    return (
        f"The Run estimates its accuracy on its target at {percent(found['low'])} to {percent(found['high'])} "
        f"(90% interval, {found['how']})"
    )
