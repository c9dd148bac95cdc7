"""Domain adaptation for any scikit-learn classifier or regressor."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import Pipeline
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from acclimate.errors import BadInput
from acclimate.methods import shallow
from acclimate.methods.shallow_base import Matrix, Rows
from acclimate.recipe import check_options

Labels: TypeAlias = NDArray[Any]
"""Classes of any type, or numbers; `NDArray` has no other way to write it."""
Side: TypeAlias = Literal["source", "target"]
STRENGTHS = tuple(10.0 ** (k / 2) for k in range(-6, 7))
"""Ridge penalties to choose from on the source: no single one suits features of every scale."""
SKADA_SOURCE, SKADA_TARGET, SKADA_NO_LABEL = 1, -2, -1


def _has(name: str) -> Callable[[Adapter], bool]:
    return lambda adapter: hasattr(adapter._estimator(), name)


class AdapterBase(BaseEstimator):
    """A method followed by an estimator: the base of the adapted classifier and regressor.

    Args:
        estimator: The estimator that learns from the source; a suitable one if ``None``.
        method: The name of a shallow method, a shallow method object, or an object of skada's.
        options: Options of the named method.
    """

    def __init__(
        self,
        estimator: BaseEstimator | None = None,
        *,
        method: str | BaseEstimator = "coral",
        options: Mapping[str, object] | None = None,
    ):
        self.estimator = estimator
        self.method = method
        self.options = options

    def fit(self, X: ArrayLike, y: ArrayLike, *, X_target: ArrayLike | None = None) -> Self:
        """Learn from the labelled source ``X``, ``y`` and the unlabelled target ``X_target``."""
        rows, labels = validate_data(self, X, y, accept_sparse="csr", y_numeric=self._regression)
        self._fit_labels(labels)
        target = rows if X_target is None else self._validated(X_target, name="X_target")
        self.method_ = self._method().fit(rows, labels, X_target=target)
        if X_target is None:
            warnings.warn("no X_target is given, so nothing is adapted; fit(X, y, X_target=…)", stacklevel=2)
        self.estimator_ = self.method_ if self._is_estimator() else self._fit_estimator(rows, labels)
        return self

    def predict(self, X: ArrayLike, *, domain: Side = "target") -> Labels:
        """Predict labels for rows ``(n, d)`` of ``domain``."""
        return self._call("predict", X, domain)

    _regression = False

    @abstractmethod
    def _fit_labels(self, y: Labels) -> None:
        """Check the labels and learn the classes."""

    @abstractmethod
    def _default(self) -> BaseEstimator:
        """Return the default estimator."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = get_tags(self._method()).input_tags.sparse
        return tags

    def _call(self, function: str, X: ArrayLike, domain: Side) -> Labels:
        check_is_fitted(self)
        if domain not in {"source", "target"}:
            raise BadInput(f"domain={domain!r}: unknown domain; use 'source' or 'target'")
        rows = self._validated(X)
        if self._is_estimator():
            result: Labels = self.estimator_.call(function, rows, domain)
        else:
            result = getattr(self.estimator_, function)(self._map(rows, domain))
        return result

    def _map(self, X: Rows, domain: Side) -> Rows:
        map_rows = getattr(self.method_, "transform_source" if domain == "source" else "transform", None)
        return X if map_rows is None else np.asarray(map_rows(X))

    def _fit_estimator(self, X: Rows, y: Labels) -> BaseEstimator:
        estimator = self._estimator()
        weights = getattr(self.method_, "weights_", None)
        fit_params = {} if weights is None else weighting(estimator, weights)
        with sklearn.config_context(enable_metadata_routing=False):  # importing skada enables it
            return estimator.fit(self._map(X, "source"), y, **fit_params)

    def _method(self) -> BaseEstimator:
        if isinstance(self.method, str):
            options = check_options(f"method {self.method}", self.options or {}, shallow.options(self.method))
            return shallow.get(self.method)(**options)
        kind = type(self.method).__name__
        if self.options:
            raise BadInput(f"options: method is an object, not a name; pass the options to {kind}")
        takes_target = has_fit_parameter(self.method, "X_target") or has_fit_parameter(self.method, "sample_domain")
        if not takes_target and not isinstance(self.method, Pipeline):
            raise BadInput(f"method: {kind}.fit takes no target; use a shallow method or an object of skada's")
        if self._is_estimator():
            if self.estimator is not None:
                raise BadInput(f"estimator: method {kind} is already an estimator; remove estimator")
            return SkadaEstimator(self.method, regression=self._regression)
        if has_fit_parameter(self.method, "sample_domain"):
            return SkadaAdapter(self.method, regression=self._regression)
        return clone(self.method)

    def _estimator(self) -> BaseEstimator:
        if self._is_estimator():
            return self.method
        return self._default() if self.estimator is None else clone(self.estimator)

    def _is_estimator(self) -> bool:
        return hasattr(self.method, "predict")

    def _validated(self, X: ArrayLike, name: str = "") -> Rows:
        try:
            rows: Rows = validate_data(self, X, reset=False, accept_sparse="csr")
        except ValueError as error:
            raise BadInput(f"{name}: {error}") if name else error from None
        return rows


