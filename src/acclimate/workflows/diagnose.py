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
from acclimate.shift import outputs, rows
from acclimate.shift.columns import percent
from acclimate.shift.diagnosis import Part, check_alike, compare, drawn
from acclimate.shift.faults import class_faults
from acclimate.shift.findings import Finding, Findings
from acclimate.shift.two_sample import FEWEST

if TYPE_CHECKING:  # torch is needed for images and Runs alone
    from acclimate.runs.outputs import ClassOutputs
    from acclimate.runs.run import Run
    from acclimate.shift.label_shift import ClassShare

Features = NDArray[np.floating]

MOST_SEEN = 1000
"""Most images or texts of a domain that go through a network, drawn at random."""
MOST_ROWS = 20_000
"""Most rows of tables and vectors that do."""
SMALLEST = 96
"""Pixels a side to which small images are enlarged for a pretrained backbone."""
SHOWN = 10
"""Most classes whose shares are told one by one."""
MAX_BAD = 0.01
"""Share of broken images that are left out."""
NO_LABELS = "label shift: it takes a Run (--model) or labels of the target (--target-labels)"
NO_CONCEPT = "concept drift: whether like examples have other classes now takes labels of the target"


TOO_FEW = "Whether more than the class shares changed cannot be tested: too few examples of the source have labels"


class Domains(NamedTuple):
    """What is compared: the source, the target, and labelled examples of the target if there are any."""

    source: Domain
    target: Domain
    labelled: Domain | None


class Seen(NamedTuple):
    """Features ``(n, d)`` of some rows of both domains."""

    features: tuple[Features, Features]
    places: tuple[NDArray[np.int64], NDArray[np.int64]]


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
        model: A finished Run: its features are compared, its outputs tested, and the class shares estimated.
        target_labels: Labelled examples of the target, for the shares of its classes.
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
    seen = _seen(run, source, target)
    of = _from_run(run, target, labelled) if run else _from_labels(source, labelled, seen)
    found = compare(
        source, target, features=seen.features, places=seen.places, more=of.tests, source_error=of.source_error
    )
    spelt = tuple(class_faults(run.recipe.classes if run else source.classes, labelled.classes if labelled else ()))
    unknown = (*of.unknown, NO_CONCEPT, *found.unknown)
    said = (*of.label_shift, *_verdict_on_shares(found))
    return replace(found, faults=(*spelt, *found.faults), label_shift=said, unknown=unknown, accuracy=of.accuracy)


def _seen(run: "Run | None", source: Domain, target: Domain) -> Seen:
    """Features of some rows of both: of the Run's model, of a pretrained backbone for images, else the columns."""
    if run is not None:
        return _by_run(run, source, target)
    if source.kind in ("images", "image and text"):
        places = drawn(source, MOST_SEEN), drawn(target, MOST_SEEN)
        return Seen(_by_backbone(*(d.take(p) for d, p in zip((source, target), places, strict=True))), places)
    places = drawn(source), drawn(target)
    return Seen(rows.rows_of(source.take(places[0]), target.take(places[1])), places)


def _by_run(run: "Run", source: Domain, target: Domain) -> Seen:
    from acclimate.training.inference import predict

    most = MOST_ROWS if source.kind in ("table", "vectors") else MOST_SEEN
    places = drawn(source, most), drawn(target, most)
    model = run.model(run.kept)
    found = [
        predict(model, run.preprocess.inputs(domain.take(place)), name).features
        for domain, place, name in ((source, places[0], "source"), (target, places[1], "target"))
    ]
    return Seen((found[0], found[1]), places)


def _by_backbone(source: Domain, target: Domain) -> tuple[Features, Features]:
    """Features of a frozen pretrained backbone; those of the same images are kept in the cache."""
    from acclimate import backbones
    from acclimate.data import preprocess
    from acclimate.data.domain import parted
    from acclimate.nn.cut import cut_at_features
    from acclimate.training.features import features

    if source.kind == "image and text":
        source, target = parted(source)[0], parted(target)[0]
    size = max(SMALLEST, preprocess.usual_size(source, target))
    fitted = preprocess.fit(source, target, size=size)
    assert isinstance(fitted, preprocess.ImagePreprocess)
    shape = backbones.Shape(images=True, size=size, mean=fitted.mean, std=fitted.std)
    below = cut_at_features(backbones.build("efficientnet_lite0", shape, 2, {}).classifier).below
    return features(below, fitted.inputs(source), source.name), features(below, fitted.inputs(target), target.name)


