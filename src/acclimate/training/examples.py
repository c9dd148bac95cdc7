"""What `acclimate.fit` is given, as rows by index, classes by position and a method with its model."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import ClassVar, Protocol, TypeAlias, TypeVar, cast

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from acclimate import backbones, methods
from acclimate.data.inputs import ArrayImageInputs, DenseInputs, Index, Inputs, SparseInputs
from acclimate.data.labels import Truth, in_units
from acclimate.errors import BadInput, first_line
from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.recipe import LabelScale, Task, Training

Array: TypeAlias = NDArray[np.generic]
Rows: TypeAlias = "Tensor | Array | scipy.sparse.csr_array | Inputs"
Items: TypeAlias = "Dataset[tuple[Tensor, ...]] | DataLoader[tuple[Tensor, ...]]"
Unlabelled: TypeAlias = "Rows | Items | None"
"""Examples without labels: a tensor or array, a ``Dataset``, a ``DataLoader``, rows by index, or none."""
Labelled: TypeAlias = "tuple[Rows, Tensor | Array] | Items | None"
"""Examples with labels: a pair of rows and labels, a ``Dataset`` or ``DataLoader`` of pairs, or none."""

NO_ROWS = DenseInputs(np.empty((0, 0), dtype=np.float32))
NO_LABELS: Truth = np.empty(0, dtype=np.int64)
DEFAULT_SIZE = 64
"""Pixels a side up to which images get the default small net."""


class BatchSource(Protocol):
    """Batches of one domain from any step on."""

    def start(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels of batch ``step`` and all after it."""


@dataclass(frozen=True)
class Examples:
    """Rows by index, their labels as they were given, and a loader of the caller's if there is one."""

    inputs: Inputs
    labels: Array
    loader: "DataLoader[tuple[Tensor, ...]] | None" = None


class TensorInputs:
    """A tensor of any shape, a row for each example."""

    in_memory = True

    def __init__(self, x: Tensor):
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Index) -> Tensor:
        """The rows at ``index``."""
        return self.x.index_select(0, torch.from_numpy(index))

    def digest(self) -> str:
        """Of all numbers."""
        return DenseInputs(self.x.flatten(1).float().numpy()).digest()


class DatasetInputs:
    """The inputs of a map-style ``Dataset``, collated as its loader would."""

    in_memory = False

    def __init__(self, dataset: "Dataset[tuple[Tensor, ...]]", collate: Callable[..., object]):
        self.dataset, self.collate = dataset, collate
        self.n = _length(dataset)

    def __len__(self) -> int:
        return self.n

    def batch(self, index: Index) -> Tensor:
        """The rows at ``index``."""
        batch = self.collate([self.dataset[int(i)] for i in index])
        return _first(batch)

    def digest(self) -> str:
        """Of all rows."""
        return TensorInputs(self.batch(np.arange(self.n))).digest()


