"""The page: what it shows, gathered from a Run and poured into the template."""

import re
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Generic

import jinja2
import numpy as np
import yaml
from markupsafe import Markup, escape
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from acclimate.recipe import Recipe, Training
from acclimate.report import plots
from acclimate.report.embed import embed
from acclimate.report.losses import read_losses
from acclimate.report.measures import measures
from acclimate.run_folder import RunFolder
from acclimate.runs.finding import finding
from acclimate.runs.outputs import Codes, RunOutputs, S
from acclimate.runs.snippets import Snippet, read_snippets, read_strip, shown

EXAMPLES = 12
"""Disagreements that are shown."""


def render(contents: "Contents[S]") -> str:
    """The whole page as HTML, in need of nothing outside itself."""
    return fill(contents.template, contents.gather())


def fill(template: str, contents: Mapping[str, Any]) -> str:
    """A template with what it names, and with the style sheet, the script and plotly.js that every page holds."""
    loader = jinja2.PackageLoader("acclimate.report")
    pages = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    pages.filters |= {"percent": _percent, "breakable": _breakable}
    parts = {name: Markup(loader.get_source(pages, f"report.{name}")[0]) for name in ("css", "js")}
    return pages.get_template(template).render(**contents, **parts, plotly=Markup(get_plotlyjs()))


