import re
import shutil

import numpy as np
import pytest
from samples import shifted

from acclimate import adapt, labels
from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.workflows.resume import difference

MADE = {
    "source": {"path": "a.csv", "label": "sick", "drop": []},
    "method": "mcc",
    "options": {},
    "backbone_options": {"width": 8},
    "train": {"steps": 40, "lr": 0.1},
    "pretrain": None,
    "finetune": "full",
    "tried": {},
    "seeds": [0],
}
PRETRAINED = {"method": "byol", "options": {}, "train": {"steps": 40}}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, None),
        ({"source": {**MADE["source"], "label": None}}, "--label is not given, but the Run was made with sick"),
        ({"source": {**MADE["source"], "drop": ["a", "b"]}}, "--drop a,b, but the Run was made without"),
        ({"backbone_options": {"width": 9}}, "--set backbone.width=9, but the Run was made with 8"),
        ({"pretrain": PRETRAINED}, "--pretrain byol, but the Run was made without"),
        ({"seeds": [0, 1, 2]}, "--seeds 3, but the Run was made with 1"),
        ({"seeds": [4, 2]}, "--seeds 4,2, but the Run was made with 1"),
        ({"tried": {"full": 0.5}}, "--finetune auto, but the Run was made with full"),
        ({"method": "dann", "options": {"weight": 1.0}}, "--method dann, but the Run was made with mcc"),
        ({"finetune": "lora", "backbone_options": {}}, "--finetune lora, but the Run was made with full"),
    ],
)
def test_the_setting_that_differs_is_named_with_both_values(asked, told):
    assert difference({**MADE, **asked}, MADE) == told


def test_a_setting_of_the_pretraining_is_named_as_it_is_set():
    longer = {**PRETRAINED, "train": {"steps": 60}}
    told = difference({**MADE, "pretrain": longer}, {**MADE, "pretrain": PRETRAINED})
    assert told == "--set pretrain.steps=60, but the Run was made with 40"


X, Y = shifted()
TARGET = shifted(shift=2, seed=1)
NUDGED = X + np.eye(*X.shape, dtype=np.float32)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Gives a copy of a Run that was stopped before it was scored."""
    path = tmp_path_factory.mktemp("begun") / "run"
    adapt((X, Y), TARGET[0], path, method="source_only", steps=2, target_labels=TARGET)
    (path / "scores.json").unlink()
    return lambda folder: shutil.copytree(path, folder / "run")


@pytest.mark.parametrize(
    ("changed", "role"),
    [
        ({"source": (NUDGED, Y)}, "source"),
        ({"source": (X, 1 - Y)}, "source"),
        ({"source": (X[1:], Y[1:])}, "source"),
        ({"target": TARGET[0] + NUDGED}, "target"),
        ({"target_labels": (TARGET[0], 1 - TARGET[1])}, "target labels"),
    ],
)
def test_changed_data_are_refused_by_name(begun, tmp_path, changed, role):
    given = {"source": (X, Y), "target": TARGET[0], "target_labels": TARGET, **changed}
    with pytest.raises(BadInput, match=f"run: cannot resume: the examples of the {role} are not those that the Run"):
        adapt(output=begun(tmp_path), method="source_only", steps=2, resume=True, **given)


def test_labels_of_the_target_that_are_set_aside_may_change(begun, tmp_path):
    given = {"method": "source_only", "steps": 2, "target_labels": TARGET, "resume": True}
    assert adapt((X, Y), (TARGET[0], 1 - TARGET[1]), begun(tmp_path), **given).scores


def test_a_run_without_digests_resumes(begun, tmp_path):
    run = RunFolder(begun(tmp_path))
    run.write("recipe.yaml", run.recipe.model_copy(update={"digests": {}}).save)
    assert adapt((X, Y), TARGET[0], run.path, method="source_only", steps=2, target_labels=TARGET, resume=True).scores


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"threads": 7}, r"continues with threads \d+ \(before: 7\); the weights may differ"),
        ({"versions": {"torch": "1.0", "plotly": "2"}}, r"continues with torch \S+ \(before: 1.0\); the"),
        ({}, None),
    ],
)
def test_other_threads_or_packages_are_told_in_one_line(begun, tmp_path, caplog, change, told):
    run = RunFolder(begun(tmp_path))
    run.write_json("environment.json", {**run.environment, **change})
    adapt((X, Y), TARGET[0], run.path, method="source_only", steps=2, target_labels=TARGET, resume=True)
    lines = [line for line in caplog.messages if "continues with" in line]
    assert len(lines) == (told is not None)
    assert not told or re.search(told, lines[0])


def test_label_curves_of_changed_labels_are_refused(tmp_path):
    given = {"strategies": ["source_only"], "per_class": [1], "seeds": 1, "steps": 1}
    labels((X, Y), TARGET, tmp_path / "labels", **given)
    with pytest.raises(
        BadInput, match=r"cannot resume: the examples of the .* are not those that the curves were made"
    ):
        labels((X, Y), (TARGET[0], 1 - TARGET[1]), tmp_path / "labels", resume=True, **given)
