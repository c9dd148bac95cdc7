"""What validators see of finished cells: their outputs, features and last layer, as candidates for one seed."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from acclimate.runs.outputs import ClassOutputs, read_class_outputs
from acclimate.validators.candidate import Candidate, Codes, Numbers
from acclimate.workflows.compare.cells import Cell, Store
from acclimate.workflows.compare.mixtures import mixed_probabilities, some_pairs

HEAD = "head.weight"
"""The name of the last layer's weights in a network's file."""


def pool(store: Store, cells: Iterable[Cell], reference: Cell) -> Mapping[str, Candidate]:
    """The finished cells of one seed as candidates, by the names of their settings.

    Args:
        store: Has the cells.
        cells: Those of the seed.
        reference: Source-only's, whose predictions decide which examples are mixed.
    """
    pairs = some_pairs(of_cell(store, reference).predicted, seed=reference.seed)
    return {cell.setting.name: _with_mixtures(store, cell, pairs) for cell in cells if store.is_done(cell)}


def _with_mixtures(store: Store, cell: Cell, pairs: Codes) -> Candidate:
    mixed = mixed_probabilities(store, cell, pairs)
    plain = of_cell(store, cell)
    return plain if mixed is None else replace(plain, pairs=pairs, mixed=mixed)


def of_cell(store: Store, cell: Cell) -> Candidate:
    """What one cell's model gives for the source's validation split and the target.

    Raises:
        BadInput: A file of the cell is missing or damaged.
    """
    run = store.folder(cell)
    source, target = (read_class_outputs(run, cell.seed, cell.phase, place) for place in ("source_val", "target"))
    (source_features, source_rows), (target_features, target_rows) = _features(source), _features(target)
    return Candidate(
        cell.setting.method, source.probabilities, source.true, target.probabilities,
        source_features=source_features, source_rows=source_rows,
        target_features=target_features, target_rows=target_rows,
        head=_head(run.weights(cell.seed, cell.phase), len(cell.recipe.classes)),
    )  # fmt: skip


def _features(outputs: ClassOutputs) -> tuple[Numbers, NDArray[np.int64]] | tuple[None, None]:
    return (outputs.features, outputs.rows) if len(outputs.rows) else (None, None)


def _head(path: Path, n_classes: int) -> Numbers | None:
    """Weights of a network's last layer ``(k, d)``; of a model without a linear last layer None."""
    if path.suffix != ".safetensors":
        return None
    with safe_open(path, "np") as file:
        found = file.get_tensor(HEAD) if HEAD in set(file.keys()) else None
    fits = found is not None and found.ndim == 2 and len(found) == n_classes
    return np.asarray(found, dtype=np.float64) if fits else None
