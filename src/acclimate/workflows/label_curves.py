"""How many labels of the target should be bought: accuracy against labels per class, for each strategy."""

import logging
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Unpack, cast

import numpy as np

from acclimate import finetune, methods, plugins, typed_json
from acclimate.contents import ClassScores, CurvePoint, CurveScores, CurveSettings, Point, StrategyRecipe
from acclimate.data import Domain
from acclimate.data.budgets import Budget, budgets, draw, with_none
from acclimate.data.digests import digest
from acclimate.data.domain import Part
from acclimate.data.labels import choose_task
from acclimate.data.loaders import split
from acclimate.data.several import Sources, sources_of
from acclimate.data.source import Source
from acclimate.errors import BadInput, did_you_mean, explain_access
from acclimate.files import expand
from acclimate.lock import LOCK, Locked, locked
from acclimate.metrics import all_scores, mean_over_seeds
from acclimate.recipe import DomainSpec
from acclimate.report.label_curves import finding, render_labels
from acclimate.run_folder import PARTIAL, RunFolder
from acclimate.runs.models import load_model
from acclimate.training.inference import Predictions
from acclimate.training.launch import in_first_process
from acclimate.workflows.early import check_early, each_source, is_run
from acclimate.workflows.options import LabelKeywords, LabelRequest, Request, SharedOptions, described_by, parse_request
from acclimate.workflows.plan import AUTO_METHOD, Plan, make_plan
from acclimate.workflows.plan.checks import check_unseen, is_same
from acclimate.workflows.plan.domains import read_domain, read_sources
from acclimate.workflows.resume import CannotResume, difference
from acclimate.workflows.scoring import predict_part, predict_views
from acclimate.workflows.select_strategy import Begun, remove_trials, select_strategy
from acclimate.workflows.train_phase import Machine, Phase, train_phases

log = logging.getLogger("acclimate")


SHARED = {"source", "sources", "target", "classes", "scale", "seeds", "digests", "score"}
"""Fields of a recipe that all strategies share, beside what they are scored on."""


@dataclass(frozen=True)
class LabelCurves:
    """What `labels` found.

    Attributes:
        path: The folder with ``labels.json`` and ``labels.html``.
        found: What stands in ``labels.json``.
    """

    path: Path
    found: CurveScores

    @property
    def finding(self) -> str:
        """It in a sentence."""
        return finding(self.found)


class Strategy(NamedTuple):
    """A way to use the labels: a method, and a fine-tuning strategy."""

    name: str
    method: str
    finetune: str

    def takes(self, key: str) -> bool:
        """Whether a setting has an effect on it."""
        section, _, name = key.partition(".")
        needs = methods.get(self.method).needs
        if section == "pretrain":
            return True
        if key == "train.batch_norm":
            return len(needs) > 1
        if key == "train.target_share":
            return "source" in needs
        if key == "augment.target":
            return bool(needs & {"target", "target_labels"})
        if section == "finetune":
            return name in finetune.options("full" if self.finetune == "auto" else self.finetune)
        return section in {"train", "backbone", "augment"} or section in methods.options(self.method)


Train = Callable[[Sequence[Phase]], None]
"""Trains models, together where they can be."""


class LabelledTarget(NamedTuple):
    """The labelled target in two: what labels are drawn from, and what is scored on and nothing else."""

    pool: Domain
    scored: Domain


