"""All that is decided before training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from acclimate.backbones import InputSpec, Shape
from acclimate.data import Domain
from acclimate.data.domain import Part
from acclimate.data.inputs import Index, Inputs
from acclimate.data.labels import Truth, truth
from acclimate.data.loaders import rows_of_part, split, strata
from acclimate.data.preprocess import Preprocess
from acclimate.recipe import Recipe, TargetLabels
from acclimate.runs.models import shape_of
from acclimate.runs.run import Run
from acclimate.training.examples import NO_LABELS, NO_ROWS
from acclimate.training.features import Read


class SourceRows(NamedTuple):
    """The source's rows of one seed: those to learn from and those kept for validation, with their labels."""

    inputs: Inputs = NO_ROWS
    labels: Truth = NO_LABELS
    validation: Inputs = NO_ROWS
    validation_labels: Truth = NO_LABELS


@dataclass(frozen=True)
class Plan:
    """All that is decided before training.

    Attributes:
        source: Labelled domain; none where the source is a finished Run.
        origin: The finished Run whose source-only models are started from, in the place of a source.
        target: Domain to work on, without labels.
        target_labels: Labelled target to train on, given on purpose.
        fitted: The preprocessing, fitted on source and target.
        recipe: Everything else.
        score: Where a labelled target for scores is read from, when training is over.
        audit: Labelled target for an audit, when scoring is over.
        positive: Classes that are positive together, for the AUC.
        tta: Views that predictions on the labelled target are averaged over, beside the plain ones.
        guard: Whether source-only is kept where the evidence says that it is safer.
        wanted: The inputs that the backbone wants, which the preprocessing was fitted for.
        notes: Warnings about the data.
    """

    source: Domain | None
    origin: Run | None
    target: Domain
    target_labels: Part | None
    fitted: Preprocess
    recipe: Recipe
    score: Callable[[], Domain] | None
    audit: Domain | None = None
    positive: tuple[str, ...] = ()
    tta: tuple[str, ...] = ()
    guard: bool = True
    wanted: InputSpec | None = None
    fold: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> Shape:
        """What the backbone is given."""
        return shape_of(self.fitted)

    @property
    def domains(self) -> list[Domain]:
        """All that is learnt from: the source, unless a Run is in its place, the target, its labelled examples."""
        labelled = None if self.target_labels is None else self.target_labels.domain
        return [domain for domain in (self.source, self.target, labelled) if domain is not None]

    def labelled(self, seed: int, read: Read) -> SourceRows:
        """The source as one seed sees it, as ``read`` gives it; empty where there is a Run in its place."""
        if self.source is None:
            return SourceRows()
        labels = truth(self.source, self.recipe)
        rows, held = self._split(labels, seed)
        return SourceRows(read(self.source, rows), labels[rows], read(self.source, held), labels[held])

    def held(self, seed: int) -> Index:
        """Rows of the source that one seed keeps for validation; none if there is no source."""
        if self.source is None:
            return np.empty(0, dtype=np.int64)
        return self._split(truth(self.source, self.recipe), seed)[1]

    def _split(self, labels: Truth, seed: int) -> tuple[Index, Index]:
        """Rows to learn from, and rows for validation: a share of each class, of each source if there are several."""
        if self.source is not None and self.source.origin is not None:
            labels = strata(labels, self.source.origin)
        if self.fold:
            return rows_of_part(labels, *self.fold, seed)
        return split(labels, self.recipe.train.validation, seed)

    def read(self, domain: Domain, rows: Index | None = None) -> Inputs:
        """A domain's rows, or some; what is in use at a time keeps no more decoded images than the recipe allows.

        In use are source, target and the labelled target to train on; later a validation split, target and the
        labelled target for scores, which is counted as large as the target.
        """
        some = domain if rows is None else domain.take(rows)
        given = self.recipe.target_labels
        in_use = len(self.source or ()) + 2 * len(self.target) + (given.n if given else 0)
        share = len(some) / max(in_use, len(some))
        return self.fitted.inputs(some, cache_bytes=int(self.recipe.train.cache_mb * 2**20 * share))

    def with_target_labels(self, rows: Index) -> "Plan":
        """The same, but that of its labelled target only ``rows`` are learnt from; with no rows, no label is."""
        if self.target_labels is None or not len(rows):
            return replace(self, target_labels=None, recipe=self.recipe.model_copy(update={"target_labels": None}))
        whole = self.target_labels.whole
        given = TargetLabels(path=whole.name, n=len(rows))
        recipe = self.recipe.model_copy(update={"target_labels": given})
        return replace(self, target_labels=Part(whole, rows), recipe=recipe)
