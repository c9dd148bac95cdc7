"""The workflow: plan, train all cells, choose without target labels, and make the choice a Run."""

import logging
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Unpack, cast

from acclimate.contents import CompareSettings, Comparison
from acclimate.data.several import Sources, sources_of
from acclimate.data.source import Source
from acclimate.errors import BadInput, explain_access
from acclimate.files import expand
from acclimate.lock import LOCK, Locked, locked
from acclimate.recipe import ENSEMBLE, STUDENT
from acclimate.report.compare import finding, render_comparison
from acclimate.run_folder import PARTIAL, RunFolder
from acclimate.runs.run import Run
from acclimate.training.launch import in_first_process
from acclimate.workflows.command import command_of
from acclimate.workflows.compare import found
from acclimate.workflows.compare.caution import weigh
from acclimate.workflows.compare.cells import Cell, Store
from acclimate.workflows.compare.choice import Choice, Table, choose, judge
from acclimate.workflows.compare.ensemble import Weights, by_name, ensembles
from acclimate.workflows.compare.grid import Grid, Planned, Setting, adapt_options, base_of, known, make_grid, plan_all
from acclimate.workflows.compare.on_ray import connected, work_on_ray
from acclimate.workflows.compare.over_sources import over_sources
from acclimate.workflows.compare.pool import of_cell, pool
from acclimate.workflows.compare.portions import portions
from acclimate.workflows.compare.scores import Scoring, agreement
from acclimate.workflows.compare.together import ensemble_of, members, student_of
from acclimate.workflows.compare.winner import WINNER, make_run
from acclimate.workflows.compare.work import PAUSE, work, work_together
from acclimate.workflows.early import check_early, each_source, is_run
from acclimate.workflows.options import CompareKeywords, CompareRequest, described_by, parse_request
from acclimate.workflows.resume import CannotResume
from acclimate.workflows.select_strategy import Begun, remove_trials, select_strategy
from acclimate.workflows.train_phase import Machine

log = logging.getLogger("acclimate")

PAGE = "compare.html"
OWN = {found.FILE, PAGE, "cells", "failed", "trials", WINNER, ENSEMBLE, STUDENT, LOCK}
"""What a comparison writes into its folder."""


@dataclass(frozen=True)
class Compared:
    """What `compare` found.

    Attributes:
        path: The folder with ``compare.json``, ``compare.html`` and the Run ``winner``.
        found: What stands in ``compare.json``.
    """

    path: Path
    found: Comparison

    @property
    def winner(self) -> Run:
        """The chosen method and setting as a finished Run."""
        return Run.open(self.path / WINNER)

    @property
    def finding(self) -> str:
        """The choice in a sentence."""
        return finding(self.found)


@described_by(CompareRequest)
def compare(
    source: Sources,
    target: Source,
    output: str | Path | None = None,
    *,
    resume: bool = False,
    show: bool = False,
    **options: Unpack[CompareKeywords],
) -> Compared:
    """Train many methods with several settings and seeds, and choose one without target labels.

    Every method is trained with its defaults and with a reduced weight, or else a reduced learning rate. Gates reject
    collapsed models, validators rank the others, and the setting with the highest mean rank over seeds becomes a Run.
    With ``score`` the page also tells how good each setting really is; the choice does not depend on it.

    With several sources every setting is trained on all together and on each alone.

    Several calls may share ``output``, on one machine or on a file system with locks: each training is done once.

    Args:
        source: Labelled domain (see `acclimate.data.source.Source`), or several in a list or as paths separated by
            commas.
        target: Domain to adapt to; labels that it has are set aside unread.
        output: Folder for ``compare.json``, ``compare.html`` and the Run ``winner``; a temporary one by default.
        resume: Continue the folder ``output`` if there is one, or join a call that works in it.
        show: Show progress on stderr: a bar in a terminal, elsewhere a line every 30 seconds.
        **options: See below.

    Raises:
        BadInput: Something only the caller can mend. What was written is removed, unless something was trained.
    """
    return in_first_process(partial(_compare, source, target, output, options, resume=resume, show=show))


def _compare(
    source: Sources, target: Source, output: str | Path | None, options: CompareKeywords, *, resume: bool, show: bool
) -> Compared:
    """`compare`, in the first of several processes."""
    request = parse_request(CompareRequest, options)
    output = expand(output) if output else output
    check_early(source, target, output, request, resume=resume)
    given = each_source(source)[0]
    if isinstance(given, RunFolder) or (isinstance(given, str | Path) and is_run(given)):
        raise BadInput("the source is a Run, and compare learns from the source's examples; give the source itself")
    planned, machine = plan_all(source, target, request), Machine(request.devices, show)
    folder = RunFolder(Path(output) if output else Path(tempfile.mkdtemp(prefix="acclimate-")) / "compare")
    _check_folder(folder)
    with connected(request.on) as ray:
        grid = _begin(folder, planned, machine, resume=resume)
        store, cells = Store(folder.path), _cells(grid)
        if ray:
            work_on_ray(ray, store, cells, machine)
        else:
            work_together(store, cells, machine, request.workers)
    with _alone(folder):
        if not _is_finished(folder):
            whole = command_of(source, target, output or folder.path, options, workflow="compare")
            _finish(folder, grid, machine, partial(_command, source, target, folder.path, request), whole)
        store.tidy(cells)
    return Compared(folder.path, cast("Comparison", found.read(folder)))