class LoaderBatches:
    """A caller's ``DataLoader`` as an endless stream of batches.

    A training that resumes reads past the batches it has seen; it comes to the same weights where the loader's order
    depends on nothing else.
    """

    def __init__(self, loader: "DataLoader[tuple[Tensor, ...]]", encode: Callable[[Array], Truth] | None):
        self.loader, self.encode = loader, encode

    def start(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels of batch ``step`` and all after it."""
        return islice(self._endless(), step, None)

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for batch in self.loader:
                if self.encode is None:
                    yield _first(batch), torch.empty(0)
                else:
                    yield _first(batch), torch.from_numpy(self.encode(np.asarray(batch[1])))


@dataclass(frozen=True)
class ClassCoder:
    """Between classes as they are given and their positions.

    Attributes:
        classes: The labels that positions stand for ``(k,)``.
    """

    classes: Array
    task: ClassVar[Task] = "classification"

    @property
    def n_outputs(self) -> int:
        """Outputs of the head: one for each class."""
        return len(self.classes)

    def encode(self, labels: Array) -> Truth:
        """Positions of classes ``(n,)``.

        Raises:
            BadInput: A class is not among the source's.
        """
        if len(strange := np.setdiff1d(labels, self.classes)):
            raise BadInput(f"labels: class {strange[0].item()!r} is not among the source's")
        return np.searchsorted(self.classes, cast("NDArray[np.int64]", labels)).astype(np.int64)

    def decode(self, logits: NDArray[np.float64]) -> Array:
        """The likeliest class of each row of ``logits (n, k)``."""
        return np.asarray(self.classes[logits.argmax(1)])


@dataclass(frozen=True)
class NumberCoder:
    """Between numbers as they are given and standardised ones.

    Attributes:
        scale: Mean and standard deviation of the source's labels.
    """

    scale: LabelScale
    n_outputs: ClassVar[int] = 1
    task: ClassVar[Task] = "regression"

    def encode(self, labels: Array) -> Truth:
        """Standardised numbers ``(n,)``."""
        return ((labels.astype(np.float64) - self.scale.mean) / self.scale.std).astype(np.float32)

    def decode(self, logits: NDArray[np.float64]) -> Array:
        """The number that each row of ``logits (n, 1)`` stands for."""
        return in_units(logits[:, 0], self.scale)


LabelCoder = ClassCoder | NumberCoder


def label_coder(labels: Array, n_classes: int | None = None) -> LabelCoder:
    """The coder of the source's labels: floating-point labels are numbers, all others are classes.

    Args:
        labels: The source's ``(n,)``.
        n_classes: Outputs of a model that is given; whole numbers below it stand for themselves.

    Raises:
        BadInput: There are other classes than the model has outputs.
    """
    if np.issubdtype(labels.dtype, np.floating):
        numbers = labels.astype(np.float64)
        return NumberCoder(LabelScale(mean=float(numbers.mean()), std=float(numbers.std()) or 1.0))
    classes = np.unique(labels)
    if n_classes is not None and (not len(classes) or _are_positions(classes, n_classes)):
        return ClassCoder(np.arange(n_classes))
    if n_classes is not None and n_classes != len(classes):
        raise BadInput(f"source: has {len(classes)} classes, the model has {n_classes} outputs; give it as many")
    return ClassCoder(classes)


def labelled(given: Labelled, name: str) -> Examples:
    """Labelled examples from whatever holds them.

    Raises:
        BadInput: They have no labels, or as many as do not fit.
    """
    if given is None:
        return Examples(NO_ROWS, NO_LABELS)
    if isinstance(given, DataLoader | Dataset):
        loader = given if isinstance(given, DataLoader) else None
        return Examples(inputs_of(given), _labels_in(given, name), loader)
    if not isinstance(given, tuple) or len(given) != 2:
        raise BadInput(f"{name}: give a pair (x, y), a Dataset of pairs or a DataLoader over one")
    inputs, labels = inputs_of(given[0]), np.asarray(given[1])
    if labels.shape != (len(inputs),):
        raise BadInput(f"{name}: {len(inputs)} rows and labels of shape {labels.shape}; give one label a row")
    return Examples(inputs, labels)


def inputs_of(given: Unlabelled) -> Inputs:
    """Rows by index from whatever holds them: arrays stay on the CPU, images of uint8 become ``(n, 3, h, w)``.

    Raises:
        BadInput: It is nothing that has rows.
    """
    if given is None:
        return NO_ROWS
    if isinstance(given, DataLoader | Dataset):
        dataset = given.dataset if isinstance(given, DataLoader) else given
        if isinstance(dataset, TensorDataset):
            return inputs_of(dataset.tensors[0])
        collate = given.collate_fn if isinstance(given, DataLoader) else torch.utils.data.default_collate
        return DatasetInputs(dataset, collate)
    if isinstance(given, tuple):
        return inputs_of(given[0])
    if scipy.sparse.issparse(given):
        return SparseInputs(scipy.sparse.csr_array(given, dtype=np.float32))
    if isinstance(given, Tensor):
        return _of_tensor(given)
    if isinstance(given, np.ndarray):
        return _of_array(given)
    if hasattr(given, "batch"):
        return cast("Inputs", given)
    raise BadInput(f"{type(given).__name__}: not rows; give a tensor, an array, a Dataset or a DataLoader")


def batches_of(
    given: "DataLoader[tuple[Tensor, ...]] | object", encode: Callable[[Array], Truth] | None = None
) -> BatchSource | None:
    """The caller's own batches, if a ``DataLoader`` was given."""
    return LoaderBatches(given, encode) if isinstance(given, DataLoader) else None


M = TypeVar("M", bound=Method)


def build_method(
    method: Method | type[Method] | str,
    inputs: Inputs,
    coder: LabelCoder,
    *,
    model: nn.Module | None,
    training: Training | None,
    options: Mapping[str, object] = MappingProxyType({}),
) -> tuple[Method, Training]:
    """The method with a model to train, and the training filled with what suits that model.

    Raises:
        BadInput: There is no such method or no default model for these inputs, or both a built method and a model
            are given.
    """
    given = training or Training()
    if isinstance(method, Method):
        if model is not None:
            raise BadInput("model: the method has a model already; leave it out")
        return method, given
    kind = methods.get(method) if isinstance(method, str) else method
    if coder.task not in kind.tasks | ({coder.task} if not kind.tasks else set()):
        raise BadInput(f"method {kind.__name__}: learns classes, and the labels are numbers; choose another method")
    classifier, suits = classifier_of(model, inputs, coder.n_outputs)
    suits = {k: v for k, v in suits.items() if getattr(given, k) is None}
    usual = {} if "batch_norm" in given.model_fields_set else {"batch_norm": kind.batch_norm}
    filled = given.model_copy(update={**suits, **usual})
    if {"source", "target"} <= kind.needs and filled.batch_norm != "concat":
        classifier.separate_batch_norm(shared=filled.batch_norm == "separate")
    return kind(classifier, **options), filled


def classifier_of(model: nn.Module | None, inputs: Inputs, n_outputs: int) -> tuple[Classifier, dict[str, object]]:
    """A classifier of its own: a copy of ``model``, with a linear head if it has none, or a default net.

    Raises:
        BadInput: The model gives no features ``(n, d)``, or there is no default for such inputs.
    """
    if isinstance(model, Classifier):
        return copy.deepcopy(model), {}
    if model is not None:
        own = copy.deepcopy(model)
        d = _feature_dimension(own, inputs)
        return Classifier(own, nn.Linear(d, n_outputs), n_features=d, n_classes=n_outputs), {}
    name, shape = _default(inputs)
    built = backbones.build(name, shape, n_outputs, {})
    return built.classifier, dict(built.training)


@torch.no_grad()
def _feature_dimension(backbone: nn.Module, inputs: Inputs) -> int:
    mode, rows = backbone.training, inputs.batch(np.arange(min(2, len(inputs))))
    try:
        features = backbone.eval()(rows)
    except (RuntimeError, ValueError, TypeError) as error:
        raise BadInput(f"model: fails on inputs of shape {tuple(rows.shape)} ({first_line(error)})") from error
    backbone.train(mode)
    if not isinstance(features, Tensor) or features.ndim != 2:
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise BadInput(f"model: gives {shape} where features (n, d) are needed; end it with pooling and Flatten()")
    return features.shape[1]


def _default(inputs: Inputs) -> tuple[str, backbones.Shape]:
    rows = inputs.batch(np.arange(min(512, len(inputs))))
    if rows.ndim == 2 and (rows.is_floating_point() or rows.layout == torch.sparse_csr):
        sparse = rows.layout == torch.sparse_csr
        return "mlp", backbones.Shape(images=False, n_features=rows.shape[1], sparse=sparse)
    if rows.dtype == torch.uint8 and rows.ndim == 4 and rows.shape[1] == 3 and rows.shape[2] == rows.shape[3]:
        pixels = rows.double()
        mean, std = pixels.mean((0, 2, 3)).tolist(), pixels.std((0, 2, 3)).clamp(min=1).tolist()
        return "cnn", backbones.Shape(images=True, size=rows.shape[2], mean=mean, std=std)
    raise BadInput(f"model: there is no default for inputs of shape {tuple(rows.shape[1:])}; give one")


def _of_tensor(x: Tensor) -> Inputs:
    if x.layout == torch.sparse_csr:
        parts = (x.values().numpy(), x.col_indices().numpy(), x.crow_indices().numpy())
        return SparseInputs(scipy.sparse.csr_array(parts, shape=tuple(x.shape), dtype=np.float32))
    x = x.detach().cpu()
    return DenseInputs(x.float().numpy()) if x.ndim == 2 and x.is_floating_point() else TensorInputs(x)


def _of_array(x: Array) -> Inputs:
    if x.dtype == np.uint8 and x.ndim in {3, 4} and x.shape[1] == x.shape[2]:
        return ArrayImageInputs(cast("NDArray[np.uint8]", x), x.shape[1])
    if x.ndim == 2 and np.issubdtype(x.dtype, np.number):
        return DenseInputs(x.astype(np.float32))
    return TensorInputs(torch.from_numpy(x))


def _labels_in(given: Items, name: str) -> Array:
    dataset = given.dataset if isinstance(given, DataLoader) else given
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) > 1:
        return np.asarray(dataset.tensors[1])
    items = (dataset[i] for i in range(_length(dataset)))
    labels = [item[1] for item in items if isinstance(item, tuple | list) and len(item) > 1]
    if len(labels) != _length(dataset):
        raise BadInput(f"{name}: its items are not pairs (x, y), and labels are needed")
    return np.asarray(labels)


def _length(dataset: "Dataset[tuple[Tensor, ...]]") -> int:
    size = getattr(dataset, "__len__", None)
    if size is None or isinstance(dataset, torch.utils.data.IterableDataset):
        raise BadInput(f"{type(dataset).__name__}: has no length; give a map-style Dataset")
    return int(size())


def _first(batch: object) -> Tensor:
    x = batch[0] if isinstance(batch, tuple | list) else batch
    if not isinstance(x, Tensor):
        raise BadInput(f"a batch holds {type(x).__name__}; its items must be tensors, or pairs that begin with one")
    return x


def _are_positions(classes: Array, n: int) -> bool:
    return bool(np.issubdtype(classes.dtype, np.integer) and classes.min() >= 0 and classes.max() < n)
