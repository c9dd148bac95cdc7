"""Whether the files of a Run are what Acclimate writes: names, versions, shapes and ranges.

Anybody may have made or changed a Run. On opening, its small files and the headers of its large ones are checked;
what they hold is checked where it is read.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import torch
from safetensors import safe_open
from torch import nn
from torch.overrides import TorchFunctionMode

from acclimate import backbones, finetune, plugins
from acclimate.data.table_files import check_parquet
from acclimate.errors import BadInput, damaged, explain_damage
from acclimate.recipe import Recipe, check_options
from acclimate.run_folder import RunFolder


def check_run(run: RunFolder) -> None:
    """Refuse a Run in which a file is missing, or is not what the recipe calls for.

    Raises:
        BadInput: The message names the file and what is wrong.
    """
    try:
        _check_names(run.recipe)
    except BadInput as error:
        if plugins.is_spec(run.recipe.backbone):
            raise
        raise damaged(run.path, "recipe.yaml", error.message) from error
    for seed in run.recipe.seeds:
        for phase in run.recipe.phases:
            if not (path := run.weights(seed, phase)).is_file():
                raise damaged(run.path, name_in(run, path), "missing")
            if path.suffix == ".safetensors":
                shapes(run, path)
    for path in sorted(run.file("outputs").glob("*.parquet")):
        columns = _columns(run, path)
        if path.name.startswith(("snippets-", "strip-")):
            continue
        if missing := sorted({"index", "name", "predicted"} - columns.keys()):
            raise damaged(run.path, name_in(run, path), f"has no column {missing[0]!r}")


def check_weights(run: RunFolder, path: Path, phase: str, shape: backbones.Shape) -> None:
    """Compare the shapes of stored weights with those of the recipe's model, before that model takes any memory.

    Raises:
        BadInput: They differ.
    """
    stored, name = shapes(run, path), name_in(run, path)
    wanted = _wanted_shapes(run.recipe, phase, shape) or stored
    for key in [*wanted, *stored]:
        if wanted.get(key) != stored.get(key):
            found = f"{key} is {list(stored[key])}" if key in stored else f"{key} is missing"
            needed = f"{list(wanted[key])}" if key in wanted else "without it"
            raise damaged(run.path, name, f"not the weights of this Run: {found}, the recipe's model is {needed}")


def shapes(run: RunFolder, path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in a file of weights, from its header.

    Raises:
        BadInput: The header is damaged, or the file has another length.
    """
    with explain_damage(run.path, name_in(run, path)), safe_open(path, framework="pt") as stored:
        return {name: tuple(stored.get_slice(name).get_shape()) for name in iter(stored.keys())}


def read_parquet(run: RunFolder, path: Path, *, without: str = "") -> pl.DataFrame:
    """Read a Parquet file of a Run, but for the column ``without``.

    Raises:
        BadInput: It is damaged, or unpacks to far more than its size.
    """
    with explain_damage(run.path, name_in(run, path)):
        check_parquet(path)
        frame = pl.scan_parquet(path, glob=False)
        return frame.drop(without, strict=False).collect() if without else frame.collect()


def name_in(run: RunFolder, path: Path) -> str:
    """The path of a file below the Run's folder."""
    return path.relative_to(run.path).as_posix()


def _check_names(recipe: Recipe) -> None:
    """Refuse names and options that nothing here has; a plug-in that is not imported is not asked."""
    if not recipe.trains_a_network:
        from acclimate.training import linear  # imports scikit-learn, which networks do without

        check_options(f"backbone {recipe.backbone}", recipe.backbone_options, linear.options())
    elif not plugins.is_spec(recipe.backbone):
        plugins.require(recipe.plugins, recipe.backbone)
        check_options(f"backbone {recipe.backbone}", recipe.backbone_options, backbones.options(recipe.backbone))
    check_options(f"--finetune {recipe.finetune}", recipe.finetune_options, finetune.options(recipe.finetune))


def _columns(run: RunFolder, path: Path) -> Mapping[str, pl.DataType]:
    """The columns of a Parquet file, from its footer."""
    with explain_damage(run.path, name_in(run, path)):
        return pl.scan_parquet(path, glob=False).collect_schema()


class _Undrawn(TorchFunctionMode):
    """Draws no initial weights: for a model without memory, torch would import its compiler to do so."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        given = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__:
            return given.get("tensor", next(iter(args), None))
        return func(*args, **given)


def _wanted_shapes(recipe: Recipe, phase: str, shape: backbones.Shape) -> dict[str, tuple[int, ...]] | None:
    """The shape of each tensor of the recipe's model, which takes no memory; None if it cannot be built without."""
    try:
        with torch.device("meta"), _Undrawn():
            model = finetune.model(recipe, phase, shape)
    except BadInput:
        raise
    except NotImplementedError:  # a backbone computes with its weights as it is built
        return None
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
