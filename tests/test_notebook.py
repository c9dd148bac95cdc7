"""The notebook in docs runs from its first cell to its last."""

import json
from pathlib import Path

import pytest

from acclimate.data.demo import write_demo

CELLS = json.loads((Path(__file__).parents[1] / "docs/first_steps.ipynb").read_text("utf-8"))["cells"]


@pytest.mark.slow
def test_every_cell_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_demo(Path("demo"))
    told: dict[str, object] = {}
    for cell in CELLS:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]).replace("steps=500", "steps=2"), told)
    assert len(told["predicted"]) == len(list(Path("demo/target").rglob("*.png")))
    assert 0 < told["scores"]["accuracy"] < 1
    assert Path("runs/notebook/report.html").exists()


def test_it_is_kept_without_outputs():
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in CELLS)
