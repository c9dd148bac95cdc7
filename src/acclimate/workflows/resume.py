"""Whether a folder can be continued: it must have been made with the same options."""

from acclimate.errors import BadInput
from acclimate.recipe import Recipe
from acclimate.run_folder import RunFolder


class CannotResume(BadInput):
    """The folder was made in another way; it stays as it is."""


def check_same(folder: RunFolder, recipe: Recipe) -> None:
    """Refuse to continue a Run, or a trial in it, of another recipe.

    Raises:
        CannotResume: A setting differs.
    """
    if not folder.file("recipe.yaml").exists():
        return
    if differing := [k for k, v in recipe if v != getattr(folder.recipe, k)]:
        raise CannotResume(f"{folder.path}: was made with another {differing[0]}; use the same, or choose another -o")