@described_by(LabelRequest)
def labels(
    source: Sources,
    target: Source,
    output: str | Path | None = None,
    *,
    resume: bool = False,
    show: bool = False,
    **options: Unpack[LabelKeywords],
) -> LabelCurves:
    """Train every strategy with few and with many labels of the target, and draw its accuracy against their number.

    A fraction of the target, ``held_out`` of each class, is scored on and never learnt from; the rest is the target
    that methods adapt to. From it each seed draws labels anew, class by class, and a smaller draw is part of a larger
    one. No labels at all are tried too, where a strategy needs none. The model is scored as it was trained, also where
    `adapt` would have kept the source-only model.

    Args:
        source: Labelled domain (see `acclimate.data.source.Source`); several are pooled.
        target: Labelled domain too, since labels are drawn from it.
        output: Folder for ``labels.json`` and ``labels.html``; a temporary one by default.
        resume: Continue the folder ``output`` if there is one; a training that was cut off continues where it was.
        show: Show progress on stderr: a bar in a terminal, elsewhere a line every 30 seconds.
        **options: See below.

    Raises:
        BadInput: Something only the caller can mend, e.g. more labels are requested than there are.
    """
    return in_first_process(partial(_labels, source, target, output, options, resume=resume, show=show))


def _labels(
    source: Sources, target: Source, output: str | Path | None, options: LabelKeywords, *, resume: bool, show: bool
) -> LabelCurves:
    """`labels`, in the first of several processes."""
    request = parse_request(LabelRequest, options)
    output = expand(output) if output else output
    check_early(source, target, output, request, resume=resume)
    _check_apart(source, target, request.score)
    spec = request.spec()
    chosen, wanted = _strategies(request), budgets(request.fractions, request.per_class)
    read = _source(source, spec)
    if choose_task(read, "auto") == "regression":
        raise BadInput(f"{read.name}: labels are drawn by class, and these are numbers; choose another column")
    parts = _split_target(read, target, request, spec)
    _check_settings(request.settings or {}, chosen)
    machine = Machine(request.devices, show)
    folder = RunFolder(Path(output) if output else Path(tempfile.mkdtemp(prefix="acclimate-")) / "labels")
    _check_folder(folder)
    with _opened(folder, resume=resume):
        plans = _plans(read, parts, request, chosen, folder=folder, machine=machine)
        curves = _Curves(plans, parts, with_none(wanted, parts.pool.codes(read.classes), read.classes))
        return curves.trained(folder, partial(train_phases, machine=machine))


def _check_folder(folder: RunFolder) -> None:
    """Refuse a folder that neither holds label curves nor is empty.

    Raises:
        BadInput: It holds something else, or a link.
    """
    if not folder.path.exists():
        return
    folder.check_links()
    names = {p.name for p in folder.path.iterdir() if not PARTIAL.fullmatch(p.name)}
    strange = sorted(names - {"trials", LOCK})
    if strange and not folder.file("labels.json").is_file():
        why = f"not a folder of label curves (contains {strange[0]!r})"
        raise BadInput(f"{folder.path}: cannot resume: {why}; choose another -o")


@contextmanager
def _opened(folder: RunFolder, *, resume: bool) -> Iterator[None]:
    """Make the folder this process's alone; on bad input remove what was written, unless something was trained.

    Raises:
        Locked: Another process works in it.
    """
    try:
        folder.make()
        with explain_access(), locked(folder.path):
            if folder.file("labels.json").exists() and not resume:
                raise CannotResume(f"{folder.path}: exists already; continue it with --resume, or choose another -o")
            yield
    except (CannotResume, Locked):
        raise
    except BadInput as error:
        if not _has_trained(folder):
            folder.discard()
            raise
        raise BadInput(f"{error.message}; {folder.path} keeps what is trained: continue with --resume") from error


def _has_trained(folder: RunFolder) -> bool:
    points = _read_json(folder).get("points") if folder.file("labels.json").is_file() else []
    trainings = [*folder.path.glob("trainings/*"), *folder.path.glob("trials/*/*")]
    return bool(points) or any(RunFolder(path).has_trained() for path in trainings)


def _seeds(request: LabelRequest) -> tuple[int, ...]:
    return tuple(range(request.seeds)) if isinstance(request.seeds, int) else tuple(request.seeds)


