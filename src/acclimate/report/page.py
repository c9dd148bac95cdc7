"""The report of a Run: collects what it shows and renders the template."""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import ClassVar, Generic

import jinja2
import numpy as np
import polars as pl
import yaml
from markupsafe import Markup, escape
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from acclimate import methods, plugins
from acclimate.contents import AccuracyEstimate, DataSummary, Moved, MovedKind, NoEstimate
from acclimate.errors import BadInput
from acclimate.methods import shallow
from acclimate.recipe import ENSEMBLE, STUDENT, Recipe, Training
from acclimate.report import plots
from acclimate.report.disagreements import Truth, in_turn
from acclimate.report.embed import Embedding, embed
from acclimate.report.loss_words import explain_losses
from acclimate.report.losses import read_losses
from acclimate.report.measures import measures
from acclimate.run_folder import RunFolder
from acclimate.runs.audited import audited_lines, audited_spans, known
from acclimate.runs.finding import accuracy_range, amount, change_words, ensemble_finding, headline
from acclimate.runs.outputs import Codes, RunOutputs, S
from acclimate.runs.snippets import Snippet, read_snippets, read_strip, shown
from acclimate.runs.verdict import verdict

EXAMPLES = 12
"""Most disagreements that the report shows."""
PICTURES = 12
"""Most images of each domain that are shown side by side."""
PART_LETTERS = 40
"""Most characters of a part of a path."""
PLACES = {"source": "source_val", "target": "target"}
"""Where the outputs of a domain are, by its name."""
SETS = {
    "source_train": "source, to learn from",
    "source_val": "source, held out",
    "target": "target, without labels",
    "target_labels": "target, labels to learn from",
    "scored": "target, labels to score on",
}
"""What the sets of examples are called."""
MOVED: Mapping[MovedKind, str] = {"mean": "{}, mean", "value": "{} = {}", "missing": "{}, missing", "word": "“{}”"}
"""What is compared, by its kind."""
WIDEST = 0.5
"""The widest range of an estimated accuracy that is still shown as an estimate."""


def render(contents: "Contents[S]") -> str:
    """Return the report as one HTML page that loads nothing else."""
    return render_template(contents.template, contents.gather())


def render_template(template: str, contents: Mapping[str, object]) -> str:
    """Render a template with its contents, the style sheet, the script and plotly.js."""
    pages, loader = _templates()
    parts = {name: Markup(loader.get_source(pages, f"report.{name}")[0]) for name in ("css", "js")}
    return pages.get_template(template).render(**contents, **parts, plotly=Markup(get_plotlyjs()))


@cache
def _templates() -> tuple[jinja2.Environment, jinja2.PackageLoader]:
    """Return the environment of the templates, each of which jinja2 compiles once, and their loader."""
    loader = jinja2.PackageLoader("acclimate.report")
    pages = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    pages.filters |= {
        "percent": _percent,
        "range": _range,
        "few": accuracy_range,
        "basis": _basis,
        "breakable": _breakable,
    }
    return pages, loader


