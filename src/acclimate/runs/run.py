"""A finished Run that predicts: it reads the Run's folder and nothing else."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from acclimate import backbones, data, finetune
from acclimate.augment import tta as views
from acclimate.data import Domain, preprocess
from acclimate.data.arrays import from_arrays
from acclimate.data.inputs import Index, Inputs, ReadableInputs, rows_of
from acclimate.data.labels import in_units
from acclimate.data.preprocess import (
    ImagePreprocess,
    ImageTextPreprocess,
    Preprocess,
    TablePreprocess,
    TextPreprocess,
    TokenPreprocess,
    VectorPreprocess,
)
from acclimate.errors import BadInput, first_line
from acclimate.methods import testtime
from acclimate.metrics import all_scores, by_name, check_positive, confusion, errors, recalls
from acclimate.nn import Classifier
from acclimate.recipe import LabelScale, check_options
from acclimate.run_folder import RunFolder
from acclimate.shift.label_shift import LabelShift, label_shift
from acclimate.training.linear import load as load_fitted

BATCH = 256


class Said(NamedTuple):
    """What a model said of a domain: ``logits (n, k)``, for a number ``(n, 1)``, and ``features (n, d)``."""

    logits: NDArray[np.float64]
    features: NDArray[np.float32]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Of each class, ``(n, k)``."""
        return softmax(self.logits)

    def numbers(self, scale: LabelScale) -> NDArray[np.float64]:
        """What is predicted ``(n,)``, in the units of the labels."""
        return in_units(self.logits[:, 0], scale)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of ``logits (n, k)``."""
    return np.asarray(torch.from_numpy(logits).softmax(1).numpy())


def shape_of(fitted: Preprocess) -> backbones.Shape:
    """What comes out of the preprocessing, as a backbone wants to know it."""
    if isinstance(fitted, ImagePreprocess):
        return backbones.Shape(images=True, size=fitted.size, mean=fitted.mean, std=fitted.std)
    if isinstance(fitted, TokenPreprocess):
        return backbones.Shape(images=False, n_features=fitted.length, encoder=fitted.folder)
    if isinstance(fitted, ImageTextPreprocess):
        seen, read = shape_of(fitted.images), shape_of(fitted.texts)
        row = 3 * seen.size**2 + 4 * read.n_features
        return backbones.Shape(images=False, n_features=row, size=seen.size, parts=(seen, read))
    assert isinstance(fitted, VectorPreprocess | TablePreprocess | TextPreprocess)
    sparse = isinstance(fitted, TextPreprocess) or (isinstance(fitted, VectorPreprocess) and fitted.sparse)
    return backbones.Shape(images=False, n_features=fitted.n_features, sparse=sparse)


def load_model(run: RunFolder, seed: int, phase: str) -> nn.Module:
    """A trained model of a Run, in evaluation mode, on a GPU if there is one and it is a network.

    Raises:
        BadInput: Its weights cannot be read or are another architecture's.
    """
    recipe, path = run.recipe, run.weights(seed, phase)
    if not recipe.trains_a_network:
        return load_fitted(path).eval()
    shape = shape_of(preprocess.load(run.file("preprocess")))
    model = finetune.classifier(recipe, phase, shape, pretrained=False)
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:  # a damaged or foreign file fails in many ways
        raise BadInput(f"{path}: not the weights of this Run ({first_line(error)}); was it changed?") from error
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


@torch.no_grad()
def say(model: nn.Module, inputs: Inputs, domain: str, tta: Sequence[str] = ()) -> Said:
    """Run the model over all rows of a domain; with views for ``tta`` its answer is the mean over them."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    logits, features = [], []
    for rows in rows_of(inputs, BATCH):
        seen = [model(view, domain) for view in views.views_of(inputs.batch(rows).to(device), tta)]
        logits.append(mean_answer([out.logits.double() for out in seen]).cpu().numpy())
        features.append(seen[0].features.float().cpu().numpy())
    return Said(np.concatenate(logits), np.concatenate(features))


def mean_answer(logits: Sequence[Tensor]) -> Tensor:
    """Logits ``(n, k)`` of the mean of the probabilities that several logits stand for; of numbers ``(n, 1)`` the mean.

    Example:
        >>> mean_answer([torch.tensor([[0.0, 0.0]]), torch.tensor([[100.0, 0.0]])]).softmax(1)
        tensor([[0.7500, 0.2500]])
    """
    if len(logits) == 1:
        return logits[0]
    stacked = torch.stack(list(logits))
    if stacked.shape[2] == 1:
        return stacked.mean(0)
    return stacked.log_softmax(2).logsumexp(0) - math.log(len(logits))