def _plans(
    source: Domain,
    target: LabelledTarget,
    request: LabelRequest,
    chosen: Sequence[Strategy],
    *,
    folder: RunFolder,
    machine: Machine,
) -> dict[str, Plan]:
    """A plan of each strategy with all labels that could be drawn; they share the preprocessing."""
    plans: dict[str, Plan] = {}
    begun = _begun_strategies(folder)
    shared = request.model_dump(include=set(SharedOptions.model_fields) - {"method", "finetune", "settings", "seeds"})
    for strategy in chosen:
        settings = {k: v for k, v in (request.settings or {}).items() if strategy.takes(k)}
        own = Request(
            **shared, method=strategy.method, finetune=strategy.finetune, settings=settings, seeds=_seeds(request),
            task="classification", score=target.scored, target_labels=target.pool,
        )  # fmt: skip
        like = next(iter(plans.values()), None)
        plan = make_plan(source, target.pool.without_labels(), own, like=like)
        trials, before = folder.file("trials") / strategy.name, begun.get(strategy.name)
        plans[strategy.name] = select_strategy(plan, own, trials, before=before, machine=machine).plan
    return plans


def _begun_strategies(folder: RunFolder) -> Mapping[str, Begun]:
    """What a folder that is resumed knows of each strategy."""
    if not folder.file("labels.json").is_file():
        return {}
    return dict(_read_json(folder).get("strategies", {}))


def _strategies(request: LabelRequest) -> list[Strategy]:
    """What is compared, by name."""
    if request.strategies and request.method != "auto":
        raise BadInput("--method: --strategies names the methods already; omit one of the two")
    usual = dict.fromkeys(("source_only", "supervised", request.method))
    chosen = [_strategy(name, request.finetune) for name in request.strategies or usual]
    if double := [s.name for i, s in enumerate(chosen) if s in chosen[:i]]:
        raise BadInput(f"strategy {double[0]!r}: is named twice; omit one")
    return chosen


def _strategy(name: str, usual: str) -> Strategy:
    method, plus, own = name.partition("+")
    method = AUTO_METHOD["classification"] if method == "auto" else method
    able = [m for m in methods.names() if methods.get(m).needs & {"source", "target_labels"}]
    if method not in able and not plugins.is_spec(method):
        why = "learns from no labels" if method in methods.names() else "unknown method"
        raise BadInput(f"strategy {name!r}: {method!r}: {why}; {did_you_mean(method, able)}")
    chosen = own if plus else usual
    if chosen not in (known := ["auto", *finetune.names()]):
        raise BadInput(f"strategy {name!r}: no fine-tuning strategy {chosen!r}; {did_you_mean(chosen, known)}")
    return Strategy(f"{method}{plus}{own}", method, chosen)


def _source(given: Sources, spec: DomainSpec) -> Domain:
    for one in each_source(given):
        if isinstance(one, str | Path) and is_run(one):
            raise BadInput(
                f"{one}: is a Run, and label curves learn from the source's examples; give the source itself"
            )
    return read_sources(given, spec)


def _check_apart(source: Sources, target: Source, score: Source | None) -> None:
    """Refuse what would be scored on and learnt from at once."""
    for one in sources_of(source):
        if is_same(one, target):
            raise BadInput("the target is the source itself, all of whose labels are learnt from; give two domains")
        check_unseen(score, one, "the source itself")
    check_unseen(score, target, "the target itself")


def _split_target(source: Domain, given: Source, request: LabelRequest, spec: DomainSpec) -> LabelledTarget:
    source.require_source()
    target, held_out = read_domain(given, "target", spec), request.held_out
    if not 0 < held_out < 1:
        raise BadInput(f"--held-out: {held_out:g} is not a fraction; give a number between 0 and 1")
    if target.labels is None:
        raise BadInput(f"{target.name}: has no labels, and labels are drawn from the target; give a labelled one")
    codes = target.codes(source.classes)
    if request.score is not None:
        scored = read_domain(request.score, "score", spec)
        scored.codes(source.classes)
        return LabelledTarget(target, scored)
    if np.bincount(codes).max() < 2:
        raise BadInput(f"{target.name}: has one example of each class, and some are to be scored on; give --score")
    rows, held = split(codes, held_out, _seeds(request)[0])
    return LabelledTarget(target.take(rows), target.take(held))


