"""A finished Run that predicts: it reads the Run's folder and nothing else."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import nn

from acclimate.augment import tta as views
from acclimate.contents import PHASES, Evaluation, Phase
from acclimate.data import Domain
from acclimate.data.inputs import Inputs, ReadableInputs
from acclimate.data.labels import truth
from acclimate.data.preprocess import Preprocess
from acclimate.data.source import Source, as_domain
from acclimate.data.tables import Columns
from acclimate.errors import BadInput, damaged
from acclimate.methods import testtime
from acclimate.metrics import check_positive
from acclimate.nn import Classifier
from acclimate.recipe import check_options, require_classes
from acclimate.run_folder import RunFolder
from acclimate.runs.check import check_run, name_in
from acclimate.runs.choice import Choice, choose
from acclimate.runs.distance import Surroundings, surroundings, warn_of_far
from acclimate.runs.models import load_model, load_preprocess
from acclimate.runs.outputs import AnyOutputs, as_given, kind_of, read_class_outputs
from acclimate.runs.singles import Given, as_examples
from acclimate.runs.summary import Summary, summarise
from acclimate.shift.label_shift import LabelShift, label_shift
from acclimate.training.features import frozen, predict_frozen
from acclimate.training.inference import Predictions, mean_predictions, predict

log = logging.getLogger("acclimate")

Adapt = Callable[[nn.Module], nn.Module]
"""Makes a model adapt as it predicts."""
_NO_FEATURES = np.empty((0, 0), dtype=np.float32)


class Run(RunFolder):
    """A finished Run, with the models that predict.

    Example:
        ``Run.open("demo/run").predict("new_photos/")``
    """

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """A finished Run; see `RunFolder.open`.

        Raises:
            BadInput: There is none, or a file in it was changed or damaged.
        """
        run = cls(RunFolder.open(path).path)
        check_run(run)
        return run

    def __repr__(self) -> str:
        """The path and the result in a few words; the path alone of a Run that cannot be read."""
        try:
            return f"<Run {self.path}: {self._summary().headline.text}>"
        except BadInput:
            return f"<Run {self.path}>"

    def _repr_html_(self) -> str:
        """The summary, as a notebook shows it."""
        return self._summary().html(self.file("report.html"))

    def summary(self) -> str:
        """The result in plain text: how good the models are, on what, and what to do next."""
        return str(self._summary())

    def _summary(self) -> Summary:
        return summarise(self.scores, self.recipe, self.data_summary["sizes"], self.audited)

    def report(self) -> Path:
        """The path of the report, one HTML file that needs no network.

        Raises:
            BadInput: There is none.
        """
        if not (path := self.file("report.html")).is_file():
            raise BadInput(f"{path}: is missing; draw it with `acclimate report {self.path}`")
        return path

    @property
    def kept(self) -> Phase:
        """``adapted`` or ``source_only``: which model predicts."""
        return self.scores["kept"]

    def choose(self, model: str = "", *, alone: str = "") -> Choice:
        """Which of the Run's models predict.

        Args:
            model: ``kept``, ``source_only`` or ``adapted``, of which the first seed's model predicts; ``ensemble``, the
                mean of the probabilities or numbers of all seeds' kept models. By default the ensemble if there are
                several seeds.
            alone: The option that works with one model only, if it is given; the default is then the kept model.

        Raises:
            BadInput: There is no such model.
        """
        seeds = self.recipe.seeds
        choice = choose(model, kept=self.kept, phases=self.phases(), seeds=seeds, alone=alone)
        if alone and not model and len(seeds) > 1:
            log.warning("%s needs one model: %s predicts, not the mean of all seeds", alone, choice)
        return choice

    def predict(
        self,
        examples: Given,
        *,
        model: str = "",
        test_time: str = "",
        settings: Mapping[str, object] | None = None,
        tta: Sequence[str] = (),
    ) -> pl.DataFrame:
        """Class and probability of every class, or a number, for each example, in the order of the input.

        Args:
            examples: Anything that `acclimate.data.source.Source` names; labels in it are ignored. Also one image: its
                path, a PIL image or an array; and a list of paths of images.
            model: What predicts; see `choose`.
            test_time: A method by which the model adapts while it predicts: ``adabn``, ``tent``, ``lame``.
            settings: Options of that method, e.g. ``{"most_changed": 1.0}``.
            tta: Views of each image to average over: ``hflip``, ``shift``, ``five_crop``.

        Returns:
            A row for each: ``name``, ``class`` and a ``p_…`` for each class, or the ``prediction`` of a regression in
            the unit of its labels; its ``distance`` from both domains, above 1 if it is far, null if that is unknown;
            and ``error`` for what could not be read. Many far examples are told in a warning.

        Raises:
            BadInput: The input is of another kind or shape than what the Run was trained on.
        """
        self.check_views(tta)
        if tta and test_time:
            raise BadInput("--tta: cannot be combined with --test-time, which reads each example once; omit one")
        choice = self.choose(model, alone="--test-time" if test_time else "")
        adapt = self._adapting(test_time, settings or {})
        domain = self.domain(examples, read_labels=False)
        inputs = ReadableInputs(self._inputs(domain))
        logits, distances = np.full((len(domain), self.recipe.n_outputs), np.nan), np.full(len(domain), np.nan)
        if len(inputs):
            found = self._predict(choice, inputs, tta, adapt)
            logits[inputs.readable] = found.logits
            if not test_time:
                distances[inputs.readable] = self._distances(choice, found.features)
        columns = [
            pl.Series("name", list(domain.names)),
            *self._outputs(Predictions(logits, _NO_FEATURES), domain.without_labels()).table(),
            pl.Series("distance", distances).fill_nan(None),
            pl.Series("error", [inputs.broken.get(i) for i in range(len(domain))], dtype=pl.String),
        ]
        return pl.DataFrame(columns)

    def _distances(self, choice: Choice, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """How far examples are from both domains ``(n,)``, by the features of the first model; NaN if it is unknown."""
        model = choice.seeds[0], choice.phase
        if model not in self._surroundings:
            self._surroundings[model] = surroundings(self, *model)
        if (known := self._surroundings[model]) is None or len(known.mean) != features.shape[1]:
            return np.full(len(features), np.nan)
        distances = known.distances(features)
        if warning := warn_of_far(distances):
            log.warning(warning)
        return distances

    def check_views(self, tta: Sequence[str]) -> None:
        """Refuse views for test-time augmentation that this Run's examples do not have.

        Raises:
            BadInput: There is no such view, or the examples are not images.
        """
        views.check(tta, images=self.preprocess.kind == "images")

    def require_classes(self, option: str) -> None:
        """Refuse an option that is for classes only.

        Raises:
            BadInput: The Run predicts numbers.
        """
        require_classes(self.recipe.task, option)

    def _outputs(self, predictions: Predictions, domain: Domain) -> AnyOutputs:
        return kind_of(self.recipe).of(predictions, domain, self.recipe)

    def _predict(self, choice: Choice, inputs: Inputs, tta: Sequence[str], adapt: Adapt | None = None) -> Predictions:
        """What the chosen models give, one after another, or one that adapts as it predicts."""
        models = (self.model(choice.phase, seed) for seed in choice.seeds)
        if choice.model == "ensemble" and not tta and frozen(self.recipe):
            return mean_predictions(predict_frozen((m for m in models if isinstance(m, Classifier)), inputs))
        adapting = map(adapt, models) if adapt else models
        return mean_predictions(predict(model, inputs, "target", tta=tta) for model in adapting)

    def _adapting(self, test_time: str, settings: Mapping[str, object]) -> Adapt | None:
        """What makes a model adapt as it predicts, if anything does."""
        if settings and not test_time:
            raise BadInput(f"{next(iter(settings))}: has no effect without --test-time; add the method, or remove it")
        if not test_time:
            return None
        self.require_classes("--test-time")
        kind = testtime.get(test_time)
        options = check_options(f"test-time {test_time}", settings, testtime.options(test_time))

        def adapt(model: nn.Module) -> nn.Module:
            if not isinstance(model, Classifier):
                raise BadInput(f"--test-time: {test_time} adapts a network, and this Run's model is linear; omit it")
            return kind(model, **options)

        return adapt

    def label_shift(self, predicted: pl.DataFrame, how: str = "em", *, model: str = "") -> LabelShift:
        """How often each class occurs among the examples of `predict`, if nothing but the shares has changed.

        It compares them with the predictions for held-out examples of the source. These are others for each seed, so
        it needs the predictions of one seed's model: with several seeds, give ``model="kept"`` to both.

        Args:
            predicted: What `predict` gave.
            how: ``bbse``, ``rlls`` or ``em``.
            model: What `predict` was given.

        Raises:
            BadInput: No example could be read, there is no such estimator, the Run predicts numbers, or the ensemble
                predicted.
        """
        self.require_classes("--label-shift")
        choice = self.choose(model)
        if choice.model == "ensemble":
            raise BadInput("--label-shift: needs the predictions of one model; use --model kept")
        target = self._probabilities(predicted)
        if not len(target):
            raise BadInput("--label-shift: no example could be read; give some that can")
        seed, place = choice.seeds[0], "source_val"
        if not (path := self.outputs(seed, choice.phase, place)).is_file():
            raise BadInput(
                "--label-shift: needs held-out examples of the source, which this model has never met "
                f"(it started from {self.recipe.origin}); use that Run"
            )
        held = read_class_outputs(self, seed, choice.phase, place)
        if held.labels is None:
            raise damaged(self.path, name_in(self, path), "has no labels")
        return label_shift(how, held.probabilities, held.labels, target)

    def correct(self, predicted: pl.DataFrame, shift: LabelShift) -> pl.DataFrame:
        """What `predict` gave, corrected for the class shares of ``shift``."""
        read, classes = predicted["class"].is_not_null(), self.recipe.classes
        corrected = np.full((predicted.height, len(classes)), np.nan)
        corrected[read.to_numpy()] = shift.correct(self._probabilities(predicted))
        best = corrected[read.to_numpy()].argmax(1)
        chosen = pl.Series("class", [None] * predicted.height, dtype=pl.String)
        chosen = as_given(chosen.scatter(read.arg_true(), [classes[i] for i in best]), self.recipe)
        columns = [pl.Series(f"p_{c}", corrected[:, j]).fill_nan(None) for j, c in enumerate(classes)]
        return predicted.with_columns(chosen, *columns)

    def _probabilities(self, predicted: pl.DataFrame) -> NDArray[np.float64]:
        columns = [f"p_{c}" for c in self.recipe.classes]
        return predicted.filter(pl.col("class").is_not_null()).select(columns).to_numpy()

    def evaluate(
        self, labelled: Source, *, model: str = "", positive: Sequence[str] = (), tta: Sequence[str] = ()
    ) -> Evaluation:
        """Scores on labelled examples of the chosen model and, beside it, of each phase with the same seeds.

        Args:
            labelled: As for `predict`, with labels.
            model: What predicts; see `choose`.
            positive: Classes that are positive together, for the AUC; by default those the Run was scored with.
            tta: Views of each image to average over; the scores with them stand apart, under ``tta``.

        Raises:
            BadInput: They have no labels, or other classes, or none that are numbers in a regression; or a view or a
                positive class makes no sense.
        """
        self.check_views(tta)
        choice = self.choose(model)
        if positive:
            self.require_classes("--positive")
        positive = positive or self.scores.get("positive", ())
        check_positive(positive, self.recipe.classes)
        domain = self.domain(labelled)
        truth(domain, self.recipe)  # refused before any work
        inputs = self._inputs(domain)
        outputs = self._of_phases(choice.seeds, domain, inputs)
        found = {phase: of.scores(positive) for phase, of in outputs.items()}
        about = {"n": len(domain), "model": choice.model, "kept": self.kept, "seeds": list(choice.seeds)}
        more = outputs[choice.phase].scores_by_class()
        result: dict[str, object] = {**about, **found[choice.phase], **more, **found}
        if tta:
            outputs = self._of_phases(choice.seeds, domain, inputs, tta)
            found = {phase: of.scores(positive) for phase, of in outputs.items()}
            result["tta"] = {"views": list(tta), **found[choice.phase], **found}
        return cast("Evaluation", result)  # its keys depend on the task and the phases

    def outputs_for(self, labelled: Domain, choice: Choice) -> Mapping[str, AnyOutputs]:
        """What the models of each phase give for a labelled domain, with the seeds of the chosen ones.

        Raises:
            BadInput: There are no labels, or other classes, or none that are numbers in a regression.
        """
        truth(labelled, self.recipe)  # refused before any work
        return self._of_phases(choice.seeds, labelled, self._inputs(labelled))

    def _of_phases(
        self, seeds: tuple[int, ...], domain: Domain, inputs: Inputs, tta: Sequence[str] = ()
    ) -> dict[str, AnyOutputs]:
        """What the models of some seeds give for a domain, by phase."""
        choices = [Choice(phase, seeds) for phase in self.phases()]
        return {choice.phase: self._outputs(self._predict(choice, inputs, tta), domain) for choice in choices}

    def domain(self, examples: Given, *, read_labels: bool = True) -> Domain:
        """Examples, read the way the Run's target was; their labels only with ``read_labels``."""
        return as_domain(
            as_examples(examples, self.preprocess.kind),
            name="examples",
            **self.columns._replace(read_labels=read_labels)._asdict(),
        )

    @property
    def columns(self) -> Columns:
        """What the columns of a table are for; those that select rows of its domains are no features."""
        spec = self.recipe.source
        parts = [path.partition("#")[2].partition("=") for path in self.recipe.source_paths]
        drop = (*spec.drop, *(column for column, selects, _ in parts if selects))
        return Columns(spec.label, spec.text, spec.image, drop)

    def _inputs(self, domain: Domain) -> Inputs:
        return self.preprocess.inputs(domain, cache_bytes=self.recipe.train.cache_mb * 2**20)

    def model(self, phase: str, seed: int | None = None) -> nn.Module:
        """The model of a phase, by default of the first seed; only that one stays in memory."""
        first = self.recipe.seeds[0]
        if seed not in (None, first):
            return load_model(self, seed, phase)
        if phase not in self._models:
            self._models[phase] = load_model(self, first, phase)
        return self._models[phase]

    @cached_property
    def preprocess(self) -> Preprocess:
        """What was fitted on source and target before training."""
        return load_preprocess(self)

    @cached_property
    def _models(self) -> dict[str, nn.Module]:
        return {}

    @cached_property
    def _surroundings(self) -> dict[tuple[int, str], Surroundings | None]:
        return {}

    def phases(self) -> Sequence[Phase]:
        """The models there are: ``source_only`` and, unless that is the method itself, ``adapted``."""
        return [p for p in PHASES if self.weights(self.recipe.seeds[0], p).exists()]
