"""Labels of the target for reporting alone: which examples to label, and what the labels show of a finished Run."""

import logging
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from acclimate.contents import Audited, AuditedAccuracy, AuditedError, Phase
from acclimate.data import Domain, place_of, table_files, tables
from acclimate.data.digests import digest
from acclimate.data.images import FolderImages
from acclimate.data.listed import ListedImages
from acclimate.data.source import Source
from acclimate.errors import BadInput, explain_access
from acclimate.lock import locked
from acclimate.report import write_report
from acclimate.run_folder import RunFolder
from acclimate.runs.choice import Choice
from acclimate.runs.outputs import AnyOutputs, ClassOutputs, NumberOutputs, ensemble, read_class_outputs
from acclimate.runs.run import Run
from acclimate.validators.audit import ask, audit_numbers, prediction_powered
from acclimate.workflows.plan.domains import IMAGE, LABEL, is_table, read_listed
from acclimate.workflows.scoring import change_between

log = logging.getLogger("acclimate")

SAME = 1e-3
"""Difference of probabilities up to which an example is taken for one of the target's."""
DECIMALS = 6
LEARNT = {"source": "the source", "target_labels": "the labels of --target-labels"}
"""What a Run learns from with labels, by its name among the recipe's digests."""


def audit(run: Run, labelled: Source, *, model: str = "") -> Audited:
    """Score a Run on labels that are used for nothing else, and write ``audit.json`` and the report into it.

    The figures hold for the target if the examples were drawn from it at random, as `to_label` draws them.

    Args:
        run: A finished Run.
        labelled: As for `Run.evaluate`; also the file that `to_label` leads to, filled in.
        model: What predicts; see `Run.choose`.

    Raises:
        BadInput: There are no labels, or other classes, or the model was trained on these very examples.
    """
    choice = run.choose(model)
    domain = read_labelled(run, labelled)
    found = audited(run, domain, choice)
    log.info("%s: whether the models were trained on some of these examples cannot be checked: a Run keeps a hash of "
             "its data as a whole", domain.name)  # fmt: skip
    with explain_access(), locked(run.path):
        run.write_json("audit.json", found)
        write_report(run)
    return found


def write_audit(run: RunFolder, domain: Domain) -> None:
    """Write what labelled examples show of a Run that is scored; it must be this process's."""
    opened = Run.open(run.path)
    run.write_json("audit.json", audited(opened, domain, opened.choose()))


def audited(run: Run, domain: Domain, choice: Choice) -> Audited:
    """What labelled examples show of each phase's models, with the seeds of the chosen ones.

    Raises:
        BadInput: As for `audit`.
    """
    content = digest(domain)
    _check_not_learnt(run, domain.name, content)
    outputs = run.outputs_for(domain, choice)
    about = {"name": domain.name, "n": len(domain), "digest": content}
    who = {"model": choice.model, "phase": choice.phase, "seeds": list(choice.seeds)}
    parts = {phase: _score(run, Choice(cast("Phase", phase), choice.seeds), of) for phase, of in outputs.items()}
    change = change_between([outputs["source_only"]], [outputs["adapted"]]) if "adapted" in outputs else None
    return cast("Audited", {**about, **who, **parts, **({"change": change} if change else {})})


def _check_not_learnt(run: Run, name: str, content: str) -> None:
    known = run.recipe.digests
    for role, what in LEARNT.items():
        if known.get(role) == content:
            raise BadInput(f"{name}: is {what}, which the Run was trained on; give other labelled examples")
    if any(one.digest == content for one in run.recipe.sources):
        raise BadInput(f"{name}: is one of the sources, which the Run was trained on; give other labelled examples")


def _score(run: Run, choice: Choice, outputs: AnyOutputs) -> AuditedAccuracy | AuditedError:
    return _numbers(outputs) if isinstance(outputs, NumberOutputs) else _classes(run, choice, outputs)