def _check_settings(settings: Mapping[str, object], chosen: Sequence[Strategy]) -> None:
    for key in settings:
        if not any(s.takes(key) for s in chosen):
            names = ", ".join(s.name for s in chosen)
            raise BadInput(f"{key}: has no effect on the strategies {names}; remove it")


class _Curves:
    """All points: every strategy with every budget and seed.

    Args:
        plans: Of each strategy, with all labels that could be drawn.
        target: What labels are drawn from, and what is scored on.
        budgets: The smallest first.
    """

    def __init__(self, plans: Mapping[str, Plan], target: LabelledTarget, budgets: Sequence[Budget]):
        self.plans, self.target, self.budgets = plans, target, budgets
        self.some = next(iter(plans.values()))
        self.recipe = self.some.recipe
        self.codes = target.pool.codes(self.recipe.classes)
        self.head = self._head()

    def _head(self) -> CurveSettings:
        """All of ``labels.json`` but for what is found."""
        occur = len(np.unique(self.codes))
        counts = [int(budget.counts(np.bincount(self.codes)).sum()) for budget in self.budgets]
        return {
            "source": self.recipe.source.path,
            "sources": {one.path: one.n for one in self.recipe.sources},
            "target": self.recipe.target.path,
            "classes": list(self.recipe.classes),
            "scored": {"path": self.target.scored.name, "n": len(self.target.scored)},
            "positive": list(self.some.positive),
            "tta": list(self.some.tta),
            "drawn_from": len(self.target.pool),
            "seeds": list(self.recipe.seeds),
            "budgets": [
                {"name": b.name, "labels": n, "per_class": round(n / occur, 4)}
                for b, n in zip(self.budgets, counts, strict=True)
            ],
            "digests": {**self.recipe.digests, "score": digest(self.target.scored)},
            "strategies": {
                name: cast("StrategyRecipe", p.recipe.model_dump(mode="json", exclude=SHARED))
                for name, p in self.plans.items()
            },
        }

    def trained(self, folder: RunFolder, train: Train) -> LabelCurves:
        """Train what is not there yet, writing ``labels.json`` after each point and the page at the end."""
        points = self._begun(folder)
        missing = self._missing(points)
        folder.write_json("labels.json", self._found(points))
        self._remove_trials(folder)
        done, of = 0, sum(len(seeds) for *_, seeds in missing)
        for name, budget, seeds in missing:
            wanted = [self._wanted(folder, name, budget, seed)._replace(of=of) for seed in seeds]
            wanted = [one._replace(number=number) for number, one in enumerate(wanted, done + 1)]
            for point in self._points(folder, name, budget, wanted, train):
                points.append(point)
                done += 1
                folder.write_json("labels.json", self._found(points))
                log.info("%d of %d: %s", done, of, _in_words(point))
        found = self._found(points)
        folder.write_json("labels.json", found)
        folder.write("labels.html", lambda path: path.write_text(render_labels(found), "utf-8"))
        trainings = folder.file("trainings")
        for name, plan in self.plans.items():
            for seed in plan.recipe.seeds if plan.recipe.pretrain else ():
                RunFolder(trainings / f"{name}-pretrained-{seed}").remove_training(seed, ["pretrained"])
        with suppress(OSError):  # it does not exist, or holds files of others
            trainings.rmdir()
        return LabelCurves(folder.path, found)

    def _begun(self, folder: RunFolder) -> list[Point]:
        """The points that are in the folder already, if it is of the same question."""
        if not folder.file("labels.json").is_file():
            return []
        before = _read_json(folder)
        if found := _difference(self.head, before):
            raise CannotResume(f"{folder.path}: cannot resume: {found}; use the same, or choose another -o")
        folder.sweep()
        return list(before.get("points", []))

    def _remove_trials(self, folder: RunFolder) -> None:
        """Remove the trials of strategies, whose outcome is written down."""
        for name, plan in self.plans.items():
            remove_trials(folder.file("trials") / name, plan)
        with suppress(OSError):  # it does not exist, or holds files of others
            folder.file("trials").rmdir()

    def _missing(self, points: Sequence[Point]) -> list[tuple[str, Budget, list[int]]]:
        """Of each strategy with each budget the seeds that are not there yet."""
        done = {(p["strategy"], p["budget"], p["seed"]) for p in points}
        found = [
            (name, budget, [seed for seed in self.recipe.seeds if (name, budget.name, seed) not in done])
            for budget in self.budgets
            for name in self.plans
            if budget.share or budget.each or self._does_without(name)
        ]
        return [one for one in found if one[-1]]

    def _does_without(self, name: str) -> bool:
        return "source" in methods.get(self.plans[name].recipe.method).needs

    def _wanted(self, folder: RunFolder, name: str, budget: Budget, seed: int) -> Phase:
        """The training of one strategy with one draw."""
        rows = draw(self.codes, budget, seed)
        plan = self.plans[name].with_target_labels(rows)
        run = RunFolder(folder.file("trainings") / f"{name}-{len(rows)}-{seed}")
        return Phase(run, plan, seed, plan.recipe.phases[-1])

    def _points(
        self, folder: RunFolder, name: str, budget: Budget, wanted: Sequence[Phase], train: Train
    ) -> Iterator[Point]:
        """Train all seeds of one strategy with one budget, and score them one by one."""
        began = time.monotonic()
        for run, plan, *_ in wanted:
            run.write("recipe.yaml", plan.recipe.save)
        missing = [one for one in wanted if not one.run.weights(one.seed, one.phase).exists()]
        for one in missing:
            if one.plan.recipe.pretrain:
                self._pretrained(folder, name, one, train)
        train(missing)
        each = (time.monotonic() - began) / len(wanted)
        for one in wanted:
            yield self._point(name, budget, one, each)

    def _point(self, name: str, budget: Budget, trained: Phase, seconds: float) -> Point:
        """Score one training, which took so many seconds, and remove it."""
        began, (run, plan, seed, phase, *_) = time.monotonic(), trained
        rows = draw(self.codes, budget, seed)
        plain, views = self._scores(run, plan, seed, phase)
        run.remove_training(seed, plan.recipe.trainings)
        point = {
            "strategy": name,
            "budget": budget.name,
            "labels": len(rows),
            "per_class": round(len(rows) / len(np.unique(self.codes)), 4),
            "seed": seed,
            "seconds": round(seconds + time.monotonic() - began, 1),
            **plain,
        }
        return cast("Point", {**point, "tta": views} if views else point)

    def _pretrained(self, folder: RunFolder, name: str, wanted: Phase, train: Train) -> None:
        """Give a training the backbone that learnt without labels, which is the same whatever labels are drawn."""
        seed = wanted.seed
        first = RunFolder(folder.file("trainings") / f"{name}-pretrained-{seed}")
        weights = first.weights(seed, "pretrained")
        if not weights.exists():
            train([wanted._replace(run=first, plan=self.plans[name], phase="pretrained")])
        wanted.run.write(f"models/{weights.name}", partial(shutil.copyfile, weights))

    def _scores(self, run: RunFolder, plan: Plan, seed: int, phase: str) -> tuple[ClassScores, ClassScores | None]:
        """The scores of a model, and of its mean over views if there are any."""
        scored, classes = self.target.scored, plan.recipe.classes
        model = load_model(run, seed, phase, shape=plan.shape)

        def of(predictions: Predictions) -> ClassScores:
            return all_scores(predictions.probabilities, scored.codes(classes), classes, plan.positive)

        plain = of(predict_part(model, plan, Part(scored), "target"))
        return plain, of(predict_views(model, plan, scored)) if plan.tta else None

    def _found(self, points: Sequence[Point]) -> CurveScores:
        """All of ``labels.json``."""
        seconds = math.fsum(p["seconds"] for p in points)
        return {
            **self.head,
            "seconds": round(seconds, 1),
            "curves": _curves(points, list(self.plans)),
            "points": list(points),
        }


