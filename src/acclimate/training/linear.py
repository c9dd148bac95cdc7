"""One fit of a shallow method before a linear model: what `training` is for networks."""

import inspect
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.random_projection import SparseRandomProjection
from torch import Tensor, nn

from acclimate.backbones import Shape
from acclimate.data import skops_files
from acclimate.data.inputs import Inputs
from acclimate.data.labels import Truth
from acclimate.errors import BadInput, first_line
from acclimate.methods import shallow
from acclimate.methods.shallow_base import Rows, stacked
from acclimate.methods.shallow_base import dense as as_dense
from acclimate.recipe import Options, Task
from acclimate.sklearn import STRENGTHS, Adapter, AdapterRegressor, Side
from acclimate.types import Outputs

WIDEST = 5000
"""Columns up to which sparse rows are made dense for a method that takes no sparse ones."""
DIRECTIONS = 300
"""Directions that wider sparse rows are reduced to for such a method."""
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


def reduction(source: Rows, target: Rows, *, svd: int = DIRECTIONS) -> TruncatedSVD:
    """The directions in which the rows of both domains are largest: a truncated SVD, as of latent semantic analysis.

    Args:
        source: Rows ``(n_s, d)``.
        target: Rows ``(n_t, d)``.
        svd: How many directions; fewer where there are fewer rows or columns.
    """
    both = stacked(source, target)
    fitted = TruncatedSVD(min(svd, *both.shape), random_state=0).fit(both)
    fitted.components_ = fitted.components_.astype(np.float32)  # they are most of the model's file
    return fitted


def options() -> dict[str, inspect.Parameter]:
    """The options of the linear model, and of the reduction before it."""
    parameters = {
        k: p for of in (linear, reduction) for k, p in inspect.signature(of, eval_str=True).parameters.items()
    }
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def reduces(method: str, shape: Shape) -> bool:
    """Whether sparse rows would have to be dense for a method, and are too wide for that."""
    return shape.sparse and _needs_dense(method) and shape.n_features > WIDEST


def check(method: str, shape: Shape, estimator: Options) -> Options:
    """Refuse input that a method cannot take; return the options of the linear model that a recipe records.

    Raises:
        BadInput: It is images, or rows are to be reduced that are not.
    """
    if shape.images or shape.parts:
        raise BadInput(
            f"method {method}, before a linear model, is for vectors, tables and text, and these are images; "
            "give features of them as .npz, or take a method that trains a network, such as deep_coral"
        )
    if reduces(method, shape):
        estimator = {"svd": DIRECTIONS} | estimator
    elif "svd" in estimator:
        raise BadInput(
            f"--set backbone.svd: has an effect only on texts and sparse rows of more than {WIDEST:,} columns, before "
            "a method that takes no sparse rows; remove it"
        )
    if estimator.get("svd", 1) < 1:
        raise BadInput(f"--set backbone.svd={estimator['svd']}: is too few; use at least one direction")
    return estimator


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
    """Fit once; random numbers are drawn from a fixed seed alone.

    Args:
        source: Rows to learn from.
        labels: Theirs ``(n,)``.
        target: Rows without labels.
        method: The name of a shallow one, or ``source_only``.
        options: Its options.
        estimator: Those of the linear model; with ``svd`` sparse rows are reduced for a method that takes none.
        task: What is learnt.

    Raises:
        BadInput: The method cannot learn from these examples.
    """
    model = linear(task, **{key: value for key, value in estimator.items() if key != "svd"})
    reduced = "svd" in estimator and _needs_dense(method)
    x, x_target = (rows(inputs, dense=_needs_dense(method) and not reduced) for inputs in (source, target))
    svd = reduction(x, x_target, svd=estimator["svd"]) if reduced else None
    if svd is not None:
        x, x_target = svd.transform(x), svd.transform(x_target)
    if method == "source_only":
        return Fitted(model.fit(x, labels))
    kind = AdapterRegressor if task == "regression" else Adapter
    try:
        return Fitted(kind(model, method=method, options=options).fit(x, labels, X_target=x_target), svd)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise BadInput(f"method {method}: {error}") from error


def save(fitted: "Fitted", path: Path) -> None:
    """Write what `load` reads; stored as it is: numbers do not shrink, and mSDA has a great many."""
    skops_files.dump(fitted.model if fitted.svd is None else [fitted.model, fitted.svd], path, types())


def load(path: Path) -> "Fitted":
    """The model that `fit` left at ``path``.

    Raises:
        BadInput: It cannot be read, or holds what no Run's model does.
    """
    try:
        found = skops_files.load(path, types())
        return Fitted(*found) if isinstance(found, list) else Fitted(found)
    except BadInput:
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise BadInput(f"{path}: not a model of this Run ({first_line(error)}); was it changed?") from error


@cache
def types() -> skops_files.Types:
    """The types that a fitted model may contain: adapters, linear models, shallow methods, the PCA inside one, SVD."""
    ours = (Adapter, AdapterRegressor, *map(shallow.get, shallow.names()))
    classes = (*ours, LogisticRegression, PCA, Ridge, RidgeCV, TruncatedSVD)
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
        svd: What reduces rows for it.
    """

    def __init__(self, model: Adapter | AdapterRegressor | LinearModel, svd: TruncatedSVD | None = None):
        super().__init__()
        self.model, self.svd = model, svd
        self.method = getattr(model, "method_", None)

    def forward(self, inputs: Tensor, domain: Side = "target") -> Outputs:
        """Mapped features, and logits: logarithms of probabilities, or a number."""
        x = rows(inputs.cpu(), dense=self.svd is None and not getattr(self.method, "takes_sparse", True))
        x = x if self.svd is None else self.svd.transform(x)
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
