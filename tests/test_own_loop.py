"""The loops in docs/own_loop.md run as they stand there."""

import re
from pathlib import Path

import pytest
import torch
from conformance import build
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from acclimate import Classifier, methods

PAGE = (Path(__file__).parents[1] / "docs/own_loop.md").read_text("utf-8")
PLAIN, LIGHTNING, DRIVER = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def loaders(d=20, n=240):
    """Three classes along one axis; the target is shifted along another."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, d, generator=g), torch.arange(n) % 3
    x[:, 0] += 4 * y
    target = x + 2 * torch.eye(d)[1]
    source = DataLoader(TensorDataset(x, y), 16, shuffle=True, generator=g)
    return {"source_loader": source, "target_loader": DataLoader(TensorDataset(target), 16), "new_x": target}


def lines_of(code):
    return [line for line in code.splitlines() if line.strip() and not line.lstrip().startswith(("import", "from"))]


@pytest.mark.parametrize("code", [PLAIN, LIGHTNING, DRIVER])
def test_a_loop_is_under_25_lines(code):
    assert len(lines_of(code)) < 25


def test_the_plain_loop_trains():
    names = loaders()
    torch.manual_seed(0)
    exec(PLAIN, names)
    assert {"class", "domain"} == set(names["losses"])
    before = names["losses"]["class"].item()
    exec(PLAIN.partition("\n\nfor")[2].join(["for", ""]), names)  # once more over the data
    assert names["losses"]["class"].item() < before


@pytest.mark.parametrize("name", ["mcd", "shot", "adda", "mean_teacher", "nrc"])
def test_the_driver_takes_the_steps_of_every_method(name):
    method = build(methods.get(name))
    before = {k: v.clone() for k, v in method.model.state_dict().items()}
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    exec(DRIVER, {**loaders(d=5, n=48), "method": method, "optimizer": optimizer, "epochs": 2})
    assert any(not torch.equal(v, before[k]) for k, v in method.model.state_dict().items())


@pytest.mark.lightning
@pytest.mark.filterwarnings("ignore")
def test_the_lightning_loop_trains(tmp_path):
    import lightning
    from lightning.pytorch.utilities import CombinedLoader

    names: dict[str, object] = {}
    exec(LIGHTNING, names)
    torch.manual_seed(0)
    model = Classifier(nn.Linear(20, 8), nn.Linear(8, 3), n_features=8, n_classes=3)
    before = model.head.weight.detach().clone()
    both = loaders()
    combined = CombinedLoader([both["source_loader"], both["target_loader"]], "min_size")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(max_epochs=1, default_root_dir=tmp_path, enable_checkpointing=False, **quiet)
    trainer.fit(names["Adapt"](methods.get("dann")(model)), combined)
    assert not torch.equal(model.head.weight, before)
