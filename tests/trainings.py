"""Small trainings whose weights depend on every random number that is drawn."""

from dataclasses import replace

import numpy as np
import torch
from conformance import build
from safetensors.torch import load_file

from acclimate import methods
from acclimate.data.inputs import ArrayImageInputs, DenseInputs
from acclimate.errors import BadInput
from acclimate.methods import selfsup
from acclimate.nn import Classifier, Normalize
from acclimate.recipe import Training
from acclimate.run_folder import RunFolder
from acclimate.training.examples import NO_LABELS, NO_ROWS
from acclimate.training.job import Job
from acclimate.training.progress import LossLog
from acclimate.training.train import Spec, TrainingData


class TornInputs(DenseInputs):
    """Rows of which one cannot be read; it stands in this module because each process imports its class."""

    def batch(self, index, out=None):
        if 7 in index:
            raise BadInput("t/7.png: not a readable image; remove it or save it again")
        return super().batch(index, out)


def job(folder, name="dann", *, dropout=0.3, batch_norm=True, apart=True, **settings):
    """A job whose weights depend on every random number drawn: dropout, batch norm, shuffled batches."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 5)).astype(np.float32), np.arange(90) % 3
    x[:, 0] += y

    def with_noise(model):
        layers = [torch.nn.BatchNorm1d(8)] if batch_norm else []
        backbone = torch.nn.Sequential(*model.backbone, *layers, torch.nn.Dropout(dropout))
        noisy = Classifier(backbone, model.head, n_features=8, n_classes=3)
        if apart:
            noisy.separate_batch_norm(shared=True)
        return methods.get(name)(noisy)

    given = {"steps": 20, "batch_size": 8, "optimizer": "adamw", "lr": 0.01, "save_every": 5, "validate_every": 4}
    data = TrainingData(DenseInputs(x[:60]), y[:60], DenseInputs(x[:40] + 2), DenseInputs(x[60:]), y[60:])
    spec = Spec(build(with_noise), data, Training(**given | settings), seed=3)
    return Job(RunFolder(folder), "adapted", spec, show=False)


def change(made, **more):
    """The same job with another spec, other data (``data``), or on several ``devices``."""
    devices, data = more.pop("devices", made.devices), replace(made.spec.data, **more.pop("data", {}))
    return replace(made, devices=devices, spec=replace(made.spec, data=data, **more))


def pretraining(folder, name, **settings):
    """One whose weights depend, beside that, on the views that are drawn and on a teacher."""
    x = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3)).astype(np.uint8)
    torch.manual_seed(0)
    layers = torch.nn.Flatten(), torch.nn.Linear(432, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.3)
    backbone, scale = torch.nn.Sequential(*layers), Normalize([128.0] * 3, [64.0] * 3)
    model = Classifier(backbone, torch.nn.Linear(8, 3), n_features=8, n_classes=3, normalize=scale)
    method = selfsup.get(name)(model, hidden=16, out=8)
    given = {"steps": 20, "batch_size": 8, "optimizer": "adamw", "lr": 0.01, "save_every": 5}
    data = TrainingData(NO_ROWS, NO_LABELS, ArrayImageInputs(x, 12))
    return Job(RunFolder(folder), "pretrained", Spec(method, data, Training(**given | settings), seed=3), show=False)


def weights(folder, phase="adapted"):
    return load_file(folder / f"models/{phase}-3.safetensors")


def stop_at(monkeypatch, step):
    """Have the training die right after step ``step``, as if the machine did."""
    usual = LossLog.step

    def dying(self, now, validation):
        usual(self, now, validation)
        if now.done == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(LossLog, "step", dying)