class Contents(Generic[S]):
    """What the page says of one Run, whatever it predicts.

    Args:
        run: The Run.
        outputs: What its models said.
    """

    template: ClassVar[str]

    def __init__(self, run: RunFolder, outputs: RunOutputs[S]):
        self.run, self.recipe, self.scores = run, run.recipe, run.scores
        self.outputs: RunOutputs[S] = outputs
        self.phases: tuple[str, ...] = outputs.phases
        self.truth: NDArray[Any] | None = outputs.target_truth()
        self.snippets = {place: read_snippets(run, place) for place in ("source_val", "target")}

    def gather(self) -> dict[str, Any]:
        """Everything the template names."""
        figures = {**self._maps(), **self.own_figures(), **self._losses()}
        here, there = short_path(self.recipe.source.path), short_path(self.recipe.target.path)
        return {
            "title": f"{self.recipe.method}: {here} to {there}",
            "finding": finding(self.run).replace(self.recipe.target.path, there).replace(self.recipe.source.path, here),
            "here": here,
            "there": there,
            "recipe": self.recipe,
            "scores": self.scores,
            "phases": self.phases,
            "names": plots.NAMES,
            "measures": measures(self.scores, self.phases),
            "strips": {domain: pairs for domain in self._augmented if (pairs := read_strip(self.run, domain))},
            "n_here": len(self.last(self.outputs.source)),
            "n_there": len(self.last(self.outputs.scored or self.outputs.target)),
            "page": {"figures": figures, "points": self._points()},
            "maps_by": [plane.how for plane in self._planes],
            "n_points": [len(rows) for rows in self.rows],
            "validated": any(f"loss {name}" in figures for name in plots.OF_LABELS),
            "losses": [name.removeprefix("loss ") for name in figures if name.startswith("loss ")],
            **self.own_parts(),
            **self._facts(),
        }

    @abstractmethod
    def own_figures(self) -> dict[str, plots.Figure]:
        """The figures of what is predicted."""

    @abstractmethod
    def own_parts(self) -> dict[str, Any]:
        """What else the template names."""

    @abstractmethod
    def map_of(self, points: NDArray[np.float64], mapped: list[tuple[S, Codes]], n: int, first: int) -> plots.Figure:
        """A map of ``points``: the ``n`` first are the source's, and the first of all is the page's ``first``."""

    @abstractmethod
    def truth_says(self, label: Any) -> str:
        """A true label, said of one point."""

    @abstractmethod
    def says(self, said: S, row: int) -> str:
        """A prediction, said of one point."""

    def last(self, said: Mapping[str, S]) -> S:
        """What the model said that comes last: the adapted one if there is one."""
        return said[list(said)[-1]]

    @cached_property
    def rows(self) -> tuple[Codes, Codes]:
        """The source's and the target's rows on the maps: those with features, and with snippets if there are any."""
        source, target = self.last(self.outputs.source), self.last(self.outputs.target)
        return np.intersect1d(source.rows, shown(len(source))), np.intersect1d(target.rows, shown(len(target)))

    @cached_property
    def _planes(self) -> list[Any]:
        return [embed(np.concatenate([_features(s, rows) for s, rows in self._mapped(phase)])) for phase in self.phases]

    def _mapped(self, phase: str) -> list[tuple[S, Codes]]:
        """What is on a phase's map, each with its rows: the source, if the model met it, and the target."""
        sides = zip((self.outputs.source, self.outputs.target), self.rows, strict=True)
        return [(side[phase], rows) for side, rows in sides if phase in side]

    def _maps(self) -> dict[str, plots.Figure]:
        here, there = self.rows
        figures = {}
        for phase, plane in zip(self.phases, self._planes, strict=True):
            n = len(plane.points) - len(there)
            figures[f"map {phase}"] = self.map_of(plane.points, self._mapped(phase), n, len(here) - n)
        return figures

    def _points(self) -> list[dict[str, Any]]:
        """What is told of each point of the maps, the source's first."""
        source = [self._point("source", self.outputs.source, int(row)) for row in self.rows[0]]
        return source + [self._point("target", self.outputs.target, int(row)) for row in self.rows[1]]

    def _point(self, domain: str, said: Mapping[str, S], row: int) -> dict[str, Any]:
        snippet = self._snippet("source_val" if domain == "source" else "target", row)
        truth = self.last(said).labels if domain == "source" else self.truth
        lines = [] if truth is None else [self.truth_says(truth[row])]
        lines += [f"{plots.NAMES[phase]}: {self.says(said[phase], row)}" for phase in said]
        point = {"domain": domain, "name": called(self.last(said).names[row]), "lines": lines, **snippet._asdict()}
        return {key: value for key, value in point.items() if value}

    def example(self, row: int) -> dict[str, Any]:
        """What an example of the target is called and looks like."""
        name = called(self.last(self.outputs.target).names[row])
        return {"name": name, "snippet": self._snippet("target", row)}

    def _snippet(self, place: str, row: int) -> Snippet:
        return self.snippets[place].get(row, Snippet())

    @property
    def _augmented(self) -> dict[str, str]:
        """What was done in training to which domain."""
        return {domain: name for domain, name in self.recipe.augment.model_dump().items() if name != "none"}

    def _losses(self) -> dict[str, plots.Figure]:
        return {f"loss {name}": figure for name, figure in plots.courses(read_losses(self.run)).items()}

    def _facts(self) -> dict[str, Any]:
        environment, train, network = self.run.environment, self.recipe.train, self.recipe.trains_a_network
        facts = {
            "Source": self.recipe.source.path,
            "Started from": self.recipe.origin or "",
            "Target": self.recipe.target.path,
            "Labels of the target": _target_labels(self.recipe),
            "Method": " ".join([self.recipe.method, *(f"{k}={v}" for k, v in self.recipe.options.items())]),
            "Pretrained": _pretraining(self.recipe),
            "Backbone": " ".join(
                [self.recipe.backbone, *(f"{k}={v}" for k, v in self.recipe.backbone_options.items())]
            ),
            "Fine-tuning": _moved(self.recipe) if network else "",
            "Augmentation": ", ".join(f"{name} of the {domain}" for domain, name in self._augmented.items()),
            "Seeds": ", ".join(str(s) for s in self.recipe.seeds),
            "Steps": _steps(train) if network else "",
            "Optimizer": f"{train.optimizer}, rate {train.lr}, {train.schedule}" if network else "",
            "Time": _duration(environment.get("seconds")),
            "Started": str(environment.get("started", "")).replace("T", " "),
            "Device": f"{environment.get('device', '')}, {environment.get('threads', '')} threads",
            "Python": environment.get("python", ""),
            "System": environment.get("platform", ""),
        }
        return {
            "facts": {name: value for name, value in facts.items() if value},
            "versions": environment.get("versions", {}),
            "recipe_text": yaml.safe_dump(self.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        }


def short_path(path: str) -> str:
    """The last two steps of a path, enough to know it by.

    Example:
        >>> short_path("/data/clinics/hearts.csv#site=va/1")
        'clinics/hearts.csv#site=va/1'
    """
    where, hash_, part = path.partition("#")
    return "/".join(where.rstrip("/").split("/")[-2:]) + hash_ + part


def called(name: str) -> str:
    """The name of an example, as it reads in a sentence."""
    return f"row {name}" if name.isdecimal() else name


def _features(said: S, rows: Codes) -> NDArray[np.float64]:
    return said.features[np.searchsorted(said.rows, rows)]


def _breakable(text: str) -> Markup:
    """``text``, escaped, that may be broken between the steps of a path and the words of a file's name."""
    return Markup(re.sub(r"[/_]|\.(?=[a-z])", r"\g<0><wbr>", str(escape(text))))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _steps(train: Training) -> str:
    batches = f"{train.accumulate} batches of " if train.accumulate > 1 else ""
    return f"{train.steps:,} of {batches}{train.batch_size} examples"


def _moved(recipe: Recipe) -> str:
    """Which weights moved, and how that was found."""
    told = " ".join([recipe.finetune, *(f"{k}={v}" for k, v in recipe.finetune_options.items())])
    if not recipe.tried:
        return told
    losses = ", ".join(f"{rung} {loss:.3f}" for rung, loss in recipe.tried.items())
    return f"{told}, by the source's validation loss ({losses})"


def _pretraining(recipe: Recipe) -> str:
    """What the backbone learnt without labels, on what and how long."""
    if (it := recipe.pretrain) is None:
        return ""
    on = "source and target" if it.on == "both" else f"the {it.on}"
    told = " ".join([it.method, *(f"{k}={v}" for k, v in it.options.items())])
    return f"{told} on {on} without labels, {_steps(it.train)}, {it.train.optimizer}, rate {it.train.lr}"


def _target_labels(recipe: Recipe) -> str:
    """How many were given on purpose, and where from."""
    return f"{given.n:,} to learn from, {given.path}" if (given := recipe.target_labels) else ""


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
