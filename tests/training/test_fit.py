"""`acclimate.fit`: training in memory, from whatever holds examples."""

import numpy as np
import pytest
import scipy.sparse
import torch
from samples import shifted
from sklearn.metrics import log_loss
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import acclimate
from acclimate import Classifier, Training, fit
from acclimate.errors import BadInput
from acclimate.methods import DANN, MCC

QUICK = Training(steps=40, lr=0.02, batch_size=32)
X, Y = shifted()
TARGET = shifted(shift=2, seed=1)[0]


def accuracy(fitted, x=X, y=Y):
    return (fitted.predict(x) == y).mean()


class Pairs(Dataset):
    """A map-style dataset of pairs."""

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return torch.from_numpy(X[i]), int(Y[i])


@pytest.mark.parametrize(
    "source",
    [
        (X, Y),
        pytest.param((torch.from_numpy(X), torch.from_numpy(Y)), marks=pytest.mark.slow),
        pytest.param((scipy.sparse.csr_array(X), Y), marks=pytest.mark.slow),
        Pairs(),
        pytest.param(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), marks=pytest.mark.slow),
    ],
    ids=["arrays", "tensors", "sparse", "dataset", "tensor dataset"],
)
def test_the_same_rows_in_any_form_give_a_model_that_tells_the_classes(source):
    x = scipy.sparse.csr_array(TARGET) if isinstance(source, tuple) and scipy.sparse.issparse(source[0]) else TARGET
    fitted = fit("dann", source, x, training=QUICK)
    assert accuracy(fitted, source[0] if x is not TARGET else X) > 0.9


def test_arrays_and_tensors_give_the_same_weights_to_the_bit():
    first = fit("mcc", (X, Y), TARGET, training=QUICK).model.state_dict()
    second = fit("mcc", (torch.from_numpy(X), torch.from_numpy(Y)), torch.from_numpy(TARGET), training=QUICK)
    torch.testing.assert_close(second.model.state_dict(), first, rtol=0, atol=0)


def test_the_seed_alone_decides_the_weights():
    def weights(seed, earlier):
        torch.manual_seed(earlier)
        fitted = fit("source_only", (X, Y), None, training=Training(steps=1), seed=seed)
        return fitted.model.head.weight

    torch.testing.assert_close(weights(0, earlier=7), weights(0, earlier=8), rtol=0, atol=0)
    assert not torch.equal(weights(0, earlier=7), weights(1, earlier=7))


@pytest.mark.parametrize(
    ("batch_norm", "names"),
    [
        ("concat", {"weight", "bias"}),
        ("separate", {"weight_both", "bias_both"}),
        ("domain", {"weight_source", "bias_source", "weight_target", "bias_target"}),
    ],
)
def test_batch_norm_has_the_parameters_that_training_asks_for(batch_norm, names):
    backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    fitted = fit("mcc", (X, Y), TARGET, model=backbone, training=Training(steps=1, batch_norm=batch_norm))
    assert {name for name, _ in fitted.model.backbone[1].named_parameters()} == names


def test_a_loader_gives_the_batches_itself():
    seen = []

    class Seen(DataLoader):
        def __iter__(self):
            for batch in super().__iter__():
                seen.append(len(batch[0]))
                yield batch

    source = Seen(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), 25, shuffle=True)
    target = DataLoader(TensorDataset(torch.from_numpy(TARGET)), 20)
    fitted = fit("dann", source, target, training=Training(steps=10, lr=0.02))
    assert seen[:8] == [25] * 8
    assert len(fitted.history) == 10


def test_labels_come_back_as_they_were_given():
    names = np.array(["cat", "dog"])[Y]
    assert fit("mcc", (X, names), TARGET, training=QUICK).predict(X[:2]).tolist() == ["cat", "dog"]
    found = fit("mcc", (X, Y * 5 + 2), TARGET, training=QUICK).predict(X[:2])
    assert (found.dtype.kind, found.tolist()) == ("i", [2, 7])


def test_numbers_are_learnt_in_their_unit():
    fitted = fit("deep_coral", (X, 100 + 10 * X[:, 0]), TARGET, training=Training(steps=200, lr=0.02))
    assert np.abs(fitted.predict(X) - (100 + 10 * X[:, 0])).mean() < 5


