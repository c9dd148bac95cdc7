import pytest

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
