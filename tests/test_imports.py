"""What is not imported before it is needed: one process takes the steps in order."""

import json
import subprocess
import sys

import pytest
import samples

import acclimate

STEPS = {
    "describing the options": ("import acclimate.workflows.options", {"torch", "numpy"}),
    "naming a backbone and a strategy": (
        "from acclimate import backbones, finetune\nbackbones.check_name('timm:resnet18'), finetune.check_name('lora')",
        {"torch", "numpy", "timm"},
    ),
    "checking a request": (
        "from acclimate.workflows.early import check_early; from acclimate.workflows.options import Request\n"
        "asked = Request(method='dann', settings={'train.lr': .1, 'weight': .5}, augment='noise')\n"
        "check_early('.', '.', None, asked, resume=False)",
        {"torch", "numpy", "polars", "sklearn", "timm"},
    ),
    "listing the methods": (
        "from acclimate import methods; from acclimate.methods import shallow\n"
        "assert {'dann', 'mcd', 'source_only'} <= set(methods.names()) and 'coral' in shallow.names()",
        {"torch", "numpy"},
    ),
    "reading arrays": (
        "from acclimate.data.source import as_domain\n"
        "as_domain(['a', 'b'], name='source'), as_domain(([[1.0, 2.0]], ['c']), name='source')",
        {"torch", "pandas", "datasets", "pyarrow"},
    ),
    "building an Adapter": ("import acclimate; acclimate.sklearn.Adapter()", {"torch", "timm"}),
}
"""Code by the step's name, and the packages that it must not import."""


def imported_by(*steps):
    """The packages that are imported after each step of one process."""
    told = "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    code = "\n".join(["import json, sys", *(f"{step}\n{told}" for step in steps)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [set(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def imported():
    return dict(zip(STEPS, imported_by(*(code for code, _ in STEPS.values())), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_step_imports_nothing_that_it_does_not_need(step, imported):
    assert "acclimate" in imported[step]
    assert imported[step] & STEPS[step][1] == set()


@pytest.mark.slow
def test_opening_a_run_imports_nothing_that_trains():
    [packages] = imported_by("import acclimate.runs.run")
    assert {"lightning_fabric", "transformers", "openTSNE", "sklearn", "pandas"} & packages == set()


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["cnn", "efficientnet_lite0"])
def test_predicting_from_an_image_imports_neither_timm_nor_torchs_compiler(tmp_path, backbone):
    folder = samples.images(tmp_path / "source")
    run = acclimate.adapt(folder, folder, tmp_path / "run", backbone=backbone, image_size=32, steps=1)
    code = f"import sys; from acclimate import Run; Run.open({str(run.path)!r}).predict({str(folder)!r})\n"
    barred = "{'timm', 'torchvision', 'torch._dynamo', 'sklearn', 'sympy'}"
    subprocess.run([sys.executable, "-c", f"{code}assert not {barred} & sys.modules.keys()"], check=True)