class Run(RunFolder):
    """A finished Run, with the model that was kept.

    Example:
        ``Run.open("demo/run").predict("new_photos/")``
    """

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """A finished Run; see `RunFolder.open`."""
        return cls(RunFolder.open(path).path)

    @property
    def kept(self) -> str:
        """``adapted`` or ``source_only``: which model predicts.

        Raises:
            BadInput: The Run's scores do not say so.
        """
        if (kept := self.scores.get("kept")) not in {"adapted", "source_only"}:
            raise BadInput(f"{self.file('scores.json')}: says not which model is kept; was it changed by hand?")
        return str(kept)

    def predict(
        self,
        examples: Any,
        *,
        test_time: str = "",
        settings: Mapping[str, Any] | None = None,
        tta: Sequence[str] = (),
    ) -> pl.DataFrame:
        """Class and probability of every class, or a number, for each example, in the order of the input.

        Args:
            examples: A path, a `Domain`, an array as in an ``.npz``, or a pair of it and labels.
            test_time: A method by which the model adapts while it predicts: ``adabn``, ``tent``, ``lame``.
            settings: Options of that method, e.g. ``{"most_changed": 1.0}``.
            tta: Views of each image to average over: ``hflip``, ``shift``, ``five_crop``.

        Returns:
            A row for each: ``name``, ``class`` and a ``p_…`` for each class, or the ``prediction`` of a regression in
            the unit of its labels, and ``error`` for what could not be read.

        Raises:
            BadInput: The input is of another kind or shape than what the Run was trained on.
        """
        self.check_views(tta)
        if tta and test_time:
            raise BadInput("--tta and --test-time: a model that adapts as it predicts looks at each example once")
        model = self._predicting(test_time, settings or {})
        domain = self.domain(examples)
        inputs = ReadableInputs(self._inputs(domain))
        logits = np.full((len(domain), self.recipe.n_outputs), np.nan)
        if len(inputs):
            logits[inputs.readable] = say(model, inputs, "target", tta).logits
        columns = [
            pl.Series("name", list(domain.names)),
            *(self._number_column(logits) if self.predicts_numbers else self._class_columns(logits, inputs.readable)),
            pl.Series("error", [inputs.broken.get(i) for i in range(len(domain))], dtype=pl.String),
        ]
        return pl.DataFrame(columns)

    @property
    def predicts_numbers(self) -> bool:
        """Whether it is a regression's Run."""
        return self.recipe.task == "regression"

    def check_views(self, tta: Sequence[str]) -> None:
        """Refuse views for test-time augmentation that this Run's examples do not have.

        Raises:
            BadInput: There is no such view, or the examples are no images.
        """
        views.check(tta, images=self.preprocess.kind == "images")

    def require_classes(self, asked: str) -> None:
        """Refuse what makes sense for classes alone.

        Raises:
            BadInput: The Run predicts numbers.
        """
        if self.predicts_numbers:
            raise BadInput(f"{asked} is for classes, and this Run predicts numbers; leave it out")

    def _number_column(self, logits: NDArray[np.float64]) -> list[pl.Series]:
        return [pl.Series("prediction", in_units(logits[:, 0], self.recipe.scale)).fill_nan(None)]

    def _class_columns(self, logits: NDArray[np.float64], readable: Index) -> list[pl.Series]:
        probabilities, classes = softmax(logits), self.recipe.classes
        chosen: list[str | None] = [None] * len(logits)
        for i in readable:
            chosen[i] = classes[int(probabilities[i].argmax())]
        shares = [pl.Series(f"p_{c}", probabilities[:, j]).fill_nan(None) for j, c in enumerate(classes)]
        return [pl.Series("class", chosen, dtype=pl.String), *shares]

    def _predicting(self, test_time: str, settings: Mapping[str, Any]) -> nn.Module:
        """The kept model, or one that adapts as it predicts."""
        if settings and not test_time:
            raise BadInput(f"setting {next(iter(settings))!r}: options go with --test-time; name the method")
        if not test_time:
            return self.model(self.kept)
        self.require_classes("--test-time")
        kind = testtime.get(test_time)
        options = check_options(f"test-time {test_time}", settings, testtime.options(test_time))
        model = self.model(self.kept)
        if not isinstance(model, Classifier):
            raise BadInput(f"--test-time {test_time}: adapts a network, and this Run's model is linear; leave it out")
        return kind(model, **options)

    def label_shift(self, predicted: pl.DataFrame, how: str = "em") -> LabelShift:
        """How often each class occurs among the examples of `predict`, if nothing but the shares has changed.

        Args:
            predicted: What `predict` gave.
            how: ``bbse``, ``rlls`` or ``em``.

        Raises:
            BadInput: No example could be read, there is no such estimator, or the Run predicts numbers.
        """
        self.require_classes("--label-shift")
        there = self._probabilities(predicted)
        if not len(there):
            raise BadInput("label shift: of no example the class is known; give some that can be read")
        if not (path := self.outputs(self.recipe.seeds[0], self.kept, "source_val")).is_file():
            raise BadInput(
                "label shift: is told from held-out examples of the source, which this model has never met "
                f"(it started from {self.recipe.origin}); ask for it there"
            )
        held = pl.read_parquet(path)
        here = np.array(held["probabilities"].to_list(), dtype=np.float64)
        codes = {c: i for i, c in enumerate(self.recipe.classes)}
        labels = np.array([codes[c] for c in held["label"]], dtype=np.int64)
        return label_shift(how, here, labels, there)

    def correct(self, predicted: pl.DataFrame, shift: LabelShift) -> pl.DataFrame:
        """What `predict` gave, corrected for the class shares of ``shift``."""
        read, classes = predicted["class"].is_not_null(), self.recipe.classes
        corrected = np.full((predicted.height, len(classes)), np.nan)
        corrected[read.to_numpy()] = shift.correct(self._probabilities(predicted))
        best = corrected[read.to_numpy()].argmax(1)
        chosen = pl.Series("class", [None] * predicted.height, dtype=pl.String)
        chosen = chosen.scatter(read.arg_true(), [classes[i] for i in best])
        columns = [pl.Series(f"p_{c}", corrected[:, j]).fill_nan(None) for j, c in enumerate(classes)]
        return predicted.with_columns(chosen, *columns)

    def _probabilities(self, predicted: pl.DataFrame) -> NDArray[np.float64]:
        columns = [f"p_{c}" for c in self.recipe.classes]
        return predicted.filter(pl.col("class").is_not_null()).select(columns).to_numpy()

    def evaluate(self, labelled: Any, *, positive: Sequence[str] = (), tta: Sequence[str] = ()) -> dict[str, Any]:
        """Scores on labelled examples of the kept model and, beside it, of both; of the first seed.

        Args:
            labelled: As for `predict`, with labels.
            positive: Classes that are positive together, for the AUC; by default those the Run was scored with.
            tta: Views of each image to average over; the scores with them stand apart, under ``tta``.

        Raises:
            BadInput: They have no labels, or other classes, or none that are numbers in a regression; or a view or a
                positive class makes no sense.
        """
        self.check_views(tta)
        if positive:
            self.require_classes("--positive")
        positive = positive or self.scores.get("positive", ())
        check_positive(positive, self.recipe.classes)
        domain = self.domain(labelled)
        inputs = self._inputs(domain)
        said = self._said(inputs)
        found = {phase: self._judged(of, domain, positive) for phase, of in said.items()}
        more = {} if self.predicts_numbers else self._by_class(said[self.kept], domain)
        told = {"n": len(domain), "kept": self.kept, **found[self.kept], **more, **found}
        if tta:
            found = {phase: self._judged(of, domain, positive) for phase, of in self._said(inputs, tta).items()}
            told["tta"] = {"views": list(tta), **found[self.kept], **found}
        return told

    def _said(self, inputs: Inputs, tta: Sequence[str] = ()) -> dict[str, Said]:
        return {phase: say(self.model(phase), inputs, "target", tta) for phase in self.phases()}

    def _judged(self, said: Said, domain: Domain, positive: Sequence[str]) -> dict[str, Any]:
        recipe = self.recipe
        if self.predicts_numbers:
            return errors(said.numbers(recipe.scale), domain.numbers())
        return all_scores(said.probabilities, domain.codes(recipe.classes), recipe.classes, positive)

    def _by_class(self, said: Said, domain: Domain) -> dict[str, Any]:
        labels, classes = domain.codes(self.recipe.classes), self.recipe.classes
        counts = confusion(said.probabilities, labels)
        return {"recall": by_name(recalls(said.probabilities, labels), classes), "confusion": counts.tolist()}

    def domain(self, examples: Any) -> Domain:
        """``examples`` read the way the Run's target was."""
        if isinstance(examples, Domain):
            return examples
        if isinstance(examples, str | Path):
            place = self.recipe.source
            parted = place.path.partition("#")[2].partition("=")  # the column that parts a table is no feature
            drop = (*place.drop, *([parted[0]] if parted[1] else []))
            return data.load(examples, label=place.label, text=place.text, image=place.image, drop=drop)
        x, y = examples if isinstance(examples, tuple) else (examples, None)
        return from_arrays(x, y, name="examples")

    def _inputs(self, domain: Domain) -> Inputs:
        return self.preprocess.inputs(domain, cache_bytes=self.recipe.train.cache_mb * 2**20)

    def model(self, phase: str) -> nn.Module:
        """The first seed's model of a phase."""
        if phase not in self._models:
            self._models[phase] = load_model(self, self.recipe.seeds[0], phase)
        return self._models[phase]

    @cached_property
    def preprocess(self) -> Preprocess:
        """What was fitted on source and target before training."""
        return preprocess.load(self.file("preprocess"))

    @cached_property
    def _models(self) -> dict[str, nn.Module]:
        return {}

    def phases(self) -> Sequence[str]:
        """The models there are: ``source_only`` and, unless that is the method itself, ``adapted``."""
        return [p for p in ("source_only", "adapted") if self.weights(self.recipe.seeds[0], p).exists()]