def _from_labels(source: Domain, labelled: Domain | None, seen: Seen) -> Of:
    """What labelled examples of the target say of the shares of its classes."""
    if labelled is None or source.labels is None:
        return Of(unknown=(NO_LABELS,))
    assert labelled.labels is not None
    tested = [outputs.true_shares(source.labels.tolist(), labelled.labels.tolist())]
    classes = source.classes
    of_target = np.array([classes.index(name) for name in labelled.labels.tolist() if name in classes], dtype=np.int64)
    if not len(of_target):
        raise BadInput(f"{labelled.name}: has no class of the source; write the classes the same way in both")
    shares = outputs.shares_of(of_target, len(classes))
    codes = source.take(seen.places[0]).codes(classes)
    if rest := outputs.rest_test(*_apart(seen.features, codes, shares)):
        tested.append(rest)
    return Of(tuple(Part("label", one) for one in tested), _counted(of_target, classes))


def _apart(
    features: tuple[Features, Features], codes: NDArray[np.int64], shares: NDArray[np.float64]
) -> tuple[rows.Rows, NDArray[np.int64], NDArray[np.float64], rows.Rows]:
    a, b = rows.standardised(*features)
    return a, codes, shares, b


def _from_run(run: "Run", target: Domain, labelled: Domain | None) -> Of:
    """What a Run's held-out source examples and its predictions say."""
    from acclimate.runs.outputs import ClassOutputs, read_file

    accuracy = _accuracy(run)
    if not run.outputs(run.recipe.seeds[0], run.kept, "source_val").is_file():
        return Of(
            unknown=("a shift of the outputs: the Run has no held-out examples of its source",), accuracy=accuracy
        )
    held = read_file(run, run.recipe.seeds[0], run.kept, "source_val", features=True)
    if not isinstance(held, ClassOutputs):
        return Of(unknown=("label shift: the Run predicts numbers",), accuracy=accuracy)
    some = target.take(drawn(target, MOST_ROWS if target.kind in ("table", "vectors") else MOST_SEEN))
    scored = run.scores["source_val"]
    error = 1 - scored["accuracy"] if scored and "accuracy" in scored else None
    tests, said = _of_outputs(run, held, some, labelled)
    return Of(tests, said, (), accuracy, error)


def _of_outputs(
    run: "Run", held: "ClassOutputs", target: Domain, labelled: Domain | None
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    from acclimate.training.inference import predict

    classes, predicted = run.recipe.classes, predict(run.model(run.kept), run.preprocess.inputs(target), "target")
    p = predicted.probabilities
    found = [Part("outputs", one) for one in outputs.output_tests(held.probabilities, p, classes)]
    found.append(Part("label", outputs.predicted_shares(held.probabilities, p, classes)))
    if labelled is None:
        shift = run.label_shift(run.predict(target, model=run.kept), "em", model=run.kept)
        shares, said = shift.shares, tuple(_told(**_by_name(one)) for one in shift.by_class(classes)[:SHOWN])
    else:
        codes, known = labelled.codes(classes), np.array(classes)[held.true].tolist()
        found.append(Part("label", outputs.true_shares(known, np.array(classes)[codes].tolist())))
        shares, said = outputs.shares_of(codes, len(classes)), _counted(codes, classes)
    rest = outputs.rest_test(*_apart((held.features, predicted.features), held.true[held.rows], shares))
    return (*found, *([Part("label", rest)] if rest else [])), said


def _by_name(one: "ClassShare") -> dict[str, Any]:
    return {"name": one["class"], **{key: one[key] for key in ("source", "share", "low", "high")}}


def _counted(codes: NDArray[np.int64], classes: Sequence[str]) -> tuple[str, ...]:
    """The share of each class among labelled examples, with its 95 % interval."""
    from scipy.stats import binomtest

    told = []
    for code, name in list(enumerate(classes))[:SHOWN]:
        share = binomtest(int((codes == code).sum()), len(codes))
        low, high = share.proportion_ci(method="wilson")
        told.append(f"{name} has {percent(share.statistic)} ({percent(low)} to {percent(high)}) of the target's labels")
    return tuple(told)


def _told(name: str, source: float, share: float, low: float, high: float) -> str:
    """One class's share, if nothing but the shares has changed."""
    return (
        f"If only the class shares changed, the share of {name} went from {percent(source)} to {percent(share)} "
        f"({percent(low)} to {percent(high)})"
    )


def _verdict_on_shares(found: Findings) -> Iterator[str]:
    """Whether the shares of the classes explain the difference, as far as the tests tell."""
    of_label: dict[str, Finding] = {one.name: one for one in found.of("label")}
    rest = of_label.get("beyond class shares")
    moved = any(one.level for name, one in of_label.items() if name != "beyond class shares")
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