def _read_json(folder: RunFolder) -> CurveScores:
    path = folder.file("labels.json")
    try:
        found = typed_json.read(path, dict[str, Any])
        if found.keys() >= CurveScores.__annotations__.keys():  # else another version of Acclimate wrote it
            typed_json.check(found, CurveScores)
        return cast("CurveScores", found)
    except ValueError as error:
        raise CannotResume(f"{path}: cannot resume: changed or damaged ({error}); choose another -o") from error


def _difference(asked: CurveSettings, made: CurveSettings) -> str | None:
    """Name what differs between two sets of curves; None if they answer the same question."""
    new = _in_short(asked)
    try:
        old = _in_short(made)
    except (KeyError, TypeError, AttributeError):
        return "labels.json was written by another version of Acclimate"
    for flag, text in new.items():
        if old[flag] != text:
            return f"{flag} {text}, but the curves were made with {old[flag]}"
    read = made.get("digests", asked["digests"])  # an earlier version kept none
    if found := difference({"digests": asked["digests"]}, {"digests": read}, what="the curves were made"):
        return found
    for name, recipe in asked["strategies"].items():
        before = made["strategies"][name]
        if recipe.keys() != before.keys():
            return f"strategy {name} was trained by another version of Acclimate"
        both = (cast("Mapping[str, object]", some) for some in (recipe, before))
        if found := difference(*both, what="the curves were made"):
            return f"strategy {name}: {found}"
    return None


