"""Random damage to any file of a Run, and to inputs of every kind, ends in a result or in one line.

Never in a traceback, a long wait, much memory, or a change to a file of somebody else.
"""

import faulthandler
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import damage
import numpy as np
import pytest
import samples

from acclimate import adapt

FEW, MANY, BLOCK = 24, 2000, 250
SECONDS = 60
MEGABYTES = 1500
"""By how much a block of cases may raise the process's largest memory."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Inputs of every kind, and cheap Runs of every form of preprocessing and of models."""
    place = tmp_path_factory.mktemp("whole")
    before = Path.cwd()
    os.chdir(place)
    try:
        _inputs()
        _runs()
    finally:
        os.chdir(before)
    return place


def _inputs() -> None:
    Path("in").mkdir()
    Path("out").mkdir()
    samples.arrays(Path("in/source.npz"))
    samples.arrays(Path("in/target.npz"), seed=1)
    np.savez_compressed("in/small.npz", x=np.random.default_rng(0).normal(size=(24, 4)), y=np.arange(24) % 2)
    table = samples.rows(24)
    table.write_csv("in/table.csv")
    table.write_csv("in/table.tsv", separator="\t")
    table.write_ndjson("in/table.jsonl")
    table.write_parquet("in/table.parquet")
    table.write_excel("in/table.xlsx")
    samples.images(Path("in/images"), each=4)
    samples.picture(9).save("in/images/cat/9.jpg")
    shutil.make_archive("in/zipped", "zip", "in/images")


def _runs() -> None:
    few = {"steps": 2, "settings": {"train.save_every": 1}}
    adapt("in/source.npz", "in/target.npz", "vectors", method="mcc", score="in/target.npz", **few)
    adapt("in/table.csv", "in/table.csv", "table", method="source_only", label="sick", drop=["age"], **few)
    adapt("in/table.csv", "in/table.csv", "numbers", method="dann", label="age", task="regression", **few)
    adapt("in/images", "in/images", "images", method="dann", backbone="cnn", augment="flip_crop", **few)
    adapt("in/table.csv", "in/table.csv", "text", method="source_only", label="sick", text="town", **few)
    adapt("in/source.npz", "in/target.npz", "linear", method="coral")


RUNS = {"vectors": "target.npz", "table": "table.csv", "numbers": "table.csv", "images": "images", "text": "table.csv",
        "linear": "target.npz"}  # fmt: skip
"""Each Run, and what it takes."""
INPUTS = {
    "vectors": ["source.npz", "small.npz"],
    "table": ["table.csv", "table.tsv", "table.jsonl", "table.parquet", "table.xlsx"],
    "numbers": ["table.csv", "table.parquet"],
    "images": ["images", "zipped.zip"],
    "text": ["table.csv", "table.jsonl"],
}
"""Inputs of each kind that may be damaged."""
RESUMED = {
    "vectors": ("in/source.npz", "in/target.npz", "--method", "mcc", "--steps", 2, "--set", "train.save_every=1"),
    "linear": ("in/source.npz", "in/target.npz", "--method", "coral"),
}
"""How the Runs that are resumed were made."""


def _case(rng: random.Random) -> tuple[str, list[object]]:
    """Damage one file in the current folder; return what was done, and a command to give it to."""
    if rng.random() < 0.35:
        run = rng.choice(list(INPUTS))
        given = Path("in", rng.choice(INPUTS[run]))
        below = sorted(p for p in given.rglob("*") if p.is_file()) or [given]
        hit = rng.choice(below)
        did = f"{hit}: {damage.damage(hit, below, rng)}"
        command = rng.choice(("predict", "evaluate", "adapt"))
        if command == "adapt":
            label = () if run in {"vectors", "images"} else ("--label", "age" if run == "numbers" else "sick")
            return did, ["adapt", given, given, "-o", "out/new", "--steps", 1, "--method", "source_only", *label]
        return did, ["predict", run, given, "-o", "out/p.csv"] if command == "predict" else ["evaluate", run, given]
    run = rng.choice(list(RUNS))
    files = sorted(p for p in Path(run).rglob("*") if p.is_file() and p.name != "report.html")
    hit = rng.choice(files)
    did = f"{hit}: {damage.damage(hit, files, rng)}"
    given = Path("in", RUNS[run])
    command = rng.choice(("predict", "predict", "evaluate", "report", "resume", "from"))
    if command == "resume" and run in RESUMED:
        if rng.random() < 0.7:
            Path(run, "scores.json").unlink(missing_ok=True)
        return did, ["adapt", *RESUMED[run], "-o", run, "--resume"]
    if command == "from" and run == "vectors":
        return did, ["adapt", run, given, "-o", "out/new", "--steps", 1]
    if command == "evaluate":
        return did, ["evaluate", run, given]
    return did, ["report", run] if command == "report" else ["predict", run, given, "-o", "out/p.csv"]


def _all_around(folder: Path, but: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """What tells a change of every file and folder, but of those in the folders ``but``."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] not in but:
            stat = path.lstat()
            found[name] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return found


class TooLong(BaseException):
    """Raised by the alarm; nothing of ours catches it."""


def _stop(*_: object) -> None:
    raise TooLong


def _failure(seed: int, acclimate: Callable[..., object]) -> str | None:
    """What a case does that it must not, or None."""
    did, command = _case(random.Random(seed))
    written = {"report": (str(command[1]),)}.get(str(command[0]), tuple(RESUMED) if "--resume" in command else ())
    but = ("out", *written)
    before, began = _all_around(Path(), but), time.monotonic()
    told = f"case {seed}: {did}: {' '.join(map(str, command))}: "
    signal.alarm(SECONDS)
    faulthandler.dump_traceback_later(
        3 * SECONDS, exit=True, file=sys.__stderr__
    )  # where a library waits, no alarm is heard
    try:
        code = acclimate(*command).code
    except TooLong:
        return told + "took too long"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return told + f"{type(error).__name__}: {error!s:.200} ({where.filename}:{where.lineno})"
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
    if code not in {0, 2}:
        return told + f"exit code {code}"
    if _all_around(Path(), but) != before:
        return told + "changed files of others"
    return None if time.monotonic() - began < SECONDS else told + "took too long"


def _restore(here: Path, place: Path, whole: dict[str, tuple[int, ...]]) -> None:
    """Copy again the folders in which something has changed."""
    now = _all_around(here, ())
    for name in {path.split("/")[0] for path in whole.keys() | now.keys() if whole.get(path) != now.get(path)}:
        shutil.rmtree(here / name, ignore_errors=True)
        shutil.copytree(place / name, here / name)


def _run_cases(seeds: range, place: Path, tmp_path: Path, acclimate: Callable[..., object], monkeypatch) -> None:
    usual = signal.signal(signal.SIGALRM, _stop)
    largest, failures = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    try:
        here = shutil.copytree(place, tmp_path / "here")
        monkeypatch.chdir(here)
        for seed in seeds:
            whole = _all_around(here, ())
            failures += filter(None, [_failure(seed, acclimate)])
            _restore(here, place, whole)
    finally:
        signal.signal(signal.SIGALRM, usual)
    assert not failures, "\n".join(failures)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - largest < MEGABYTES << 10


@pytest.mark.slow
def test_a_little_damage_ends_in_one_line(place, tmp_path, acclimate, monkeypatch):
    _run_cases(range(FEW), place, tmp_path, acclimate, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FEW, MANY, BLOCK))
def test_much_damage_ends_in_one_line(first, place, tmp_path, acclimate, monkeypatch):
    _run_cases(range(first, min(first + BLOCK, MANY)), place, tmp_path, acclimate, monkeypatch)
