"""Predictions for mixtures of two target examples, which MixVal judges; they are kept in the cells."""

import hashlib

import numpy as np
import polars as pl
import torch
from torch import Tensor

from acclimate.backbones import Shape
from acclimate.data.inputs import Index, Inputs
from acclimate.errors import explain_damage
from acclimate.nn import Classifier
from acclimate.runs.check import name_in, read_parquet
from acclimate.runs.models import load_model
from acclimate.runs.outputs import as_lists, as_rows
from acclimate.training.features import stand_in
from acclimate.training.inference import predict
from acclimate.validators.candidate import Codes, Probabilities
from acclimate.validators.mixval import RATIO, draw_pairs
from acclimate.workflows.compare.cells import Cell, Store

MOST = 2000
"""Mixtures for each model: enough for a standard error of one point."""
PLACE = "mixed"


class MixedInputs:
    """Mixtures of pairs of rows.

    Args:
        inputs: The rows, dense.
        pairs: The dominant row of each mixture and the other one ``(m, 2)``.
    """

    def __init__(self, inputs: Inputs, pairs: Codes):
        self.inputs, self.pairs = inputs, pairs
        self.in_memory = inputs.in_memory

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, index: Index) -> Tensor:
        """The mixtures at some positions, as float32."""
        first, second = (self.inputs.batch(np.ascontiguousarray(rows)).float() for rows in self.pairs[index].T)
        return torch.lerp(first, second, 1 - RATIO)

    def digest(self) -> str:
        """Return a hash of the rows and of the pairs."""
        return hashlib.sha256(self.inputs.digest().encode() + self.pairs.tobytes()).hexdigest()


def can_mix(shape: Shape) -> bool:
    """Whether inputs can be mixed: images and dense rows, but no words."""
    return not (shape.sparse or shape.encoder or shape.parts)


def some_pairs(predicted: Codes, *, seed: int) -> Codes:
    """At most `MOST` of the pairs that `draw_pairs` draws by source-only's predictions ``(m, 2)``."""
    pairs = draw_pairs(predicted, seed=seed)
    return np.random.default_rng(seed).permutation(pairs)[:MOST]


def mixed_probabilities(store: Store, cell: Cell, pairs: Codes) -> Probabilities | None:
    """What a cell's model gives for mixtures of the target ``(m, k)``; None where inputs cannot be mixed.

    Where layers are frozen, their features are mixed, as they are what the training has seen.
    """
    run, plan = store.folder(cell), cell.plan
    if not len(pairs) or not can_mix(plan.shape):
        return None
    path = run.outputs(cell.seed, cell.phase, PLACE)
    if not path.exists():
        model = load_model(run, cell.seed, cell.phase, shape=plan.shape)
        found = stand_in(plan.recipe, model, plan.read, plan.domains) if isinstance(model, Classifier) else None
        above, read = (found.model, found.read) if found else (model, plan.read)
        predictions = predict(above, MixedInputs(read(plan.target), pairs), "target")
        frame = pl.DataFrame({"probabilities": as_lists(predictions.probabilities.astype(np.float64))})
        run.write(f"outputs/{path.name}", frame.write_parquet)
    frame = read_parquet(run, path)
    with explain_damage(run.path, name_in(run, path)):
        return as_rows(frame["probabilities"], len(cell.recipe.classes))