def _begin(folder: RunFolder, planned: Planned, machine: Machine, *, resume: bool) -> Grid:
    """Choose the fine-tuning strategy, and write what is compared; on bad input remove what was written."""
    begun = folder.file(found.FILE).exists()
    try:
        folder.make()
        with explain_access(), _alone(folder):
            begun = folder.file(found.FILE).exists()
            if begun and not resume:
                raise CannotResume(f"{folder.path}: exists already; continue it with --resume, or choose another -o")
            folder.sweep()
            trials, before = folder.file("trials"), _strategy(found.read(folder))
            chosen = select_strategy(planned.first, planned.request, trials, before=before, machine=machine).plan
            grid = make_grid(planned, chosen)
            found.check_same(folder, head := found.head_of(grid))
            if not begun:
                folder.write_json(found.FILE, {**head})
            remove_trials(trials, chosen)
            return grid
    except CannotResume:
        raise
    except BadInput as error:
        if begun or folder.has_trained():
            raise BadInput(f"{error.message}; {folder.path} keeps what is trained: continue with --resume") from error
        folder.discard()
        raise


def _check_folder(folder: RunFolder) -> None:
    """Refuse a folder that neither holds a comparison nor is empty.

    Raises:
        BadInput: It holds something else, or a link.
    """
    if not folder.path.exists():
        return
    inside = [path for path in folder.path.iterdir() if not PARTIAL.fullmatch(path.name)]
    for path in inside:
        if path.is_symlink():
            raise BadInput(f"{path}: is a link, but a comparison consists of its own files only; remove the link")
    strange = sorted({path.name for path in inside} - {"trials", LOCK})
    if strange and not folder.file(found.FILE).is_file():
        why = f"not a folder of a comparison (contains {strange[0]!r})"
        raise BadInput(f"{folder.path}: cannot resume: {why}; choose another -o")


@contextmanager
def _alone(folder: RunFolder) -> Iterator[None]:
    """Hold the lock of the folder; wait as long as another process holds it."""
    with ExitStack() as stack:
        waited = False
        while True:
            try:
                stack.enter_context(locked(folder.path))
                break
            except Locked as error:
                if not waited:
                    log.info("waiting for another process (%s)", error.message.partition("; ")[0])
                waited = True
                time.sleep(PAUSE)
        yield


def _strategy(before: CompareSettings | None) -> Begun | None:
    """The strategy of a comparison that is continued."""
    if before is None:
        return None
    recipe = next(iter(before["recipes"].values()))
    return {"finetune": recipe["finetune"], "tried": recipe.get("tried", {})}


def _cells(grid: Grid) -> list[Cell]:
    """All cells, setting by setting."""
    return [Cell(setting, seed) for setting in grid.settings.values() for seed in setting.plan.recipe.seeds]


def _is_finished(folder: RunFolder) -> bool:
    """Whether another call, or an earlier one, has done all."""
    told = found.read(folder)
    return told is not None and "ranking" in told and folder.file(PAGE).is_file()


def _finish(folder: RunFolder, grid: Grid, machine: Machine, command: partial[str], whole: str) -> None:
    """Choose, score, and write the Runs, ``compare.json`` and the page.

    Args:
        folder: That of the comparison.
        grid: All settings.
        machine: Where the student trains.
        command: Gives the command of a setting's Run.
        whole: The command of the comparison.
    """
    store, seeds, reference = Store(folder.path), grid.reference.plan.recipe.seeds, grid.reference
    for seed in seeds:
        if why := store.failure(cell := Cell(reference, seed)):
            raise BadInput(f"{cell}, with which all are compared, has failed: {why}")
    log.info("choosing among %d settings", len(grid.settings))
    judged = {seed: _judged(store, grid, seed) for seed in seeds}
    tables = {seed: table for seed, (table, _) in judged.items()}
    choice = choose(list(tables.values()), reference.name)
    setting = grid.settings[choice.name]
    make_run(store, WINNER, setting, seeds, command=command(setting))
    some = members(grid, choice, tables)
    student = _run_together(store, grid, some, machine, command=whole) if len(some) > 1 else None
    by_kind = by_name({seed: weights for seed, (_, weights) in judged.items()})
    if len(some) > 1:
        by_kind[ENSEMBLE] = {seed: dict.fromkeys((one.name for one in some), 1 / len(some)) for seed in seeds}
    written = _comparison(store, grid, tables, choice, by_kind, student)
    folder.write_json(found.FILE, {**written})
    folder.write(PAGE, lambda path: path.write_text(render_comparison(written), "utf-8"))


