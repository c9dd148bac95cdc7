"""Whether a folder can be continued: it must have been made with the same options."""

from collections.abc import Iterator, Mapping, Sequence

from acclimate.errors import BadInput
from acclimate.recipe import AUTO, ENSEMBLE, Recipe
from acclimate.run_folder import RunFolder

FIRST = (
    "source",
    "target",
    "target_labels.path",
    "digests",
    "task",
    "method",
    "backbone",
    "finetune",
    "pretrain.method",
)
"""Settings on which others depend: if they differ, they are named rather than those."""
FLAGS = {
    "source.path": "source",
    "target.path": "target",
    "origin": "source",
    "train.steps": "--steps",
    "train.precision": "--precision",
    "backbone_options.weights": "--weights",
    "pretrain.method": "--pretrain",
    "target_labels.path": "--target-labels",
    "target_labels.n": "--target-labels of length",
    "augment.source": "--augment",
    "augment.target": "--augment",
    "tried": "--finetune",
}
"""What sets the settings of a recipe, where it is not told by their names."""
PREFIXES = {
    "options": "--set ",
    "backbone_options": "--set backbone.",
    "finetune_options": "--set finetune.",
    "train": "--set train.",
    "pretrain.train": "--set pretrain.",
    "pretrain.options": "--set pretrain.",
    "pretrain": "--set pretrain.",
    "source": "--",
    "target": "--",
}
ABSENT = object()
"""In the place of a setting that is only in the other recipe."""


class CannotResume(BadInput):
    """The folder was made in another way; it stays as it is."""


def check_same(folder: RunFolder, recipe: Recipe) -> None:
    """Refuse to continue a Run, or a trial in it, of another recipe.

    Raises:
        CannotResume: A setting differs; the message names it and both values.
    """
    if not folder.file("recipe.yaml").exists():
        return
    left_out = {"score"} if folder.recipe.digests else {"score", "digests"}  # an earlier version kept no digests
    asked, made = (some.model_dump(mode="json", exclude=left_out) for some in (recipe, folder.recipe))
    if found := difference(asked, made):
        raise CannotResume(f"{folder.path}: cannot resume: {found}; use the same, or choose another -o")


def difference(
    asked: Mapping[str, object], made: Mapping[str, object], *, what: str = "the Run was made"
) -> str | None:
    """Name the first setting of a recipe that differs, and both values; None if the recipes are the same.

    Args:
        asked: The recipe that is to be trained, as JSON.
        made: The one that the folder was made with.
        what: What the folder is.

    Example:
        >>> difference({"train": {"steps": 60}}, {"train": {"steps": 40}})
        '--steps 60, but the Run was made with 40'
    """
    new, old = dict(_flat(asked)), dict(_flat(made))
    differing = [key for key in [*new, *old] if new.get(key, ABSENT) != old.get(key, ABSENT)]
    if not differing:
        return None
    key = min(differing, key=_rank)
    if key.startswith("digests."):
        role = key.removeprefix("digests.").replace("_", " ")
        return f"the examples of the {role} are not those that {what} with (values, labels, names or their order)"
    if key.startswith("tried."):  # of two strategies that are the same one was tried before others
        asked_for, found = ("auto" if recipe.get("tried") else recipe["finetune"] for recipe in (asked, made))
        return f"{_asked('--finetune', asked_for)}, but {what} with {found}"
    if key == "method" or key.startswith("tried_methods."):
        asked_for, found = (_method(recipe) for recipe in (asked, made))
        return f"{_asked('--method', asked_for)}, but {what} with {found}"
    flag = flag_of(key)
    before = f"with {_text(old[key], flag)}" if key in old else "without"
    return f"{_asked(flag, new.get(key))}, but {what} {before}"


def _method(recipe: Mapping[str, object]) -> object:
    """What ``--method`` was, as far as a recipe tells."""
    return AUTO if recipe.get("tried_methods") and recipe["method"] != ENSEMBLE else recipe["method"]


def flag_of(key: str) -> str:
    """What sets a setting of a recipe: a flag, or the name of an argument.

    Example:
        >>> flag_of("train.lr"), flag_of("options.weight"), flag_of("image_size")
        ('--set train.lr', '--set weight', '--image-size')
    """
    if key in FLAGS:
        return FLAGS[key]
    prefix, _, name = key.rpartition(".")
    while prefix and prefix not in PREFIXES:
        prefix, _, above = prefix.rpartition(".")
        name = f"{above}.{name}"
    start = PREFIXES.get(prefix, "--")
    return start + (name if start.startswith("--set") else name.replace("_", "-"))


def _asked(flag: str, value: object) -> str:
    if value is None:
        return f"{flag} is not given"
    return f"{flag}{'=' if flag.startswith('--set') else ' '}{_text(value, flag)}"


def _text(value: object, flag: str) -> str:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return f"{value!s:.80}"
    if flag == "--seeds" and list(value) == list(range(len(value))):
        return str(len(value))
    return f"{','.join(map(str, value)):.80}"


def _rank(key: str) -> int:
    return next((i for i, first in enumerate(FIRST) if key == first or key.startswith(f"{first}.")), len(FIRST))


def _flat(settings: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """The settings by dotted name; those that are None or an empty list are as if absent."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif value is not None and value != []:
            yield f"{above}{name}", value
