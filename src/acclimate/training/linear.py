"""One fit of a shallow method before a linear model: what `training` is for networks."""

import inspect
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.random_projection import SparseRandomProjection
from torch import Tensor, nn

from acclimate.backbones import Shape
from acclimate.data import skops_files
from acclimate.data.inputs import Inputs
from acclimate.data.labels import Truth
from acclimate.errors import BadInput, first_line
from acclimate.methods import shallow
from acclimate.methods.shallow_base import Rows
from acclimate.methods.shallow_base import dense as as_dense
from acclimate.recipe import Options, Task
from acclimate.sklearn import STRENGTHS, Adapter, AdapterRegressor, Side
from acclimate.types import Outputs

WIDEST = 5000
"""Columns up to which sparse rows are made dense for a method that takes no sparse ones."""
FEATURES = 256
"""Mapped columns that are kept as features, e.g. for the report's maps; of more a random projection is."""

LinearModel: TypeAlias = LogisticRegression | Ridge | RidgeCV


def linear(task: Task = "classification", *, C: float | None = None) -> LinearModel:
    """The model that shallow methods stand before: logistic regression, or ridge regression for numbers.

    Args:
        task: What it learns.
        C: Inverse strength of its penalty; by default 1 for classes, and found on the source for numbers.
    """
    if task == "classification":
        return LogisticRegression(C=1.0 if C is None else C, max_iter=1000)
    return RidgeCV(alphas=STRENGTHS) if C is None else Ridge(1 / C)


def options() -> dict[str, inspect.Parameter]:
    """The options of the linear model."""
    parameters = inspect.signature(linear, eval_str=True).parameters
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def check(method: str, shape: Shape) -> None:
    """Refuse input that a method cannot take.

    Raises:
        BadInput: It is images, or sparse rows that would have to be dense and are too wide for that.
    """
    if shape.images or shape.parts:
        raise BadInput(
            f"method {method}, before a linear model, is for vectors, tables and text, and these are images; "
            "give features of them as .npz, or take a method that trains a network, such as deep_coral"
        )
    if shape.sparse and _needs_dense(method) and shape.n_features > WIDEST:
        fit = [name for name in shallow.names() if not _needs_dense(name)]
        raise BadInput(f"method {method}: {shape.n_features} columns are too many for it; take {', '.join(fit)}")


def _needs_dense(method: str) -> bool:
    return method in shallow.names() and not shallow.get(method).takes_sparse


def fit(
    source: Inputs,
    labels: Truth,
    target: Inputs,
    *,
    method: str,
    options: Options,
    estimator: Options,
    task: Task = "classification",
) -> "Fitted":
    """Fit once; the fit draws no random numbers.

    Args:
        source: Rows to learn from.
        labels: Theirs ``(n,)``.
        target: Rows without labels.
        method: The name of a shallow one, or ``source_only``.
        options: Its options.
        estimator: Those of the linear model.
        task: What is learnt.

    Raises:
        BadInput: The method cannot learn from these examples.
    """
    model = linear(task, **estimator)
    x, x_target = (rows(inputs, dense=_needs_dense(method)) for inputs in (source, target))
    if method == "source_only":
        return Fitted(model.fit(x, labels))
    kind = AdapterRegressor if task == "regression" else Adapter
    try:
        return Fitted(kind(model, method=method, options=options).fit(x, labels, X_target=x_target))
    except (ValueError, np.linalg.LinAlgError) as error:
        raise BadInput(f"method {method}: {error}") from error


def save(fitted: "Fitted", path: Path) -> None:
    """Write what `load` reads; stored as it is: numbers do not shrink, and mSDA has a great many."""
    skops_files.dump(fitted.model, path, types())


def load(path: Path) -> "Fitted":
    """The model that `fit` left at ``path``.

    Raises:
        BadInput: It cannot be read, or holds what no Run's model does.
    """
    try:
        return Fitted(skops_files.load(path, types()))
    except BadInput:
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise BadInput(f"{path}: not a model of this Run ({first_line(error)}); was it changed?") from error


@cache
def types() -> skops_files.Types:
    """The types that a fitted model may contain: adapters, linear models, shallow methods and the PCA inside one."""
    classes = (Adapter, AdapterRegressor, LogisticRegression, PCA, Ridge, RidgeCV, *map(shallow.get, shallow.names()))
    return skops_files.Types(frozenset(f"{kind.__module__}.{kind.__qualname__}" for kind in classes))


def rows(inputs: Inputs | Tensor, *, dense: bool = False) -> Rows:
    """All rows ``(n, d)`` as scikit-learn takes them, float64: dense, or SciPy's CSR unless they must be dense."""
    batch = inputs if isinstance(inputs, Tensor) else inputs.batch(np.arange(len(inputs)))
    if batch.layout != torch.sparse_csr:
        return batch.double().numpy()
    parts = (batch.values().double().numpy(), batch.col_indices().numpy(), batch.crow_indices().numpy())
    sparse = scipy.sparse.csr_array(parts, shape=tuple(batch.shape))
    return sparse.toarray() if dense else sparse


class Fitted(nn.Module):
    """A fitted scikit-learn model that answers as a network does.

    Args:
        model: An `Adapter`, an `AdapterRegressor`, or the linear model alone.
    """

    def __init__(self, model: Adapter | AdapterRegressor | LinearModel):
        super().__init__()
        self.model = model
        self.method = getattr(model, "method_", None)

    def forward(self, inputs: Tensor, domain: Side = "target") -> Outputs:
        """Mapped features, and logits: logarithms of probabilities, or a number."""
        x = rows(inputs.cpu(), dense=not getattr(self.method, "takes_sparse", True))
        return Outputs(self._features(self._mapped(x, domain)), torch.from_numpy(self._logits(x, domain)), {})

    def _logits(self, x: Rows, domain: Side) -> NDArray[np.float64]:
        keywords: dict[str, Side] = {"domain": domain} if self.method is not None else {}
        if not hasattr(self.model, "predict_proba"):
            return np.asarray(self.model.predict(x, **keywords), dtype=np.float64)[:, None]
        return np.asarray(np.log(self.model.predict_proba(x, **keywords).clip(1e-300)))

    def _mapped(self, x: Rows, domain: Side) -> Rows:
        name = "transform_source" if domain == "source" else "transform"
        mapped: Rows = getattr(self.method, name, lambda same: same)(x)
        return mapped

    def _features(self, mapped: Rows) -> Tensor:
        if mapped.shape[1] > FEATURES:
            mapped = SparseRandomProjection(FEATURES, random_state=0).fit_transform(mapped)
        return torch.from_numpy(np.ascontiguousarray(as_dense(mapped), dtype=np.float32))
