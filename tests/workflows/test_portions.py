"""Cells of a comparison that are trained together."""

import time

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from samples import images, shifted

from acclimate import methods
from acclimate.errors import BadInput
from acclimate.training.checkpoint import StackCheckpoint
from acclimate.workflows.compare.cells import Cell, Store, train_cells
from acclimate.workflows.compare.grid import make_grid, plan_all
from acclimate.workflows.compare.portions import portions
from acclimate.workflows.compare.work import work
from acclimate.workflows.options import CompareRequest
from acclimate.workflows.train_phase import Machine


def cells_of(*names, source=None, target=None, **given):
    """The cells of some methods."""
    request = CompareRequest(**{"steps": 6, "seeds": 3, "methods": names, **given})
    planned = plan_all(source or shifted(), target or shifted(shift=2, seed=1)[0], request)
    settings = make_grid(planned, planned.first).settings.values()
    return [Cell(setting, seed) for setting in settings for seed in setting.plan.recipe.seeds]


def of_method(cells, name):
    return [cell for cell in cells if cell.setting.method == name]


def sizes(cells, **given):
    return [(portion[0].setting.method, len(portion)) for portion in portions(cells, Machine(), **given)]


def weights(store, cell):
    return load_file(store.folder(cell).weights(cell.seed, cell.phase))


@pytest.fixture
def held(tmp_path):
    """The mcc cells of two seeds, held by this process."""
    store, cells = Store(tmp_path), of_method(cells_of("mcc", seeds=2, settings={"train.save_every": 4}), "mcc")
    for cell in cells:
        with store.held(cell):
            pass
    return store, cells


def test_seeds_and_settings_of_one_method_are_a_portion():
    assert sizes(cells_of("mcc", "nrc")) == [("source_only", 12), ("mcc", 6), ("nrc", 6)]


def test_linear_models_are_portions_by_themselves():
    assert sizes(cells_of("coral", steps=None)) == [("source_only", 1)] * 3 + [("coral", 1)] * 3


@pytest.mark.parametrize(("finetune", "size"), [("full", 1), ("feature_extraction", 4)])
def test_images_are_trained_together_where_their_features_stand_for_them(tmp_path, finetune, size):
    source, target = images(tmp_path / "source", each=8), images(tmp_path / "target", each=8)
    cells = cells_of("mcc", source=source, target=target, seeds=2, finetune=finetune)
    assert {n for name, n in sizes(cells) if name == "mcc"} == {size}


@pytest.mark.parametrize(
    ("given", "size"), [({"settings": {"train.accumulate": 2}}, 1), ({"precision": "bf16-mixed"}, 1), ({}, 6)]
)
def test_trainings_that_never_stack_are_portions_by_themselves(given, size):
    assert ("mcc", size) in sizes(cells_of("mcc", **given))


def test_several_devices_train_one_cell_at_a_time():
    assert len(portions(cells_of("mcc"), Machine(devices=2))) == 12


@pytest.mark.parametrize(
    ("workers", "found"), [(2, [6, 3, 3]), (3, [3, 3, 2, 2, 2]), (4, [3, 3, 2, 2, 2]), (99, [1] * 12)]
)
def test_no_portion_is_more_than_a_workers_share_of_what_is_left(workers, found):
    assert [size for _, size in sizes(cells_of("mcc"), workers=workers)] == found


@pytest.mark.slow
def test_a_portion_leaves_what_its_cells_leave_one_by_one(tmp_path):
    cells, together, alone = cells_of("mcc", "nrc", seeds=2), Store(tmp_path / "a"), Store(tmp_path / "b")
    work(together, portions(cells, Machine()), Machine())
    work(alone, [[cell] for cell in cells], Machine())
    files, expected = ({path.relative_to(own.path) for path in own.path.rglob("*.*")} for own in (together, alone))
    assert files == expected
    for cell in cells:
        ours, theirs = weights(together, cell), weights(alone, cell)
        assert all(np.allclose(ours[name], theirs[name], atol=1e-5) for name in theirs)


def test_the_seconds_of_a_portion_are_shared_among_its_cells(held):
    store, cells = held
    began = time.monotonic()
    train_cells(store, cells, Machine())
    seconds = [store.facts(cell)["seconds"] for cell in cells]
    assert min(seconds) > 0
    assert sum(seconds) <= time.monotonic() - began + 0.005 * len(cells)


def test_a_cell_that_diverges_does_not_take_the_others_of_its_portion_with_it(held, monkeypatch):
    usual = methods.get("mcc").losses

    def diverging(own, *given):
        factor = torch.where(torch.as_tensor(own.weight) < 1, torch.nan, 1.0)
        return {name: factor * loss for name, loss in usual(own, *given).items()}

    monkeypatch.setattr(methods.get("mcc"), "losses", diverging)
    store, cells = held
    train_cells(store, cells, Machine())
    assert [bool(store.failure(cell)) for cell in cells] == [False, False, True, True]
    assert "loss 'class' is nan at step 1" in store.failure(cells[2])


def test_a_cell_with_bad_input_does_not_take_the_others_of_its_portion_with_it(held, monkeypatch):
    usual = methods.get("mcc").losses

    def refusing(own, *given):
        if torch.initial_seed() == 1:
            raise BadInput("no rows")
        return usual(own, *given)

    monkeypatch.setattr(methods.get("mcc"), "losses", refusing)
    monkeypatch.setattr(methods.get("mcc"), "batched", False)
    store, cells = held
    train_cells(store, cells, Machine())
    assert [store.failure(cell) for cell in cells] == ["", "no rows"] * 2


def cut_off(monkeypatch, store, cells):
    """Train a portion up to its first checkpoint."""
    usual = StackCheckpoint.save

    def cutting(kept, states):
        usual(kept, states)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(StackCheckpoint, "save", cutting)
        with pytest.raises(KeyboardInterrupt):
            train_cells(store, cells, Machine())


def test_a_portion_that_was_cut_off_resumes_where_it_was(held, monkeypatch):
    store, cells = held
    cut_off(monkeypatch, store, cells)
    train_cells(store, cells, Machine())
    for cell in cells:
        assert [line["step"] for line in store.folder(cell).losses()] == [1, 2, 3, 4, 5, 6]
        assert not [*store.folder(cell).path.rglob("*.stack")]


def test_a_portion_that_was_cut_off_may_be_divided_anew(held, monkeypatch):
    store, cells = held
    cut_off(monkeypatch, store, cells)
    cut_off(monkeypatch, store, cells[2:])
    train_cells(store, cells, Machine())
    assert all(map(store.is_done, cells))
    assert not [*store.path.rglob("*.stack")]