class Adapter(ClassifierMixin, AdapterBase):
    """A scikit-learn classifier adapted to an unlabelled target.

    The method maps both domains or weights the source; the classifier then learns from the source. It predicts for
    rows of the target, or of the source with ``domain="source"``. Without ``X_target`` it does not adapt,
    and warns of that.

    To choose options by cross-validation on the source, score held-out rows as rows of the source:
    ``GridSearchCV(Adapter(), grid, scoring=Adapter.source_score).fit(X, y, X_target=X_target)``. Note that
    scikit-learn splits fit parameters of the same length as ``X``: each fold then sees only part of such a target.

    Shapes: source ``(n_s, d)``, labels ``(n_s,)``, target ``(n_t, d)``.

    Args:
        estimator: The classifier; logistic regression if ``None``.
        method: The name of a shallow method, a shallow method object, e.g. ``CORAL(reg=0.1)``, or an object of
            skada's: an adapter, or an estimator, which then also is the classifier.
        options: Options of the named method, e.g. ``{"reg": 0.1}``.

    Attributes:
        method_: The fitted method.
        estimator_: The fitted classifier.
        classes_: The labels it predicts.

    Raises:
        BadInput: The method or an option is unknown, or the classifier does not accept the method's weights.

    Example:
        >>> X, y = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0], [3.0, 1.0]]), ["no", "no", "yes", "yes"]
        >>> Adapter(method="coral").fit(X, y, X_target=X + 10).predict(X + 10).tolist()
        ['no', 'no', 'yes', 'yes']
    """

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: ArrayLike, *, domain: Side = "target") -> NDArray[np.float64]:
        """Return probabilities ``(n, k)`` of the ``classes_`` for rows of ``domain``."""
        return self._call("predict_proba", X, domain)

    @available_if(_has("decision_function"))
    def decision_function(self, X: ArrayLike, *, domain: Side = "target") -> NDArray[np.float64]:
        """Return the classifier's decision values for rows of ``domain``."""
        return self._call("decision_function", X, domain)

    def source_score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the accuracy on rows of the source; also a scorer, ``scoring=Adapter.source_score``."""
        return float(accuracy_score(y, self.predict(X, domain="source")))

    def _fit_labels(self, y: Labels) -> None:
        check_classification_targets(y)
        self.classes_ = np.unique(y)

    def _default(self) -> BaseEstimator:
        return LogisticRegression(max_iter=1000)


class AdapterRegressor(RegressorMixin, AdapterBase):
    """A scikit-learn regressor adapted to an unlabelled target; otherwise like `Adapter`.

    Shapes: source ``(n_s, d)``, numbers ``(n_s,)``, target ``(n_t, d)``.

    Args:
        estimator: The regressor; ridge regression if ``None``, its penalty chosen by leave-one-out on the source.
        method: The name of a shallow method, a shallow method object, e.g. ``CORAL(reg=0.1)``, or an object of
            skada's: an adapter, or an estimator, which then also is the regressor.
        options: Options of the named method, e.g. ``{"reg": 0.1}``.

    Attributes:
        method_: The fitted method.
        estimator_: The fitted regressor.

    Raises:
        BadInput: The method or an option is unknown, or the regressor does not accept the method's weights.

    Example:
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), [0.0, 2.0, 4.0, 6.0]
        >>> AdapterRegressor(method="coral").fit(X, y, X_target=X + 10).predict(X + 10).round(2).tolist()
        [0.0, 2.0, 4.0, 6.0]
    """

    _regression = True

    def source_score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return R² on rows of the source; also a scorer, ``scoring=AdapterRegressor.source_score``."""
        return float(r2_score(y, self.predict(X, domain="source")))

    def _fit_labels(self, y: Labels) -> None:
        pass

    def _default(self) -> BaseEstimator:
        return RidgeCV(alphas=STRENGTHS)


