import pytest
import torch
from conformance import batches
from torch import nn

from acclimate import backbones, finetune, methods
from acclimate.data.inputs import DenseInputs
from acclimate.data.loaders import Loader, Sampler, pairs
from acclimate.finetune import Unfreezer, lora
from acclimate.nn import Classifier
from acclimate.recipe import Training
from acclimate.training.driver import Driver
from acclimate.training.engine import Schedule, make_optimizer
from acclimate.training.engine import run as run_engine

STEPS = 8


def model(bottleneck=0):
    torch.manual_seed(0)
    layers = [nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 6), nn.ReLU()]
    built = Classifier(nn.Sequential(*layers), nn.Linear(6, 3), n_features=6, n_classes=3)
    return built.narrowed(bottleneck) if bottleneck else built


def run(name, method="dann", built=None, strategy_options=None, **options):
    """The model before and after each of a few steps, as state dicts."""
    built = built or model()
    layers = finetune.layers(built, name, strategy_options or {})
    trained = methods.get(method)(built, **options)
    optimizer = make_optimizer(trained, Training(optimizer="adamw", lr=0.01, weight_decay=0.1), layers)
    source, target = batches()
    x, labels, others = source.inputs.numpy(), source.labels.numpy(), target.inputs.numpy()
    source = Loader(DenseInputs(x), Sampler(len(x), 6, seed=0), labels)
    target = Loader(DenseInputs(others), Sampler(9, 6, seed=0))
    thaw = Unfreezer(built, layers)
    thaw(1.0)
    driver, schedule = Driver(trained, optimizer), Schedule(STEPS, thaw=thaw, pass_steps=STEPS)
    steps = run_engine(driver, pairs(source, target, 0), schedule, survey=lambda: [target.inputs.x])
    return [state_of(built), *(state_of(built) for _ in steps)]


def state_of(built):
    return {k: v.clone() for k, v in built.state_dict().items()}


def moved(before, after):
    return {name.rpartition(".")[0] for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("method", ["source_only", "dann", "mcc", "deep_coral", "mcd"])
def test_feature_extraction_leaves_the_backbone_as_it_is_to_the_bit(method):
    states = run("feature_extraction", method)
    assert not any(name.startswith("backbone.") for name in moved(states[0], states[-1]))


@pytest.mark.parametrize("method", methods.names())
@pytest.mark.parametrize("strategy", finetune.names())
def test_every_method_works_with_every_strategy(method, strategy):
    states = run(strategy, method, built=model(bottleneck=4))
    assert all(value.isfinite().all() for value in states[-1].values())
    assert {name.split(".")[1] for name in moved(states[0], states[-1]) if "." in name}


def test_frozen_layers_stay_in_evaluation_mode():
    built = model()
    Unfreezer(built, finetune.layers(built, "partial", {"layers": 1}))(0.0)
    built.train()
    assert [part.training for part in built.backbone] == [False, False, True, True, True, True]


def test_partial_trains_the_upper_layers():
    states = run("partial", strategy_options={"layers": 1})
    assert moved(states[0], states[-1]) == {"backbone.4", "head"}


def test_gradual_trains_one_layer_after_the_other():
    states = run("gradual", strategy_options={"span": 0.5})
    firsts = {
        name: min(i for i in range(STEPS) if name in moved(states[i], states[i + 1]))
        for name in moved(states[0], states[-1])
    }
    assert firsts == {"head": 0, "backbone.4": 2, "backbone.0": 4, "backbone.1": 4}


def test_lp_ft_trains_the_head_alone_first():
    states = run("lp_ft", strategy_options={"probe": 0.5})
    assert moved(states[0], states[4]) == {"head"}
    assert "backbone.0" in moved(states[4], states[5])


def test_full_is_training_without_a_strategy():
    with_strategy, built = run("full"), model()
    trained = methods.get("dann")(built)
    alone = make_optimizer(trained, Training(optimizer="adamw", lr=0.01))
    assert len(alone.param_groups) == 1
    assert moved(with_strategy[0], with_strategy[1]) >= {"backbone.0", "backbone.4", "head"}


@pytest.mark.parametrize("strategy", ["full", "gradual"])
def test_parameters_that_never_train_stay_as_they_are(strategy):
    built = model()
    built.backbone[0].bias.requires_grad_(False)
    states = run(strategy, built=built)
    assert torch.equal(states[0]["backbone.0.bias"], states[-1]["backbone.0.bias"])


def test_llrd_gives_each_layer_its_rate():
    built = model()
    layers = finetune.layers(built, "llrd", {"decay": 0.1})
    groups = make_optimizer(methods.get("source_only")(built), Training(lr=0.1, head_lr=10.0), layers).param_groups
    assert [group["lr"] for group in groups] == pytest.approx([0.001, 0.01, 1.0])


def test_a_bottleneck_trains_with_the_head_where_the_backbone_is_frozen():
    states = run("feature_extraction", built=model(bottleneck=4))
    assert {name.split(".")[1] for name in moved(states[0], states[-1]) if name.startswith("backbone")} == {
        "bottleneck"
    }


def test_lora_trains_adapters_alone_and_merges_them():
    built = model()
    before = state_of(built)
    x = torch.randn(7, 5)
    run("lora", built=built)
    logits = built.eval()(x).logits
    finetune.merge(built, "lora")
    assert built.state_dict().keys() == before.keys()
    torch.testing.assert_close(built.eval()(x).logits, logits)
    assert moved(before, built.state_dict()) == {"backbone.0", "backbone.4", "head"}


def test_lora_adds_alpha_over_rank_times_the_product_of_its_factors():
    net = nn.Sequential(nn.Linear(5, 4))
    weight = net[0].weight.detach().clone()
    lora.prepare(net, rank=2, alpha=6)
    a, b = net[0].lora_A["default"].weight, nn.init.normal_(net[0].lora_B["default"].weight)
    expected = weight + 6 / 2 * b.detach() @ a.detach()
    lora.merge(net)
    torch.testing.assert_close(net[0].weight, expected)


def test_adapters_fit_into_efficientnet_lite0():
    shape = backbones.Shape(images=True, size=32, mean=[0.5] * 3, std=[0.2] * 3)
    built = backbones.build("efficientnet_lite0", shape, 2, {"pretrained": False}).classifier
    finetune.layers(built, "lora", {})
    assert built(torch.zeros(2, 3, 32, 32)).logits.shape == (2, 2)