@pytest.mark.parametrize("method", ["shot", "dan", "deep_coral", "mcd"])
def test_the_callers_model_is_left_alone(method):
    backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
    model = Classifier(backbone, nn.Linear(8, 2), n_features=8, n_classes=2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    fit(method, (X, Y), TARGET, model=model, training=Training(steps=3, lr=0.1))
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert all(p.requires_grad for p in model.parameters())


def test_any_module_with_features_is_a_backbone():
    backbone = nn.Sequential(nn.Linear(4, 16), nn.ReLU())
    fitted = fit(DANN, (X, Y), TARGET, model=backbone, training=QUICK)
    assert fitted.model.head.in_features == 16
    assert accuracy(fitted) > 0.9


def test_images_get_a_net_that_suits_them():
    x = np.random.default_rng(0).integers(0, 100, (24, 20, 20, 3)).astype(np.uint8)
    x[12:] += 120
    fitted = fit("source_only", (x, np.arange(24) // 12), x, training=Training(steps=20, batch_size=8))
    assert accuracy(fitted, x, np.arange(24) // 12) == 1


@pytest.mark.slow
def test_a_training_continues_from_its_checkpoint_to_the_same_weights(tmp_path, monkeypatch):
    from acclimate.training.fit import History

    often = QUICK.model_copy(update={"save_every": 5})
    straight = fit("dann", (X, Y), TARGET, training=often).model.state_dict()
    usual = History.step

    def dying(self, step, validation):
        usual(self, step, validation)
        if step.done == 17:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(History, "step", dying)
        with pytest.raises(KeyboardInterrupt):
            fit("dann", (X, Y), TARGET, training=often, checkpoint=tmp_path / "a.ckpt")
    resumed = fit("dann", (X, Y), TARGET, training=often, checkpoint=tmp_path / "a.ckpt")
    assert resumed.history[0].done == 16
    torch.testing.assert_close(resumed.model.state_dict(), straight, rtol=0, atol=0)
    assert not list(tmp_path.iterdir())


def test_what_comes_out_is_in_evaluation_mode():
    backbone = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5))
    fitted = fit("dann", (X, Y), TARGET, model=backbone, training=QUICK)
    assert not any(part.training for part in fitted.model.modules())
    np.testing.assert_array_equal(fitted.outputs(X).logits, fitted.outputs(X).logits)


@pytest.mark.parametrize(("accumulate", "looks"), [(1, 2), (2, 4)])
def test_a_pass_over_the_target_is_shorter_where_a_step_takes_several_batches(accumulate, looks):
    looked = []

    class Looking(MCC):
        def before_pass(self, target):
            looked.append(sum(len(out.logits) for out in target))

    settings = Training(steps=16, lr=0.02, batch_size=25, accumulate=accumulate)
    fit(Looking, (X, Y), TARGET, training=settings)
    assert looked == [len(TARGET)] * looks


def test_early_stopping_needs_no_file():
    stopping = Training(steps=400, lr=0.5, optimizer="sgd", patience=2, validate_every=4)
    fitted = fit("source_only", (X, Y), TARGET, training=stopping, validation=(X[:50], Y[:50]))
    losses = [step.losses["source_val_loss"] for step in fitted.history if "source_val_loss" in step.losses]
    assert len(fitted.history) < 400
    assert min(losses) == losses[-3]
    kept = fitted.outputs(X[:50], domain="source").probabilities
    assert log_loss(Y[:50], kept) == pytest.approx(min(losses), rel=1e-4)


def test_a_few_labels_of_the_target_help():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    few = x[:20] * [-1, 1, 1, 1], y[:20]
    fitted = fit("source_only", (x, y), x * [-1, 1, 1, 1], target_labels=few, training=QUICK)
    alone = fit("source_only", (x, y), x * [-1, 1, 1, 1], training=QUICK)
    assert accuracy(fitted, few[0], few[1]) > accuracy(alone, few[0], few[1])


def test_labels_of_the_target_may_be_any_whole_numbers():
    names = Y * 5 + 2
    fitted = fit("source_only", (X, names), TARGET, target_labels=(TARGET, names), training=QUICK)
    assert set(fitted.predict(X)) == {2, 7}


def test_a_strategy_may_leave_the_backbone_as_it_is():
    backbone = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    fitted = fit("mcc", (X, Y), TARGET, model=backbone, training=QUICK, strategy="feature_extraction")
    torch.testing.assert_close(fitted.model.backbone.state_dict(), backbone.state_dict(), rtol=0, atol=0)


def test_a_source_free_method_continues_a_trained_model():
    before = fit("source_only", (X, Y), None, training=QUICK)
    after = fit("shot", None, TARGET, model=before.model, training=QUICK)
    assert torch.equal(before.model.head.weight, after.model.head.weight)
    assert accuracy(after, TARGET, shifted(shift=2, seed=1)[1]) > 0.9


def test_a_built_method_is_trained_with_its_options():
    model = Classifier(nn.Linear(4, 8), nn.Linear(8, 2), n_features=8, n_classes=2)
    fitted = fit(MCC(model, temperature=1.0), (X, Y), TARGET, training=QUICK)
    assert fitted.method.temperature == 1.0
    assert set(fitted.history[-1].losses) == {"class", "confusion"}


def test_nothing_is_written_or_printed(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    fit("dann", (X, Y), TARGET, training=QUICK)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("source", "more", "message"),
    [
        ((X, Y[:-1]), {}, "200 rows and labels of shape"),
        (X, {}, r"give a pair \(x, y\)"),
        (None, {}, "source: has no labelled examples"),
        ((X, Y), {"model": nn.Linear(7, 2)}, r"model: fails on inputs of shape \(2, 4\)"),
        ((X, Y * 1.5), {}, "learns classes, and the labels are numbers"),
        ((X, Y), {"validation": (X, Y + 7)}, "class 7 is not among the source's"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(source, more, message):
    with pytest.raises(BadInput, match=message):
        fit("mcc", source, TARGET, training=QUICK, **more)


def test_it_is_public():
    assert acclimate.fit is fit
