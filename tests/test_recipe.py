import pytest

from acclimate import methods
from acclimate.errors import BadInput
from acclimate.recipe import DomainSpec, Recipe, Training, check_options, check_training, parse_settings


def recipe(**more):
    domain = DomainSpec(path="a.csv", label="y", drop=("id",))
    return Recipe(source=domain, target=domain, method="dann", backbone="mlp", classes=("no", "ja"), **more)


def test_a_recipe_comes_back_from_its_file(tmp_path):
    made = recipe(options={"weight": 0.5}, train=Training(steps=7, lr=0.1), seeds=(1, 2))
    made.save(tmp_path / "recipe.yaml")
    assert Recipe.load(tmp_path / "recipe.yaml") == made


def test_dotted_keys_are_sorted_by_prefix():
    found = parse_settings(
        {"weight": "0.5", "train.lr": "0.1", "backbone.norm": "true", "layers.logits": "2", "augment.source": "noise"}
    )
    assert found.options == {"weight": 0.5, "layers": {"logits": 2}}
    assert found.train == {"lr": 0.1}
    assert found.backbone == {"norm": True}
    assert found.augment == {"source": "noise"}


def test_options_are_converted_to_the_type_in_the_signature():
    found = check_options("method deep_coral", {"layers": {"logits": 2}}, methods.options("deep_coral"))
    assert found == {"layers": {"logits": 2.0}}


@pytest.mark.parametrize(
    ("given", "message"),
    [({"weigth": 1}, "no option 'weigth'; did you mean weight"), ({"weight": "much"}, "is invalid")],
)
def test_options_that_are_invalid_are_refused(given, message):
    with pytest.raises(BadInput, match=message):
        check_options("method dann", given, methods.options("dann"))


@pytest.mark.parametrize(
    ("given", "message"),
    [({"stepps": 1}, "did you mean steps"), ({"steps": 0}, "train.steps=0"), ({"schedule": "up"}, "train.schedule")],
)
def test_training_settings_that_are_invalid_are_refused(given, message):
    with pytest.raises(BadInput, match=message):
        check_training(given)
