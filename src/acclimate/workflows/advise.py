"""Advise: facts about two domains, and what to do about them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from acclimate import advisor, backbones
from acclimate.advice import Advice, Facts, Given, LabelShift, Look
from acclimate.data import Domain, preprocess
from acclimate.data.labels import choose_task
from acclimate.data.source import Source, as_domain
from acclimate.data.tables import Columns
from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.shift.diagnosis import drawn
from acclimate.shift.findings import Findings
from acclimate.workflows.diagnose import checked, diagnose
from acclimate.workflows.early import is_run

if TYPE_CHECKING:
    from acclimate.runs.run import Run

Features = NDArray[np.floating]

MOST_RANKED = 400
"""Most examples of a domain on which backbones are compared."""
CLEARLY = 1.1
"""How many times the default's PAS that of a better backbone is at least."""
SMALL = 64
"""Pixels a side up to which images are unlike those that backbones are pretrained on."""
GREY = 16
"""Images of a domain that are looked at for colours."""
FREQUENT = 50
"""Most frequent words of a language; two texts of one language share most of them."""
SHARED = 0.3
"""Share of them that texts of one language have in common at least."""


class Read(NamedTuple):
    """The domains, as they are read."""

    source: Domain
    target: Domain
    labelled: Domain | None


def advise(
    source: "Source | Run",
    target: Source,
    *,
    labels_per_class: float | None = None,
    model: "str | Path | Run | None" = None,
    target_labels: Source | None = None,
    named: Sequence[str] = (),
    label: str | None = None,
    text: str | None = None,
    image: str | None = None,
    drop: Sequence[str] = (),
    page: str | Path | None = None,
) -> Advice:
    """Say what to do about the difference between two domains.

    Nothing is trained beyond what `acclimate.diagnose` fits.

    Args:
        source: The labelled domain that a model learns from, or a finished Run in its place.
        target: The domain where it must work; its labels, if any, are set aside unread.
        labels_per_class: Labelled target examples per class that there are, or that you would buy; by default those of
            ``target_labels``.
        model: A finished Run of the source, for the shares of the classes.
        target_labels: Labelled examples of the target.
        named: Backbones to compare with the default by PAS, before any training.
        label: Column of a table with the labels.
        text: Column with the text.
        image: Column with the paths of images.
        drop: Columns to leave out.
        page: File to write as an HTML page.

    Raises:
        BadInput: A domain or the Run cannot be read, or they do not fit together.
    """
    if labels_per_class is not None and not 0 <= labels_per_class < np.inf:
        raise BadInput(f"--labels-per-class: {labels_per_class:g} is not a number of labels; give 0 or more")
    columns = Columns(label, text, image, tuple(drop))
    if isinstance(source, RunFolder) or (isinstance(source, str | Path) and is_run(source)):
        if model is not None:
            raise BadInput("--model: the source is a Run already; omit it")
        run = _opened(source)
        known = _of_run(run, target, target_labels)
        given = Given(target=_path(target, "TARGET"), labels=_path(target_labels, "TARGET_LABELS"), model=str(run.path))
    else:
        opened = None if model is None else _opened(model)
        read = _read(source, target, target_labels, columns, opened)
        known = _known(read, opened, named)
        given = _given(source, target, target_labels, columns, opened)
    return _told(known, given, labels_per_class, page)


class Known(NamedTuple):
    """What there is to know: a diagnosis, the facts, and the scores of backbones."""

    found: Findings | None
    facts: Facts
    scores: Mapping[str, float]


def _told(known: Known, given: Given, labels: float | None, page: str | Path | None) -> Advice:
    facts = known.facts if labels is None else replace(known.facts, labels_per_class=labels)
    advice = advisor.advise(facts, given, first=_first(known.found, known.scores))
    if page is not None:
        from acclimate.report.advice import write_page

        write_page(Path(page), advice, known.found)
    return advice


def _opened(given: "str | Path | RunFolder") -> "Run":
    from acclimate.runs.run import Run

    return given if isinstance(given, Run) else Run.open(given.path if isinstance(given, RunFolder) else given)