class Contents(Generic[S]):
    """What the report of one Run shows, in classification and in regression.

    Args:
        run: The Run.
        outputs: The outputs of its models.
    """

    template: ClassVar[str]

    def __init__(self, run: RunFolder, outputs: RunOutputs[S]):
        self.run, self.recipe, self.scores = run, run.recipe, run.scores
        self.outputs: RunOutputs[S] = outputs
        self.phases: tuple[str, ...] = outputs.phases
        self.truth: Truth | None = outputs.target_truth()
        self.snippets = {place: read_snippets(run, place) for place in ("source_val", "target", "scored")}

    def gather(self) -> dict[str, object]:
        """Return the variables of the template."""
        figures = {**self._maps(), **self.own_figures(), **self._losses()}
        source, target = short_paths(self.recipe.source_paths), short_path(self.recipe.target.path)
        audited = self.run.audited
        title = known(audited) if audited and "target" not in self.scores else headline(self.scores, self.recipe)
        scored = short_path(self.recipe.score.path) if self.recipe.score else target
        return {
            "title": f"{self.recipe.method_name}: {source} to {target}",
            "headline": self._with_short_paths(title.text),
            "details": self._with_short_paths(title.details),
            "verdict": verdict(self.scores, self.recipe, self._sizes, audited),
            "audited": audited,
            "audit_lines": audited_lines(audited) if audited else [],
            "audit_spans": audited_spans(audited) if audited else {},
            "ensemble": ensemble_finding(self.scores),
            "change": change_words(self.scores),
            "source": source,
            "target": target,
            "scored": scored if self.outputs.scored else target,
            "recipe": self.recipe,
            "scores": self.scores,
            "phases": self.phases,
            "names": plots.NAMES,
            "measures": measures(self.scores, self.phases),
            "strips": {domain: pairs for domain in self._augmented if (pairs := read_strip(self.run, domain))},
            "n_source": len(self.final(self.outputs.source)),
            "n_target": len(self.final(self.outputs.scored or self.outputs.target)),
            "page": {"figures": figures, "points": self._points()},
            "map_methods": [embedding.method for embedding in self._embeddings],
            "n_points": [len(rows) for rows in self.rows],
            "validated": any(f"loss {name}" in figures for name in plots.LABEL_LOSSES),
            "losses": [name.removeprefix("loss ") for name in figures if name.startswith("loss ")],
            "loss_words": explain_losses(self._curves),
            "pictures": {domain: found for domain in PLACES if (found := self._pictures(domain))},
            **self._data(),
            **self.own_parts(),
            **self._facts(),
        }

    def _with_short_paths(self, sentence: str) -> str:
        recipe = self.recipe
        scored = recipe.score.path if recipe.score else recipe.target.path
        paths = {*recipe.source_paths, recipe.target.path, scored}
        for path in sorted(paths, key=len, reverse=True):  # one may begin with another
            sentence = sentence.replace(path, short_path(path))
        return sentence

    @property
    def _sizes(self) -> dict[str, int]:
        """The sizes of all sets that are known; a Run of an earlier version keeps fewer."""
        outputs = {"source_val": self.outputs.source, "target": self.outputs.target, "scored": self.outputs.scored}
        known = {name: len(self.final(of_domain)) for name, of_domain in outputs.items() if of_domain}
        given = {"target_labels": self.recipe.target_labels.n} if self.recipe.target_labels else {}
        return {**known, **given, **self._summary["sizes"]}

    @cached_property
    def _summary(self) -> DataSummary:
        return self.run.data_summary

    def _data(self) -> dict[str, object]:
        """Return the sizes of all sets, and what differs between the domains, as texts."""
        sizes = self._sizes
        return {
            "sizes": [(label, f"{sizes[name]:,}") for name, label in SETS.items() if name in sizes],
            "moved": [describe_moved(one) for one in self._summary["moved"] if one["kind"] in MOVED],
            "words_moved": any(one["kind"] == "word" for one in self._summary["moved"]),
        }

    def _pictures(self, domain: str) -> list[tuple[str, str]]:
        """Return images of a domain with their titles: of the source each class in turn."""
        place = PLACES[domain]
        outputs = self.outputs.source if domain == "source" else self.outputs.target
        of_domain = self.final(outputs)
        rows = [row for row, found in self.snippets[place].items() if found.image and row < len(of_domain)]
        rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
        labels = of_domain.labels if domain == "source" else None
        if labels is not None and self.recipe.classes:
            rows = in_turn(rows, [int(labels[row]) for row in rows])
        titles = [self.describe_label(labels[row]) if labels is not None else "" for row in rows[:PICTURES]]
        return [(self._snippet(place, row).image, title) for row, title in zip(rows, titles, strict=False)]

    @abstractmethod
    def own_figures(self) -> dict[str, plots.Figure]:
        """Return the figures of the predictions."""

    @abstractmethod
    def own_parts(self) -> dict[str, object]:
        """Return the other variables of the template."""

    @abstractmethod
    def feature_map(
        self, points: NDArray[np.float64], outputs: list[tuple[S, Codes]], n_source: int, first: int
    ) -> plots.Figure:
        """Return a map of features.

        Args:
            points: Where the examples lie ``(n, 2)``, the source's first.
            outputs: Outputs of each domain, with the rows on the map.
            n_source: How many points are the source's.
            first: The index of the first of these points among the page's points.
        """

    @abstractmethod
    def describe_label(self, label: float) -> str:
        """Return the line for the true label of a point."""

    @abstractmethod
    def describe_prediction(self, outputs: S, row: int) -> str:
        """Return the line for the prediction of a point."""

    def final(self, outputs: Mapping[str, S]) -> S:
        """Return the outputs of the final model: the adapted one if there is one."""
        return outputs[list(outputs)[-1]]

    @cached_property
    def rows(self) -> tuple[Codes, Codes]:
        """The source's and the target's rows on the maps: those with features, and with snippets if there are any."""
        source, target = self.final(self.outputs.source), self.final(self.outputs.target)
        return np.intersect1d(source.rows, shown(len(source))), np.intersect1d(target.rows, shown(len(target)))

    @cached_property
    def _embeddings(self) -> list[Embedding]:
        return [embed(np.concatenate([_features(s, rows) for s, rows in self._mapped(phase)])) for phase in self.phases]

    def _mapped(self, phase: str) -> list[tuple[S, Codes]]:
        """Return the outputs on a phase's map, with their rows: of the source, if the model saw it, and the target."""
        domains = zip((self.outputs.source, self.outputs.target), self.rows, strict=True)
        return [(outputs[phase], rows) for outputs, rows in domains if phase in outputs]

    def _maps(self) -> dict[str, plots.Figure]:
        source_rows, target_rows = self.rows
        figures = {}
        for phase, embedding in zip(self.phases, self._embeddings, strict=True):
            n = len(embedding.points) - len(target_rows)
            first = len(source_rows) - n
            figures[f"map {phase}"] = self.feature_map(embedding.points, self._mapped(phase), n, first)
        return figures

    def _points(self) -> list[dict[str, object]]:
        """Return the texts and images of each point on the maps, the source's first."""
        source = [self._point("source", self.outputs.source, int(row)) for row in self.rows[0]]
        return source + [self._point("target", self.outputs.target, int(row)) for row in self.rows[1]]

    def _point(self, domain: str, outputs: Mapping[str, S], row: int) -> dict[str, object]:
        snippet = self._snippet("source_val" if domain == "source" else "target", row)
        truth = self.final(outputs).labels if domain == "source" else self.truth
        lines = [] if truth is None else [self.describe_label(truth[row])]
        lines += [f"{plots.NAMES[phase]}: {self.describe_prediction(outputs[phase], row)}" for phase in outputs]
        name = display_name(self.final(outputs).names[row])
        point = {"domain": domain, "name": name, "lines": lines, **snippet._asdict()}
        return {key: value for key, value in point.items() if value}

    def example(self, row: int, place: str = "target") -> dict[str, object]:
        """Return the name and the snippet of an example of the target, or of those that are scored."""
        outputs = self.outputs.target if place == "target" else self.outputs.scored
        return {"name": display_name(self.final(outputs).names[row]), "snippet": self._snippet(place, row)}

    @property
    def few(self) -> int:
        """Most examples in a shorter list: two rows of images, or of texts."""
        return 8 if any(found.image for found in self.snippets["target"].values()) else 6

    @property
    def labelled(self) -> tuple[str, Mapping[str, S], Truth, Codes] | None:
        """Which outputs have labels: their place, those by phase, the labels, and the rows that can be shown."""
        if self.truth is not None:
            return "target", self.outputs.target, self.truth, self.rows[1]
        if not self.outputs.scored or (labels := self.final(self.outputs.scored).labels) is None:
            return None
        return "scored", self.outputs.scored, labels, shown(len(labels))

    def _snippet(self, place: str, row: int) -> Snippet:
        return self.snippets[place].get(row, Snippet())

    @property
    def _augmented(self) -> dict[str, str]:
        """The augmentation of each domain that has one."""
        return {domain: name for domain, name in self.recipe.augment.model_dump().items() if name != "none"}

    @cached_property
    def _curves(self) -> pl.DataFrame:
        return read_losses(self.run)

    def _losses(self) -> dict[str, plots.Figure]:
        return {f"loss {name}": figure for name, figure in plots.loss_curves(self._curves).items()}

    def _facts(self) -> dict[str, object]:
        environment, train, network = self.run.environment, self.recipe.train, self.recipe.trains_a_network
        facts = {
            "Source": _sources(self.recipe),
            "Started from": short_path(self.recipe.origin or ""),
            "Target": short_path(self.recipe.target.path),
            "Labels of the target": _target_labels(self.recipe),
            "Scored on": _scored_on(self.recipe),
            "Method": _method(self.recipe),
            "Methods tried": _tried(self.recipe),
            "Pretraining": _pretraining(self.recipe),
            "Backbone": _with_options(self.recipe.backbone, self.recipe.backbone_options),
            "Fine-tuning": _fine_tuning(self.recipe) if network else "",
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
            "full": {"Source": ", ".join(self.recipe.source_paths), "Target": self.recipe.target.path},
            "command": environment.get("command", ""),
            "does": _does(self.recipe),
            "versions": environment.get("versions", {}),
            "recipe_text": yaml.safe_dump(self.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        }


def short_path(path: str) -> str:
    """Return the last two parts of a path, enough to recognise it, each shortened in its middle if it is long.

    Example:
        >>> short_path("/data/clinics/hearts.csv#site=va/1")
        'clinics/hearts.csv#site=va/1'
    """
    where, hash_, part = path.partition("#")
    names = [plots.shorten_middle(name, PART_LETTERS) for name in where.rstrip("/").split("/")[-2:]]
    return "/".join(names) + hash_ + plots.shorten_middle(part, PART_LETTERS)


def short_paths(paths: Sequence[str]) -> str:
    """Return the short form of several paths.

    Example:
        >>> short_paths(["/data/a", "/data/b", "/data/c"])
        'data/a, data/b and data/c'
    """
    *before, last = map(short_path, paths)
    return f"{', '.join(before)} and {last}" if before else last


def describe_moved(one: Moved) -> tuple[str, str, str, float]:
    """Return what moved, its mean or share in the source and in the target, and the effect, target minus source.

    Example:
        >>> describe_moved({"kind": "value", "name": "sex", "value": "f", "source": 0.5, "target": 0.1, "effect": -0.9})
        ('sex = f', '50.0%', '10.0%', -0.9)
    """
    form = amount if one["kind"] == "mean" else _percent
    what = MOVED[one["kind"]].format(plots.shorten_middle(one["name"], 60), plots.shorten_middle(one["value"], 40))
    return what, form(one["source"]), form(one["target"]), one["effect"]


def display_name(name: str) -> str:
    """Return the name of an example as it reads in a sentence."""
    return f"row {name}" if name.isdecimal() else name


def _features(outputs: S, rows: Codes) -> NDArray[np.float64]:
    return outputs.features[np.searchsorted(outputs.rows, rows)]


def _breakable(text: str) -> Markup:
    """Return ``text``, escaped, with line breaks allowed within paths and file names."""
    return Markup(re.sub(r"[/_]|\.(?=[a-z])", r"\g<0><wbr>", str(escape(text))))


def _range(estimate: AccuracyEstimate | NoEstimate | None) -> str:
    """An estimate as a range, never as one number, since it may miss the truth; one that says too little is unknown."""
    if estimate is None or "unknown" in estimate:
        return "unknown"
    low, high = estimate["low"], estimate["high"]
    limits = f"{_percent(low)} to {_percent(high)}"
    return f"unknown (anything from {limits})" if high - low > WIDEST else limits


def _basis(estimate: AccuracyEstimate | NoEstimate | None) -> str:
    """What an estimate rests on, or why there is none, and how many labels would replace it."""
    if estimate is None:
        return "nothing is known"
    if "unknown" in estimate:
        return f"unknown, as {estimate['unknown']}; about {estimate['labels']} random labels settle it to ± 10 points"
    labels = f"; about {n} random labels tell as much" if (n := estimate.get("labels")) else ""
    return f"{estimate['how']}{labels}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _does(recipe: Recipe) -> str:
    """Return what a method does; nothing of one that is known by its module only."""
    method = recipe.method
    if method == STUDENT:
        return f"trains one model to predict what {_members(recipe)} predict together."
    if method == ENSEMBLE:
        return f"predicts the mean of the probabilities of {_members(recipe)}."
    if plugins.is_spec(method):
        return ""
    try:
        registry = shallow if method in shallow.names() else methods
        return str(registry.summary(method)["does"])
    except BadInput:
        return ""


def _method(recipe: Recipe) -> str:
    if recipe.members:
        role = "a student" if recipe.method == STUDENT else "the mean"
        return f"{recipe.method_name}: {role} of {_members(recipe)}"
    return _with_options(recipe.method, recipe.options)


def _members(recipe: Recipe) -> str:
    *others, last = (one.method for one in recipe.members)
    return f"{', '.join(others)} and {last}" if others else last


def _tried(recipe: Recipe) -> str:
    """The methods that were tried, with why gates left some out."""
    return ", ".join(f"{name} (left out: {why})" if why else name for name, why in recipe.tried_methods.items())


def _with_options(name: str, options: Mapping[str, object]) -> str:
    return " ".join([name, *(f"{key}={value}" for key, value in options.items())])


def _steps(train: Training) -> str:
    batches = f"{train.accumulate} batches of " if train.accumulate > 1 else ""
    return f"{train.steps:,} of {batches}{train.batch_size} examples"


def _fine_tuning(recipe: Recipe) -> str:
    """Return the fine-tuning strategy, and how it was selected."""
    strategy = _with_options(recipe.finetune, recipe.finetune_options)
    if not recipe.tried:
        return strategy
    found = ", ".join(f"{name} {error:.3f}" for name, error in recipe.tried.items())
    return f"{strategy}, selected on validation examples of the source ({found})"


def _pretraining(recipe: Recipe) -> str:
    """Return how the backbone was pretrained, on what and for how long."""
    if (it := recipe.pretrain) is None:
        return ""
    on = "source and target" if it.on == "both" else f"the {it.on}"
    method = _with_options(it.method, it.options)
    return f"{method} on {on} without labels, {_steps(it.train)}, {it.train.optimizer}, rate {it.train.lr}"


def _sources(recipe: Recipe) -> str:
    """Return the source's path; of several sources each one's, with its size."""
    sizes = [f"{short_path(one.path)} ({one.n:,} examples)" for one in recipe.sources]
    return ", ".join(sizes) or short_path(recipe.source.path)


def _target_labels(recipe: Recipe) -> str:
    """Return how many labels of the target were given to learn from, and their path."""
    return f"{given.n:,} to learn from, {short_path(given.path)}" if (given := recipe.target_labels) else ""


def _scored_on(recipe: Recipe) -> str:
    """Return the path, the number and the hash of the examples that the scores are of."""
    return f"{short_path(given.path)}, {given.n:,} examples, content {given.digest}" if (given := recipe.score) else ""


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