def _run_together(
    store: Store, grid: Grid, some: Sequence[Setting], machine: Machine, *, command: str
) -> Setting | None:
    """Make the ensemble of some settings a Run, train its student, and make it another; None if its training fails."""
    plan, seeds = some[0].plan, grid.reference.plan.recipe.seeds
    make_run(store, ENSEMBLE, ensemble_of(plan, some), seeds, command=command, members=some)
    student = student_of(plan, some)
    base = known(grid.settings, base_of(student))
    student = replace(student, base=base)
    log.info("a student learns what %s predict together", ", ".join(one.name for one in some))
    for setting in (base, student):
        cells = [Cell(setting, seed) for seed in seeds]
        work(store, portions(cells, machine), machine)
        store.tidy(cells)
    if not all(store.is_done(Cell(student, seed)) for seed in seeds):
        return None
    make_run(store, STUDENT, student, seeds, command=command)
    return student


def _caution(store: Store, grid: Grid, name: str) -> str:
    """What the guard says against the choice; empty if nothing. It does not decide until tasks have calibrated it."""
    chosen = grid.settings[name]
    reference = grid.reference_of(chosen)
    if chosen.method == reference.method:
        return ""
    seeds = reference.plan.recipe.seeds
    both = ([of_cell(store, Cell(one, seed)) for seed in seeds] for one in (reference, chosen))
    verdict = weigh(*both)
    return "" if verdict.kept == "adapted" else verdict.sentence.partition(": ")[2].rstrip(".")


def _judged(store: Store, grid: Grid, seed: int) -> tuple[Table, Mapping[str, Weights]]:
    """What gates and validators say of one seed's models, and the ensembles of those that pass."""
    cells = [Cell(setting, seed) for setting in grid.settings.values()]
    own = {name: grid.reference_of(setting).name for name, setting in grid.settings.items()}
    models = pool(store, cells, Cell(grid.reference, seed))
    models = {name: one for name, one in models.items() if own[name] in models}
    table = judge(models, grid.reference.name, own)
    pooled = {name: row for name, row in table.items() if not grid.settings[name].source}
    alone = {name: setting.source for name, setting in grid.settings.items() if setting.source}
    return table, {**ensembles(models, pooled, grid.reference.name), **over_sources(table, alone)}


def _comparison(
    store: Store,
    grid: Grid,
    tables: Mapping[int, Table],
    choice: Choice,
    by_kind: Mapping[str, Mapping[int, Weights]],
    student: Setting | None,
) -> Comparison:
    """All of ``compare.json``; only here may labels of the target be read."""
    reference = grid.reference
    seeds, score = reference.plan.recipe.seeds, reference.plan.score
    scoring = None if score is None else Scoring(store, grid, score())
    scores = scoring.settings() if scoring else {}
    rows = [
        found.row_of(store, one, seeds, tables, rank=choice.ranks.get(name), scores=scores)
        for name, one in grid.settings.items()
    ]
    together = [
        found.ensemble_row(name, weights, scoring.ensemble(weights) if scoring else None)
        for name, weights in by_kind.items()
    ]
    if student:
        own = scoring.of_setting(student) if scoring else None
        together.append(found.ensemble_row(STUDENT, by_kind[ENSEMBLE], own))
    ranking = sorted(rows, key=lambda row: (row["name"] != choice.name, 1.0 if row["rank"] is None else -row["rank"]))
    done = [cell for cell in _cells(grid) if store.is_done(cell)]
    total = {cell.name: store.facts(cell)["seconds"] for cell in done}
    return {
        **found.head_of(grid),
        "choice": choice.name,
        "reference": reference.name,
        "reason": choice.reason,
        "caution": _caution(store, grid, choice.name),
        "seconds": round(math.fsum(total.values()), 1),
        "ranking": ranking,
        "ensembles": together,
        "agreement": agreement(ranking),
    }


def _command(source: Sources, target: Source, folder: Path, request: CompareRequest, setting: Setting) -> str:
    """The command that trains the same Run as a setting's cells."""
    if setting.source and setting.plan.source:
        paths = {str(one): one for one in sources_of(source) if isinstance(one, str | Path)}
        source = paths.get(setting.plan.source.name, setting.plan.source)
    return command_of(source, target, folder / WINNER, adapt_options(request, setting))