def _path(given: object, role: str) -> str:
    return str(given) if isinstance(given, str | Path) else role


def _given(source: object, target: object, labels: object, columns: Columns, run: "Run | None") -> Given:
    """What the commands name: paths as they were given, roles for what is in memory."""
    if run is not None:
        of = run.recipe.source
        columns = Columns(of.label, of.text, of.image, tuple(of.drop))
    flags = (("--label", columns.label), ("--text", columns.text), ("--image", columns.image))
    named = [word for flag, value in flags if value is not None for word in (flag, value)]
    named += ["--drop", ",".join(columns.drop)] if columns.drop else []
    return Given(
        _path(source, "SOURCE"),
        _path(target, "TARGET"),
        _path(labels, "TARGET_LABELS"),
        tuple(named),
        model="" if run is None else str(run.path),
    )


def _of_run(run: "Run", target: Source, labels: Source | None) -> Known:
    """What is known where a Run is in the place of the source."""
    domain, classes = run.domain(target, read_labels=False), run.recipe.classes
    n = 0 if labels is None else len(run.domain(labels, read_labels=True))
    each = round(n / max(len(classes), 1), 1)
    return Known(
        None, Facts(domain.kind, _look(domain, domain), 0, len(domain), len(classes), each, source="a Run"), {}
    )


def _known(read: Read, run: "Run | None", named: Sequence[str]) -> Known:
    """A diagnosis, and what the domains themselves tell."""
    task = choose_task(read.source, "auto") if run is None else run.recipe.task
    read.source.require_source(task)
    known = read.labelled.classes if read.labelled else ()
    same = task == "regression" or set(known) <= set(read.source.classes)
    classes = len(read.source.classes if same else known) if task == "classification" else 0
    found = diagnose(read.source, read.target, model=run, target_labels=read.labelled if same and classes else None)
    facts = replace(
        _facts(read, found),
        classes=classes,
        labels_per_class=round(len(read.labelled) / max(classes, 1), 1) if read.labelled else 0,
        same_classes=same,
    )
    scores = _scores(read, facts, named)
    return Known(found, replace(facts, better=_better(facts, scores)), scores)


def _facts(read: Read, found: Findings) -> Facts:
    """What a diagnosis and the examples tell, without labels."""
    source, target = read.source, read.target
    whole = max(found.of("domains"), key=lambda one: (one.level, one.effect), default=None)
    size = preprocess.usual_size(source, target) if source.kind == "images" else 0
    return Facts(
        source.kind,
        _look(source, target),
        len(source),
        len(target),
        shift=whole.verdict if whole else "unknown",
        overlap=round(2 * float(norm.cdf(-abs(whole.effect) / 2)), 3) if whole else None,
        label_shift=label_shift_of(found),
        same_language=_same_language(source, target),
        backbone=backbones.auto(source.kind, size),
    )


def _read(source: Source, target: Source, labels: Source | None, columns: Columns, run: "Run | None") -> Read:
    """The domains, read as the Run's were if there is one."""
    with_labels = columns._replace(must_have_label=columns.label is not None)

    def domain(given: Source, name: str, *, read_labels: bool = True) -> Domain:
        if run is not None:
            found = run.domain(given, read_labels=read_labels)
            return checked(found if isinstance(given, str | Path | Domain) else replace(found, name=name))
        own = with_labels if read_labels else columns._replace(read_labels=False)
        return checked(as_domain(given, name=name, **own._asdict()))

    labelled = None if labels is None else domain(labels, "target labels")
    if labelled is not None and labelled.labels is None:
        raise BadInput(f"{labelled.name}: has no labels; give class folders, `y`, or --label COLUMN")
    return Read(domain(source, "source"), domain(target, "target", read_labels=False), labelled)


def label_shift_of(found: Findings) -> LabelShift:
    """Whether class shares moved, and whether they explain the whole difference, as far as a diagnosis tells."""
    of_label = {one.name: one for one in found.of("label")}
    rest = of_label.pop("beyond class shares", None)
    if rest is None:
        return "unknown"
    if rest.level:
        return "not alone"
    return "alone" if any(one.level for one in of_label.values()) else "none"