def _classes(run: Run, choice: Choice, outputs: ClassOutputs) -> AuditedAccuracy:
    right, guess = outputs.errors() == 0, outputs.probabilities.max(1)
    found = prediction_powered(right, guess, _confidence(run, choice, outputs.probabilities))
    accuracy, low, high = (round(value, DECIMALS) for value in (found.accuracy, found.low, found.high))
    return cast("AuditedAccuracy", {"accuracy": accuracy, "low": low, "high": high, "how": found.how})


def _confidence(run: Run, choice: Choice, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The models' confidence on the Run's target if the examples are some of the target's, else nothing.

    Confidence on a target from elsewhere says nothing of these examples. They are known by their probabilities, as a
    Run does not keep what they are.
    """
    files = [run.outputs(seed, choice.phase, "target") for seed in choice.seeds]
    if not all(path.is_file() for path in files):
        return np.empty(0)
    of_target = ensemble([read_class_outputs(run, seed, choice.phase, "target") for seed in choice.seeds]).answers
    nearest, _ = cKDTree(of_target).query(probabilities, p=np.inf, distance_upper_bound=SAME)
    return np.asarray(of_target.max(1)) if np.isfinite(nearest).all() else np.empty(0)


def _numbers(outputs: NumberOutputs) -> AuditedError:
    found = audit_numbers(outputs.predicted, outputs.true)
    low, high = found.r2_interval or (None, None)
    return {
        "mae": found.mae, "low": found.mae_interval.low, "high": found.mae_interval.high,
        "r2": found.r2, "r2_low": low, "r2_high": high,
    }  # fmt: skip


def read_labelled(run: Run, given: Source) -> Domain:
    """Labelled examples, read as for `Run.evaluate`; of a Run of folders also a table that lists images by path.

    Raises:
        BadInput: They cannot be read.
    """
    if run.preprocess.kind == "images" and not run.recipe.source.image and is_table(given):
        return read_listed(given, run.recipe.classes)
    return run.domain(given)


def to_label(run: Run, target: str, k: int, *, folder: Path, seed: int = 0) -> pl.DataFrame:
    """Draw examples of the target at random, as a table with an empty column for their labels.

    The first of them are a random draw, too, so that fewer may be labelled: the rest are then to be removed.

    Args:
        run: A finished Run.
        target: A folder of images, or a table.
        k: How many to draw.
        folder: Where the table is to be; paths of images in it are relative to this folder if they are below it.
        seed: Of the draw.

    Returns:
        For a folder the columns ``image`` and ``label``; for a table all its columns, and that of the Run's labels.

    Raises:
        BadInput: There are fewer examples, or they cannot be written as rows of a table.
    """
    domain = run.domain(target, read_labels=False)
    rows = ask(len(domain), k, seed=seed)
    if isinstance(domain.examples, FolderImages) and not isinstance(domain.examples, ListedImages):
        paths = [_path_from(folder, domain.examples.place(int(i))) for i in rows]
        return pl.DataFrame({IMAGE: paths, LABEL: [None] * k}, schema_overrides={LABEL: pl.String})
    place, part = place_of(target)
    if not place.name.lower().endswith(table_files.ENDINGS):
        raise BadInput(f"--ask: {target} is neither a folder of images nor a table; {_instead(place)}")
    if run.recipe.source.image and place.parent != folder.resolve():
        raise BadInput(f"-o: paths of images in {target} start at its folder; choose a file in {place.parent}")
    if not (label := run.recipe.source.label):
        raise BadInput(f"--ask: {run.path} was not trained on a table with a column of labels; label rows of your own")
    taken: pl.DataFrame = tables.rows_of(place, part)[rows.tolist()]
    return taken.drop(label, strict=False).with_columns(pl.lit(None, dtype=pl.String).alias(label))


def _path_from(folder: Path, image: Path) -> str:
    """The path of an image relative to a folder it is below, else its absolute path."""
    above, path = folder.absolute(), image.absolute()
    return path.relative_to(above).as_posix() if path.is_relative_to(above) else str(path)


def _instead(place: Path) -> str:
    """What to do where rows cannot be written as a table."""
    if place.suffix.lower() == ".npz":
        return (
            "draw rows with `acclimate.validators.audit.ask(n, k)`, and save x of these rows and their labels y as "
            "another .npz"
        )
    return "unpack it, and give the folder"
