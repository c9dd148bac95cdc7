"""A name in another spelling, or of another option, leads to the right one."""

import pytest

MEANT = {
    "adapt . . -o run --method DANN": "dann",
    "adapt . . -o run --method deep-coral": "deep_coral",
    "adapt . . -o run --method bbse": "predict --label-shift bbse",
    "adapt . . -o run --method tent": "predict --test-time tent",
    "adapt . . -o run --method lora": "--finetune lora",
    "adapt . . -o run --pretrain BYOL": "byol",
    "adapt . . -o run --finetune LP-FT": "lp_ft",
    "adapt . . -o run --backbone ResNet50": "timm:resnet50",
    "adapt . . -o run --method dann --set learning_rate=1": "train.lr",
    "adapt . . -o run --set train.learning_rate=1": "lr",
    "adapt . . -o run --set train.LR=1": "lr",
    "adapt . . -o run --method dann --set trian.lr=1": "train.…",
    "adapt . . -o run --set train.optimizer=Adam": "adam",
    "adapt . . -o run --set train.schedule=cosin": "cosine",
    "adapt . . -o run --augment Noise": "noise",
    "adapt . . -o run --precision 16_mixed": "16-mixed",
    "adapt . . -o run --task Regression": "regression",
    "adapt . . -o run --learning-rate 1": "--set train.lr=…",
    "adapt . . -o run --batch-size 1": "--set train.batch_size=…",
    "adapt . . -o run --epochs 1": "--steps",
    "adapt . . -o run --sed 1": "--seeds",
    "Adapt . . -o run": "adapt",
    "predict RUN . -o p.csv --label-shift BBSE": "bbse",
    "predict RUN . -o p.csv --test-time TENT": "tent",
}
"""A command, and what it suggests."""


@pytest.mark.parametrize("command", MEANT)
def test_what_was_meant_is_suggested(command, acclimate, finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = acclimate(*command.replace("RUN", str(finished_run)).split())
    assert told.code == 2
    assert f"did you mean {MEANT[command]}?" in told.lines[-1]


def test_an_option_of_a_test_time_method_is_its_own(acclimate, finished_run, tmp_path):
    told = acclimate("predict", finished_run, finished_run.parent / "target.npz", "-o", tmp_path / "p.csv",
                     "--test-time", "tent", "--set", "learning_rate=1")  # fmt: skip
    assert "did you mean lr?" in told.lines[-1]