def _look(source: Domain, target: Domain) -> Look:
    """What the default backbone learns from."""
    if source.kind == "image and text":
        return "pretrained"
    if source.kind != "images":
        return source.kind
    small = preprocess.usual_size(source, target) <= SMALL
    return "fresh" if small or _is_grey(source) or _is_grey(target) else "pretrained"


def _is_grey(domain: Domain) -> bool:
    """Whether images have no colours, by a few of them."""
    some = (domain.images.read(int(i)) for i in drawn(domain, GREY))
    return all(image.shape[-1] == 1 or not np.ptp(image.astype(int), axis=-1).any() for image in some)


def _same_language(source: Domain, target: Domain) -> bool:
    """Whether texts share their most frequent words."""
    if source.kind != "text":
        return True
    words = [_frequent(domain) for domain in (source, target)]
    return len(words[0] & words[1]) >= SHARED * min(map(len, words))


def _frequent(domain: Domain) -> set[str]:
    counts = Counter(word for i in drawn(domain, MOST_RANKED) for word in re.findall(r"\w+", domain.texts[i].lower()))
    return {word for word, _ in counts.most_common(FREQUENT)}


def _first(found: Findings | None, scores: Mapping[str, float]) -> tuple[str, ...]:
    """What to do and to know before anything else: likely faults, and how the backbones compare."""
    faults = tuple(f"mend a likely fault: {one.text}" for one in found.faults) if found else ()
    ranked = ", ".join(f"{name} {score:.3f}" for name, score in sorted(scores.items(), key=lambda one: -one[1]))
    return (*faults, *([f"the backbones by PAS, from 0 to 1: {ranked}"] if ranked else []))


def _better(facts: Facts, scores: Mapping[str, float]) -> str:
    """The backbone whose score is clearly above the default's; empty if there is none."""
    best = max(scores, key=lambda name: scores[name], default="")
    clearly = best != facts.backbone and scores.get(best, 0) >= CLEARLY * scores.get(facts.backbone, 0)
    return best if clearly else ""


def _scores(read: Read, facts: Facts, named: Sequence[str]) -> dict[str, float]:
    """The PAS of the backbones that are named, and of the default if it is pretrained; nothing if none is named."""
    if not named:
        return {}
    if facts.kind not in ("images", "text"):
        raise BadInput("--backbones: only images and texts have pretrained backbones to compare; omit it")
    for name in named:
        backbones.check_name(name)
    default = [facts.backbone] if facts.backbone not in named and backbones.pretrained(facts.backbone, {}) else []
    return rank(read.source, read.target, [*default, *named])


def rank(source: Domain, target: Domain, names: Sequence[str]) -> dict[str, float]:
    """The PAS of backbones: how clearly target examples belong to one class of the source in their features.

    Args:
        source: The labelled domain.
        target: The other.
        names: The backbones, as ``--backbone`` takes them.
    """
    from acclimate.validators.pas import centroid_margin

    source, target = (domain.take(drawn(domain, MOST_RANKED)) for domain in (source, target))
    codes, found = source.codes(source.classes), {}
    for name in names:
        of_source, of_target = (one.astype(np.float64) for one in _features(name, source, target))
        found[name] = round(centroid_margin(of_source, codes, of_target), 4)
    return found


def _features(name: str, source: Domain, target: Domain) -> tuple[Features, Features]:
    """What a frozen backbone makes of both."""
    from acclimate.nn.cut import cut_at_features
    from acclimate.runs.models import shape_of
    from acclimate.training.features import features

    wants = backbones.input_spec(name, source.kind, {})
    fitted = preprocess.fit(
        source, target, size=wants.size, interpolation=wants.interpolation, encoder=wants.encoder, length=wants.length
    )
    below = cut_at_features(backbones.build(name, shape_of(fitted), 2, {}).classifier).below
    return features(below, fitted.inputs(source), source.name), features(below, fitted.inputs(target), target.name)
