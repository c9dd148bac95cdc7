"""Methods and backbones from a file outside the package, as a researcher would write it."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import samples
import torch
import yaml
from safetensors.torch import load_file

import acclimate
from acclimate import methods, plugins
from acclimate.errors import BadInput
from acclimate.testing import check_method
from acclimate.training.progress import LossLog

CODE = '''
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from acclimate.methods import Method


class MeanMatch(Method):
    """Matches the mean features of the domains."""

    def __init__(self, model, *, weight: float = 1.0):
        super().__init__(model)
        self.weight = weight

    def losses(self, source, labels, target, progress):
        gap = (source.features.mean(0) - target.features.mean(0)).square().sum()
        return {"class": cross_entropy(source.logits, labels), "gap": self.weight * gap}


class Net(nn.Sequential):
    """Features of vectors of four columns."""

    def __init__(self, *, width: int = 8):
        super().__init__(nn.Linear(4, width), nn.ReLU())
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that is not imported, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(CODE)
    yield "mine"
    sys.modules.pop("mine", None)


def import_mine():
    plugins.import_module("mine.py")
    return sys.modules["mine"]


@pytest.fixture
def domains(tmp_path):
    return str(samples.arrays(tmp_path / "s.npz", n=60)), str(samples.arrays(tmp_path / "t.npz", n=60, seed=1))


OWN = ("--method", "mine.py:MeanMatch", "--backbone", "mine.py:Net", "--set", "weight=0.5", "--set", "backbone.width=6")


def test_the_command_line_adapts_predicts_and_reports_with_them(module, domains, acclimate):
    told = acclimate("adapt", *domains, "-o", "run", "--steps", 5, "--score", domains[1], *OWN)
    assert told.code == 0, told.lines
    recipe = yaml.safe_load(Path("run/recipe.yaml").read_text())
    assert (recipe["method"], recipe["backbone"]) == ("mine:MeanMatch", "mine:Net")
    assert recipe["plugins"] == {"mine:MeanMatch": "mine", "mine:Net": "mine"}
    del sys.modules["mine"]
    assert acclimate("predict", "run", domains[1], "-o", "p.csv", "--import", "mine.py").code == 0
    assert acclimate("evaluate", "run", domains[1], "--import", "mine.py").code == 0
    assert acclimate("report", "run").code == 0


def test_a_run_never_imports_what_its_recipe_names(module, domains, acclimate):
    acclimate("adapt", *domains, "-o", "run", "--steps", 2, *OWN)
    del sys.modules["mine"]
    told = acclimate("predict", "run", domains[1], "-o", "p.csv")
    assert told.code == 2
    assert "needs the Python module 'mine'" in told.lines[-1]
    assert "mine" not in sys.modules


def test_python_takes_the_classes_themselves_and_resumes_to_the_bit(module, domains, monkeypatch):
    mine = import_mine()
    given = {"method": mine.MeanMatch, "backbone": mine.Net, "steps": 12, "settings": {"train.save_every": 4}}
    straight = acclimate.adapt(*domains, "straight", **given)
    usual = LossLog.step

    def dying(self, step, validation):
        usual(self, step, validation)
        if self.phase == "adapted" and step.done == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LossLog, "step", dying)
        with pytest.raises(KeyboardInterrupt):
            acclimate.adapt(*domains, "resumed", **given)
    resumed = acclimate.adapt(*domains, "resumed", resume=True, **given)
    both = (load_file(run.weights(0, "adapted")) for run in (straight, resumed))
    torch.testing.assert_close(*both, rtol=0, atol=0)


def test_the_conformance_suite_checks_it(module):
    check_method(import_mine().MeanMatch)


def test_the_conformance_suite_tells_what_is_broken(module):
    class Counts(import_mine().MeanMatch):
        calls = 0

        def losses(self, source, labels, target, progress):
            self.calls += 1
            return {"class": self.calls * super().losses(source, labels, target, progress)["gap"]}

    with pytest.raises(AssertionError, match="Counts, classification: "):
        check_method(Counts)


def test_a_package_offers_methods_by_entry_points(module, domains, monkeypatch, tmp_path):
    package = tmp_path / "netlib-1.2.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: netlib\nVersion: 1.2\n")
    (package / "entry_points.txt").write_text(f"[{plugins.METHODS}]\nmean_match = mine:MeanMatch\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "mean_match" in methods.names()
    recipe = acclimate.adapt(*domains, "run", method="mean_match", steps=2).recipe
    assert (recipe.method, recipe.plugins) == ("mean_match", {"mean_match": "netlib 1.2"})


def test_a_missing_package_is_named():
    with pytest.raises(BadInput, match=r"their_net: this Run needs the package netlib 1\.2; install it"):
        plugins.require({"their_net": "netlib 1.2"}, "their_net")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("nothing.py:Net", "nothing.py: no such file"),
        ("no_such_module:Net", "no_such_module: cannot be imported"),
        ("mine.py:Nett", "has no 'Nett'"),
    ],
)
def test_what_cannot_be_imported_is_told(module, domains, acclimate, spec, says):
    told = acclimate("adapt", *domains, "-o", "run", "--backbone", spec)
    assert (told.code, says in told.lines[-1]) == (2, True), told.lines


def test_a_class_without_a_place_is_refused(domains):
    class Local(methods.get("mcc")):
        """Defined where no Run could find it again."""

    with pytest.raises(BadInput, match="define it at the top of a module"):
        acclimate.adapt(*domains, method=Local)


def test_whole_number_classes_come_back_as_whole_numbers(tmp_path):
    x, y = samples.shifted()
    run = acclimate.adapt((x, y * 3 + 1), x, tmp_path / "run", method="source_only", steps=30)
    found = run.predict(x)["class"].to_numpy()
    assert found.dtype == np.int64
    assert set(found) == {1, 4}


def test_another_process_imports_the_file_of_a_class_before_the_class(tmp_path, monkeypatch):
    (tmp_path / "elsewhere.py").write_text("class Thing:\n    pass\n")
    plugins.import_module(str(tmp_path / "elsewhere.py"))
    sent = pickle.dumps((plugins.ImportedFiles(), sys.modules["elsewhere"].Thing()))
    monkeypatch.delitem(sys.modules, "elsewhere")
    assert type(pickle.loads(sent)[1]).__qualname__ == "Thing"
    sys.modules.pop("elsewhere")
