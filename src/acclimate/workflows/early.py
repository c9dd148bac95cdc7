"""What is checked of a request before any library that takes seconds to import, and before anything is read."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from acclimate import backbones, finetune, methods, plugins
from acclimate.data import paths_in, require_path
from acclimate.errors import BadInput, did_you_mean
from acclimate.files import expand
from acclimate.methods import selfsup, shallow
from acclimate.recipe import (
    ENSEMBLE,
    LARGEST_SEED,
    LINEAR,
    MOST_SEEDS,
    check_augmentation,
    check_known,
    check_task_name,
    check_training,
    parse_settings,
)
from acclimate.run_folder import RunFolder
from acclimate.workflows.catalogue import flag_of
from acclimate.workflows.options import CompareRequest, Request, SharedOptions, TrainingOptions

LARGEST_IMAGE = 4096
"""Pixels a side."""


def check_early(
    source: object, target: object, output: str | Path | None, request: TrainingOptions, *, resume: bool
) -> None:
    """Refuse paths where there is nothing, and options and names that no data could make valid.

    Raises:
        BadInput: The first that is found.
    """
    check_request(request, expand(output) if output else output, resume=resume)
    more = [getattr(request, name, None) for name in ("score", "audit", "target_labels")]
    sources = each_source(source)
    for given in (*sources, target, *more):
        if isinstance(given, str | Path):
            require_path(given)
    for one in sources:
        if isinstance(one, RunFolder) or (isinstance(one, str | Path) and is_run(one)):
            _check_run(one, alone=len(sources) == 1)
    if request.weights is not None and not Path(request.weights).is_file():
        raise BadInput(f"{request.weights}: weights file not found; check the path")
    _check_names(request)
    _check_settings(request)


def each_source(given: object) -> list[object]:
    """The sources that are given, as far as paths and Runs go; examples in memory are not looked at."""
    if isinstance(given, str):
        return [*paths_in(given)]
    if isinstance(given, list | tuple) and given and all(isinstance(one, str | Path | RunFolder) for one in given):
        return [path for one in given for path in (paths_in(one) if isinstance(one, str) else [one])]
    return [given]


def _check_run(run: RunFolder | str | Path, *, alone: bool) -> None:
    """Refuse a Run that is one of several sources, or that cannot be opened."""
    where = run.path if isinstance(run, RunFolder) else run
    if not alone:
        raise BadInput(f"{where}: is a Run, which can only be the source by itself; give it alone, or give its source")
    RunFolder.open(where)


def check_request(request: TrainingOptions, output: str | Path | None, *, resume: bool) -> None:
    """Refuse what needs no look at the data, before any of it is read.

    Raises:
        BadInput: An option that cannot be.
    """
    if output == "":
        raise BadInput("-o: the path is empty; give a folder for the Run")
    if output and Path(output).exists() and not resume:
        raise BadInput(f"{output}: exists already; continue it with --resume, or choose another -o")
    if output and Path(output).exists() and not Path(output).is_dir():
        raise BadInput(f"{output}: is a file, and a Run is a folder; choose another -o")
    _check_seeds(request.seeds)
    if request.image_size is not None and request.image_size < 16:
        raise BadInput(f"--image-size: {request.image_size} is too small for any backbone; use 16 or more")
    if request.image_size is not None and request.image_size > LARGEST_IMAGE:
        raise BadInput(f"--image-size: {request.image_size} is too large; use {LARGEST_IMAGE} or less")
    if request.devices < 1:
        raise BadInput(f"--devices: {request.devices} is too few; use at least one")


def _check_seeds(seeds: int | Sequence[int]) -> None:
    if isinstance(seeds, int) and seeds < 1:
        raise BadInput(f"--seeds: {seeds} is too few; train at least one")
    if (seeds if isinstance(seeds, int) else len(seeds)) > MOST_SEEDS:
        raise BadInput(f"--seeds: too many; train at most {MOST_SEEDS}")
    if isinstance(seeds, int):
        return
    if not seeds or min(seeds) < 0 or max(seeds) > LARGEST_SEED or len(set(seeds)) < len(seeds):
        raise BadInput(f"--seeds: {tuple(seeds)} cannot be used; give different whole numbers from 0 to {LARGEST_SEED}")


def is_run(path: str | Path) -> bool:
    """Whether a folder holds what every Run does; a folder of images may hold a ``recipe.yaml`` too."""
    try:
        return all(Path(path, name).is_file() for name in ("recipe.yaml", "environment.json"))
    except (OSError, ValueError):
        return False


def _ensemble(request: SharedOptions) -> tuple[str, ...]:
    """The name of an ensemble, where one can be trained."""
    return (ENSEMBLE,) if isinstance(request, Request) else ()


def check_method(method: str) -> None:
    """Refuse an unknown method, or one that adapts nothing by itself."""
    if method in selfsup.names():
        raise BadInput(f"method {method} learns features, not labels; use --pretrain {method} with another --method")
    if plugins.is_spec(method):
        methods.get(method)
        return
    known = [*methods.names(), *shallow.names()]
    if method not in known:
        elsewhere = flag_of(method).replace("--method", "")
        meant = f"did you mean {elsewhere} {method.lower()}?" if elsewhere else did_you_mean(method, known)
        raise BadInput(f"no method {method!r}; {meant}")


ALL = "all"
"""The name that stands for every method that suits the data."""


def check_compared(names: Sequence[str]) -> None:
    """Refuse a method that cannot be compared: an unknown one, one named twice, or one that needs target labels.

    Raises:
        BadInput: One of them.
    """
    known = [ALL, *(m for m in methods.names() if not _needs_labels(m)), *shallow.names()]
    for i, name in enumerate(names):
        if plugins.is_spec(name):
            methods.get(name)
        elif name in methods.names() and _needs_labels(name):
            raise BadInput(f"--methods: {name} trains on target labels, which compare does without; omit it")
        elif name not in known:
            raise BadInput(f"--methods: no method {name!r}; {did_you_mean(name, known)}")
        if name in names[:i] or (name == ALL and len(names) > 1):
            raise BadInput(f"--methods: {name!r} and others overlap; name each method once, or all alone")


def _needs_labels(method: str) -> bool:
    return "target_labels" in methods.summary(method)["needs"]


def check_pretraining(name: str) -> None:
    """Refuse an unknown self-supervised method."""
    if name not in selfsup.names():
        raise BadInput(f"--pretrain: no self-supervised method {name!r}; {did_you_mean(name, selfsup.names())}")


def _check_names(request: TrainingOptions) -> None:
    if isinstance(request, Request):
        check_task_name(request.task)
    if isinstance(request, SharedOptions) and request.method not in {"auto", *_ensemble(request)}:
        check_method(request.method)
    if isinstance(request, SharedOptions) and request.pretrain is not None:
        check_pretraining(request.pretrain)
    if isinstance(request, CompareRequest):
        check_compared(request.methods)
        _check_ray(request)
    if request.finetune != "auto":
        finetune.check_name(request.finetune)
    if request.backbone not in {"auto", LINEAR}:
        backbones.check_name(request.backbone)


def _check_ray(request: CompareRequest) -> None:
    if not request.on:
        return
    if request.workers > 1:
        raise BadInput("--workers: is for this machine, and --on uses all CPUs of the cluster; give one of the two")
    if importlib.util.find_spec("ray") is None:
        raise BadInput("--on: Ray is not installed; run `pip install 'acclimate[ray]'`")


def _check_settings(request: TrainingOptions) -> None:
    """Refuse settings that are unknown or out of range; the method's own are checked by name alone."""
    settings = parse_settings(request.settings or {})
    usual = {"steps": request.steps, "precision": request.precision}
    check_training({**{k: v for k, v in usual.items() if v is not None}, **settings.train})
    both = {} if request.augment is None else dict.fromkeys(("source", "target"), request.augment)
    check_augmentation({**both, **settings.augment})
    if isinstance(request, Request) and not (request.method in {"auto", ENSEMBLE} or plugins.is_spec(request.method)):
        check_known(f"method {request.method}", settings.options, _options_of(request.method))


def _options_of(method: str) -> Mapping[str, object]:
    summary = shallow.summary if method in shallow.names() else methods.summary
    return summary(method)["options"]