def weighting(estimator: BaseEstimator, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the fit parameter that passes row weights to an estimator, or to the last step of a pipeline.

    Raises:
        BadInput: The estimator accepts no weights.
    """
    step, last = estimator.steps[-1] if isinstance(estimator, Pipeline) else ("", estimator)
    if not has_fit_parameter(last, "sample_weight"):
        raise BadInput(
            f"estimator: {type(last).__name__} accepts no sample_weight, which this method needs; "
            "use one that does, such as LogisticRegression or Ridge, or a method that maps features"
        )
    return {f"{step}__sample_weight" if step else "sample_weight": weights}


class SkadaAdapter(BaseEstimator):
    """An adapter of skada's with the interface of a shallow method.

    Args:
        adapter: An adapter that maps features or computes weights.
        regression: Whether labels are numbers rather than classes.
    """

    def __init__(self, adapter: BaseEstimator, *, regression: bool = False):
        self.adapter = adapter
        self.regression = regression

    def fit(self, X: Matrix, y: Labels, *, X_target: Matrix) -> Self:
        """Learn from both domains."""
        rows, labels, domains = stacked(X, y, X_target, regression=self.regression)
        self.adapter_ = clone(self.adapter)
        self.adapter_.fit(rows, labels, sample_domain=domains)
        if hasattr(self.adapter_, "compute_weights"):
            self.weights_ = self.adapter_.compute_weights(rows, sample_domain=domains)[: len(X)]
        return self

    def transform(self, X: Matrix) -> Matrix:
        """Map rows of the target."""
        return self._transform(X, SKADA_TARGET)

    def transform_source(self, X: Matrix) -> Matrix:
        """Map rows of the source."""
        return self._transform(X, SKADA_SOURCE)

    def _transform(self, X: Matrix, domain: int) -> Matrix:
        mapped: Matrix = self.adapter_.transform(X, sample_domain=np.full(len(X), domain), allow_source=True)
        return mapped


class SkadaEstimator(BaseEstimator):
    """An estimator of skada's, or a pipeline of ``make_da_pipeline``: method and estimator in one.

    Args:
        estimator: The estimator, which predicts labels.
        regression: Whether labels are numbers rather than classes.
    """

    def __init__(self, estimator: BaseEstimator, *, regression: bool = False):
        self.estimator = estimator
        self.regression = regression

    def fit(self, X: Matrix, y: Labels, *, X_target: Matrix) -> Self:
        """Learn from both domains."""
        rows, labels, domains = stacked(X, y, X_target, regression=self.regression)
        self.classes_ = np.unique(y)
        self.estimator_ = clone(self.estimator)
        self.estimator_.fit(rows, labels, sample_domain=domains)  # not every fit of skada returns the estimator
        return self

    def call(self, function: str, X: Matrix, domain: Side) -> Labels:
        """Call a function of the estimator, e.g. ``predict``, with rows of ``domain``."""
        source = {"sample_domain": np.full(len(X), SKADA_SOURCE), "allow_source": True}
        result: Labels = getattr(self.estimator_, function)(X, **(source if domain == "source" else {}))
        return self.classes_[result] if function == "predict" and not self.regression else result


def stacked(X: Matrix, y: Labels, X_target: Matrix, *, regression: bool) -> tuple[Matrix, Labels, NDArray[np.int64]]:
    """Stack both domains as skada expects them: rows, labels, and the domain of each row.

    Labels are ``0 … k − 1``, or numbers; the target's labels are skada's value for an unknown label.
    """
    sizes = [len(X), len(X_target)]
    labels = y if regression else np.unique(y, return_inverse=True)[1]
    unknown = np.nan if regression else SKADA_NO_LABEL
    rows = np.vstack([X, X_target])
    return rows, np.r_[labels, np.full(sizes[1], unknown)], np.repeat([SKADA_SOURCE, SKADA_TARGET], sizes)
