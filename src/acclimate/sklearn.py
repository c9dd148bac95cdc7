"""Domain adaptation before any scikit-learn classifier or regressor."""

from __future__ import annotations

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
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from acclimate.errors import BadInput
from acclimate.methods import shallow
from acclimate.recipe import check_options

Matrix: TypeAlias = NDArray[np.float64]
Side: TypeAlias = Literal["source", "target"]
STRENGTHS = tuple(10.0 ** (k / 2) for k in range(-6, 7))
"""Of a ridge's penalty, to choose from on the source: one would not suit features of any scale."""
SKADA_SOURCE, SKADA_TARGET, SKADA_NO_LABEL = 1, -2, -1


def _can(what: str) -> Callable[[Adapter], bool]:
    return lambda adapter: hasattr(adapter._estimator(), what)


class AdapterBase(BaseEstimator):
    """What an adapted classifier and an adapted regressor share: a method before an estimator.

    Args:
        estimator: What learns from the source; one that suits if ``None``.
        method: The name of a shallow method, such an object, or one of skada's.
        options: Options of the method named.
    """

    def __init__(self, estimator: Any = None, *, method: Any = "coral", options: Mapping[str, Any] | None = None):
        self.estimator = estimator
        self.method = method
        self.options = options

    def fit(self, X: ArrayLike, y: ArrayLike, *, X_target: ArrayLike | None = None) -> Self:
        """Learn from the labelled source ``X``, ``y`` and the unlabelled target ``X_target``."""
        X, y = validate_data(self, X, y, accept_sparse="csr", y_numeric=self._numbers)
        self._see(y)
        target = X if X_target is None else self._read(X_target, name="X_target")
        self.method_ = self._method().fit(X, y, X_target=target)
        self.estimator_ = self.method_ if self._is_whole() else self._fit_estimator(X, y)
        return self

    def predict(self, X: ArrayLike, *, domain: Side = "target") -> NDArray[Any]:
        """Labels of rows ``(n, d)`` of ``domain``."""
        return self._answer("predict", X, domain)

    _numbers = False

    @abstractmethod
    def _see(self, y: Any) -> None:
        """Look at the labels."""

    @abstractmethod
    def _default(self) -> Any:
        """The estimator where none is given."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = get_tags(self._method()).input_tags.sparse
        return tags

    def _answer(self, what: str, X: ArrayLike, domain: Side) -> NDArray[Any]:
        check_is_fitted(self)
        if domain not in {"source", "target"}:
            raise BadInput(f"domain={domain!r} is neither 'source' nor 'target'")
        rows = self._read(X)
        if self._is_whole():
            answer: NDArray[Any] = self.estimator_.answer(what, rows, domain)
        else:
            answer = getattr(self.estimator_, what)(self._map(rows, domain))
        return answer

    def _map(self, X: Any, domain: Side) -> Any:
        map_rows = getattr(self.method_, "transform_source" if domain == "source" else "transform", None)
        return X if map_rows is None else np.asarray(map_rows(X))

    def _fit_estimator(self, X: Any, y: Any) -> Any:
        estimator = self._estimator()
        weights = getattr(self.method_, "weights_", None)
        told = {} if weights is None else weighting(estimator, weights)
        with sklearn.config_context(enable_metadata_routing=False):  # which skada turns on when it is imported
            return estimator.fit(self._map(X, "source"), y, **told)

    def _method(self) -> Any:
        if isinstance(self.method, str):
            told = check_options(f"method {self.method}", self.options or {}, shallow.options(self.method))
            return shallow.get(self.method)(**told)
        if self.options:
            raise BadInput("options go with the name of a method; this method is an object, give it its options")
        takes_both = has_fit_parameter(self.method, "X_target") or has_fit_parameter(self.method, "sample_domain")
        if not takes_both and not isinstance(self.method, Pipeline):
            kind = type(self.method).__name__
            raise BadInput(f"{kind}.fit takes no target: it is neither a shallow method nor one of skada's")
        if self._is_whole():
            if self.estimator is not None:
                raise BadInput(f"{type(self.method).__name__} is an estimator itself: leave out the estimator")
            return SkadaEstimator(self.method, numbers=self._numbers)
        if has_fit_parameter(self.method, "sample_domain"):
            return SkadaAdapter(self.method, numbers=self._numbers)
        return clone(self.method)

    def _estimator(self) -> Any:
        if self._is_whole():
            return self.method
        return self._default() if self.estimator is None else clone(self.estimator)

    def _is_whole(self) -> bool:
        return hasattr(self.method, "predict")

    def _read(self, X: ArrayLike, name: str = "") -> Any:
        try:
            return validate_data(self, X, reset=False, accept_sparse="csr")
        except ValueError as error:
            raise BadInput(f"{name}: {error}") if name else error from None


class Adapter(ClassifierMixin, AdapterBase):
    """A scikit-learn classifier, adapted to a target of which it sees no label.

    The method maps both domains, or weights the source; the classifier then learns from the source. What it
    predicts for are rows of the target, unless told ``domain="source"``. Without ``X_target`` nothing is adapted.

    To choose options by cross-validation on the source, score held-out rows as rows of the source:
    ``GridSearchCV(Adapter(), grid, scoring=Adapter.source_score).fit(X, y, X_target=X_target)``. Mind that
    scikit-learn splits a fit parameter that is as long as ``X``: such a target is seen in part in each fold.

    Shapes: source ``(n_s, d)``, labels ``(n_s,)``, target ``(n_t, d)``.

    Args:
        estimator: The classifier; logistic regression if ``None``.
        method: The name of a shallow method, such an object, e.g. ``CORAL(reg=0.1)``, or one of skada's: an adapter,
            or a whole estimator, which then is the classifier too.
        options: Options of the method named, e.g. ``{"reg": 0.1}``.

    Attributes:
        method_: The method as fitted.
        estimator_: The classifier as fitted.
        classes_: The labels it predicts.

    Raises:
        BadInput: There is no such method or option, or the method gives weights that the classifier does not take.

    Example:
        >>> X, y = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0], [3.0, 1.0]]), ["no", "no", "yes", "yes"]
        >>> Adapter(method="coral").fit(X, y, X_target=X + 10).predict(X + 10).tolist()
        ['no', 'no', 'yes', 'yes']
    """

    @available_if(_can("predict_proba"))
    def predict_proba(self, X: ArrayLike, *, domain: Side = "target") -> NDArray[np.float64]:
        """Probabilities ``(n, k)`` of the ``classes_`` for rows of ``domain``."""
        return self._answer("predict_proba", X, domain)

    @available_if(_can("decision_function"))
    def decision_function(self, X: ArrayLike, *, domain: Side = "target") -> NDArray[np.float64]:
        """The classifier's decision values for rows of ``domain``."""
        return self._answer("decision_function", X, domain)

    def source_score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Accuracy on rows of the source; itself a scorer, ``scoring=Adapter.source_score``."""
        return float(accuracy_score(y, self.predict(X, domain="source")))

    def _see(self, y: Any) -> None:
        check_classification_targets(y)
        self.classes_ = np.unique(y)

    def _default(self) -> Any:
        return LogisticRegression(max_iter=1000)


class AdapterRegressor(RegressorMixin, AdapterBase):
    """A scikit-learn regressor, adapted to a target of which it sees no label; otherwise as `Adapter`.

    Shapes: source ``(n_s, d)``, numbers ``(n_s,)``, target ``(n_t, d)``.

    Args:
        estimator: The regressor; ridge regression if ``None``, its strength found by leave-one-out on the source.
        method: The name of a shallow method, such an object, e.g. ``CORAL(reg=0.1)``, or one of skada's: an adapter,
            or a whole estimator, which then is the regressor too.
        options: Options of the method named, e.g. ``{"reg": 0.1}``.

    Attributes:
        method_: The method as fitted.
        estimator_: The regressor as fitted.

    Raises:
        BadInput: There is no such method or option, or the method gives weights that the regressor does not take.

    Example:
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), [0.0, 2.0, 4.0, 6.0]
        >>> AdapterRegressor(method="coral").fit(X, y, X_target=X + 10).predict(X + 10).round(2).tolist()
        [0.0, 2.0, 4.0, 6.0]
    """

    _numbers = True

    def source_score(self, X: ArrayLike, y: ArrayLike) -> float:
        """R² on rows of the source; itself a scorer, ``scoring=AdapterRegressor.source_score``."""
        return float(r2_score(y, self.predict(X, domain="source")))

    def _see(self, y: Any) -> None:
        pass

    def _default(self) -> Any:
        return RidgeCV(alphas=STRENGTHS)


def weighting(estimator: Any, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """How the ``fit`` of an estimator, or of a pipeline that ends in one, is told the weights of its rows.

    Raises:
        BadInput: It takes none.
    """
    step, last = estimator.steps[-1] if isinstance(estimator, Pipeline) else ("", estimator)
    if not has_fit_parameter(last, "sample_weight"):
        raise BadInput(
            f"{type(last).__name__} takes no sample_weight, which this method gives; "
            "choose one that does, such as LogisticRegression or Ridge, or a method that maps features"
        )
    return {f"{step}__sample_weight" if step else "sample_weight": weights}


class SkadaAdapter(BaseEstimator):
    """An adapter of skada's, spoken to as a shallow method.

    Args:
        adapter: One that maps features or computes weights.
        numbers: Whether labels are numbers and not classes.
    """

    def __init__(self, adapter: Any, *, numbers: bool = False):
        self.adapter = adapter
        self.numbers = numbers

    def fit(self, X: Matrix, y: NDArray[Any], *, X_target: Matrix) -> Self:
        """Learn from both domains."""
        rows, labels, domains = stacked(X, y, X_target, numbers=self.numbers)
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
    """A whole estimator of skada's, or a pipeline of ``make_da_pipeline``: method and classifier in one.

    Args:
        estimator: It predicts labels.
        numbers: Whether those are numbers and not classes.
    """

    def __init__(self, estimator: Any, *, numbers: bool = False):
        self.estimator = estimator
        self.numbers = numbers

    def fit(self, X: Matrix, y: NDArray[Any], *, X_target: Matrix) -> Self:
        """Learn from both domains."""
        rows, labels, domains = stacked(X, y, X_target, numbers=self.numbers)
        self.classes_ = np.unique(y)
        self.estimator_ = clone(self.estimator)
        self.estimator_.fit(rows, labels, sample_domain=domains)  # not all of skada's return themselves
        return self

    def answer(self, what: str, X: Matrix, domain: Side) -> NDArray[Any]:
        """What it says to rows of ``domain`` when asked to e.g. ``predict``."""
        told = {"sample_domain": np.full(len(X), SKADA_SOURCE), "allow_source": True} if domain == "source" else {}
        answer: NDArray[Any] = getattr(self.estimator_, what)(X, **told)
        return self.classes_[answer] if what == "predict" and not self.numbers else answer


def stacked(
    X: Matrix, y: NDArray[Any], X_target: Matrix, *, numbers: bool
) -> tuple[Matrix, NDArray[Any], NDArray[Any]]:
    """Both domains as skada takes them: rows, labels, and which is which.

    Labels are ``0 … k − 1``, or numbers; the target's are what skada takes for none.
    """
    sizes = [len(X), len(X_target)]
    labels = y if numbers else np.unique(y, return_inverse=True)[1]
    none = np.nan if numbers else SKADA_NO_LABEL
    rows = np.vstack([X, X_target])
    return rows, np.r_[labels, np.full(sizes[1], none)], np.repeat([SKADA_SOURCE, SKADA_TARGET], sizes)
