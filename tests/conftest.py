import gc
import importlib
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: each core has a process of tests already

import numpy as np
import pytest
import samples
from hypothesis import settings
from numpy.typing import NDArray

settings.register_profile("quick", deadline=None, derandomize=True, max_examples=25)  # machines may be slow
settings.register_profile("ci", settings.get_profile("quick"), max_examples=100)
settings.load_profile("quick")

REPORT = Path(__file__).parent / "report"


class Told(NamedTuple):
    """What a command left: its exit code, its words, its lines on stderr."""

    code: int
    out: str
    lines: list[str]


def _unsynced(_file: object) -> None:
    """Stand in for `os.fsync`: what tests write need not outlive a power cut, and waiting for the disk takes long."""


def pytest_configure(config: pytest.Config) -> None:
    """Do not wait for the disk; import skops first: it searches all loaded modules, 5 s more where torch is loaded."""
    os.fsync = _unsynced
    starts_workers = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if not starts_workers:
        importlib.import_module("skops.io")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Draw maps by PCA, which takes a hundredth of t-SNE's time, except in the report's own tests.

    This is not a fixture because fixtures of the session make Runs too, for tests of either kind.
    """
    from acclimate.report import embed, page

    def principal(features: NDArray[np.float64]) -> embed.Embedding:
        return embed.Embedding(embed._principal(features, 2), "PCA")

    page.embed = embed.embed if item.path.is_relative_to(REPORT) else principal


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory):
    """No test meets what another run of the software kept."""
    os.environ["ACCLIMATE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def acclimate(monkeypatch, capsys) -> Callable[..., Told]:
    """Runs the command line in this process: ``acclimate("adapt", source, target, ...)``."""
    from acclimate.cli import main

    def run(*arguments: object) -> Told:
        monkeypatch.setattr(sys, "argv", ["acclimate", *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))  # to which the command adds its folder
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Told(int(left.value.code or 0), said.out, said.err.splitlines())

    return run


@pytest.fixture
def image_folder(tmp_path) -> Path:
    """Three pictures of each of two classes."""
    return samples.images(tmp_path / "images", ["cat", "dog"])


@pytest.fixture
def table(tmp_path) -> Path:
    """Twelve rows with the columns age, town and sick."""
    return samples.table(tmp_path / "table.csv")


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """The Run of a few steps on vectors ``(n, 4)``; copy it before changing it."""
    from acclimate import adapt

    place = tmp_path_factory.mktemp("finished")
    source, target = samples.arrays(place / "source.npz"), samples.arrays(place / "target.npz", seed=1)
    adapt(source, target, place / "run", method="source_only", steps=2)
    return place / "run"


@pytest.fixture(scope="session")
def finished_regression(tmp_path_factory) -> Path:
    """The Run of a few steps on a table with a price; copy it before changing it."""
    from acclimate import adapt

    place = tmp_path_factory.mktemp("regression")
    source, target = samples.prices(place / "source.csv"), samples.prices(place / "target.csv", shift=1, seed=1)
    adapt(source, target, place / "run", method="dann", steps=3, label="price", score=target)
    return place / "run"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets beside the checkout."""
    place = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not place.is_dir():
        pytest.skip("there is no ../shared/data with real data sets")
    return place


@pytest.fixture
def environment() -> dict[str, str]:
    """For processes of a test: two threads, as a test may take."""
    return {**os.environ, "OMP_NUM_THREADS": "2"}


@pytest.fixture
def skada():
    """skada, which turns scikit-learn's metadata routing on when it is imported: on only in the tests that ask."""
    import sklearn

    with sklearn.config_context(enable_metadata_routing=True):
        import skada

        yield skada


@pytest.fixture(scope="session")
def lightly():
    """lightly's losses and schedules, the oracle; its own import is not ours to keep free of warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightly.loss
        import lightly.utils.scheduler
    return lightly


def pytest_collection_finish() -> None:
    """Leave what is imported out of every later search for garbage, which would go through millions of objects."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Have what is imported freed at the end, or nanobind reports it as leaked."""
    gc.unfreeze()