def _in_short(curves: CurveSettings) -> dict[str, str]:
    """What must be the same, as text, by what sets it."""
    scored = curves["scored"]
    return {
        "source": curves["source"],
        "target": curves["target"],
        "--strategies": ", ".join(curves["strategies"]),
        "--score or --held-out:": f"{scored['n']} examples of {scored['path']}",
        "--held-out:": f"{curves['drawn_from']} examples to draw from",
        "--fractions or --per-class:": ", ".join(f"{b['name']} ({b['labels']} labels)" for b in curves["budgets"]),
        "--seeds": ", ".join(map(str, curves["seeds"])),
        "--label: classes": ", ".join(curves["classes"]),
        "--positive": ", ".join(curves["positive"]),
        "--tta": ", ".join(curves["tta"]),
    }


def _curves(points: Sequence[Point], names: Sequence[str]) -> dict[str, list[CurvePoint]]:
    """Of each strategy the mean and the standard deviation over seeds at each budget, the smallest first."""
    own = {"strategy", "budget", "labels", "per_class", "seed", "seconds", "tta"}
    curves: dict[str, list[CurvePoint]] = {}
    for name in names:
        mine = sorted((p for p in points if p["strategy"] == name), key=lambda p: (p["labels"], p["budget"]))
        for budget in dict.fromkeys(p["budget"] for p in mine):
            same = [p for p in mine if p["budget"] == budget]
            means = mean_over_seeds([{k: v for k, v in p.items() if k not in own} for p in same])
            labels, per_class = same[0]["labels"], same[0]["per_class"]
            sizes = {"budget": budget, "labels": labels, "per_class": per_class, "seeds": len(same)}
            at = cast("CurvePoint", {**sizes, **means})
            if "tta" in same[0]:
                at["tta"] = mean_over_seeds([p["tta"] for p in same])
            curves.setdefault(name, []).append(at)
    return curves


def _in_words(point: Point) -> str:
    """One point, for the log."""
    return (
        f"{point['strategy']}, {point['labels']} labels, seed {point['seed']}: {point['accuracy']:.1%} "
        f"({point['seconds']:.0f} s)"
    )
