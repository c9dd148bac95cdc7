"""Backbones by name. The folder is the registry, as for methods: one file, one function ``build``."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from acclimate import plugins
from acclimate.backbones.base import Built, InputKind, InputSpec, Shape, TrainingDefaults, without_weights
from acclimate.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from acclimate.backbones.outside import Outside

NOT_BACKBONES = {"base", "layers", "outside", "published"}
"""Files in this folder that are not backbones."""

INPUT_NAMES: Mapping[InputKind, str] = {
    "images": "images",
    "vectors": "vectors, tables and text",
    "tokens": "text (--text COLUMN)",
    "image and text": "images with texts (--image COLUMN --text COLUMN)",
}
"""Kinds of input in the words of messages."""
BOTTLENECK = inspect.Parameter(
    "bottleneck", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=Annotated[int, Field(ge=0, le=2**16)]
)
"""Features of a narrow layer after the backbone, which trains even if the backbone is frozen; 0 adds none."""

__all__ = [
    "Built",
    "InputSpec",
    "Shape",
    "TrainingDefaults",
    "auto",
    "build",
    "check_name",
    "defaults",
    "input_spec",
    "names",
    "options",
    "pretrained",
    "without_weights",
]


def names() -> list[str]:
    """Return the names of all backbones, plug-ins included; ``timm`` stands for ``timm:MODEL``."""
    return sorted(_files() | set(plugins.installed(plugins.BACKBONES)))


@cache
def _files() -> frozenset[str]:
    return frozenset(m.name for m in pkgutil.iter_modules(__path__) if m.name not in NOT_BACKBONES)


def check_name(name: str) -> None:
    """Refuse an unknown backbone; imports none.

    Raises:
        BadInput: The backbone is unknown.
    """
    if not plugins.is_spec(name) and name.partition(":")[0] not in (known := names()):
        raise BadInput(f"no backbone {name!r}; {_of_timm(name) or did_you_mean(name, [*known, 'timm:resnet18'])}")


def auto(kind: str, size: int = 0) -> str:
    """Choose a backbone for a kind of domain, with images of ``size`` pixels a side.

    Dense layers for vectors, tables and text; a small network for images up to 64 pixels, a pretrained one for larger
    images; one backbone of each for images with texts.
    """
    if kind == "image and text":
        return "fusion"
    if kind != "images":
        return "mlp"
    return "cnn" if size <= 64 else "efficientnet_lite0"


def options(name: str) -> dict[str, inspect.Parameter]:
    """Return the options of a backbone: the keyword-only arguments of its ``build``, and ``bottleneck``.

    Raises:
        BadInput: The backbone is unknown.
    """
    parameters = inspect.signature(_module(name).build, eval_str=True).parameters
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY} | {"bottleneck": BOTTLENECK}


def pretrained(name: str, options: Mapping[str, object]) -> bool:
    """Whether the backbone called ``name`` starts from pretrained weights with these options.

    Raises:
        BadInput: The backbone is unknown.
    """
    module = _module(name)
    if hasattr(module, "is_pretrained"):
        return bool(module.is_pretrained(**_own(options)))
    default = inspect.signature(module.build).parameters.get("pretrained")
    return bool(options.get("weights") or options.get("pretrained", default and default.default))


def defaults(name: str) -> dict[str, object]:
    """Return the default options that depend on the installed packages, so that a recipe records them.

    Raises:
        BadInput: The backbone is unknown.
    """
    module = _module(name)
    found: dict[str, object] = module.defaults() if hasattr(module, "defaults") else {}
    return found


def input_spec(name: str, kind: str, options: Mapping[str, object]) -> InputSpec:
    """Return the inputs that the backbone called ``name`` requires, for domains of this kind.

    Raises:
        BadInput: The backbone is unknown, or does not take this kind.
    """
    module = _module(name)
    domain_kinds: Mapping[InputKind, set[str]] = {
        "images": {"images"},
        "vectors": {"vectors", "table", "text"},
        "tokens": {"text"},
        "image and text": {"image and text"},
    }
    if module.INPUT_KIND is not None and kind not in domain_kinds[module.INPUT_KIND]:
        raise _wrong_kind(name, module.INPUT_KIND)
    if not hasattr(module, "input_spec"):
        return InputSpec()
    known = inspect.signature(module.input_spec).parameters
    spec: InputSpec = module.input_spec(**_model_option(name), **{k: v for k, v in options.items() if k in known})
    return spec


def build(name: str, shape: Shape, n_classes: int, options: Mapping[str, object]) -> Built:
    """Build an untrained classifier on the backbone called ``name``.

    Raises:
        BadInput: The backbone is unknown, or cannot take this input.
    """
    module = _module(name)
    if module.INPUT_KIND is not None and shape.kind != module.INPUT_KIND:
        raise _wrong_kind(name, module.INPUT_KIND)
    built: Built = module.build(shape, n_classes, **_model_option(name), **_own(options))
    width = options.get("bottleneck", 0)
    return replace(built, classifier=built.classifier.narrowed(width)) if width and isinstance(width, int) else built


def _own(options: Mapping[str, object]) -> dict[str, object]:
    """Return the options that the backbone's own file defines."""
    return {name: value for name, value in options.items() if name != BOTTLENECK.name}


def _wrong_kind(name: str, kind: InputKind) -> BadInput:
    return BadInput(f"backbone {name}: takes {INPUT_NAMES[kind]} only; omit --backbone to choose one automatically")


def _model_option(name: str) -> dict[str, str]:
    """Return the option after the colon: ``timm:MODEL``, ``encoder:FOLDER``.

    Raises:
        BadInput: The backbone has no such option.
    """
    if plugins.is_spec(name):
        return {}
    file, colon, model = name.partition(":")
    if colon and "model" not in options(name):
        raise BadInput(f"backbone {name}: takes no model after a colon; use --backbone {file}")
    return {"model": model} if model else {}


def _of_timm(name: str) -> str:
    """The end of a message about a backbone that timm has under that name; empty if it has none."""
    model = name.lower().replace("-", "_")
    return f"did you mean timm:{model}?" if model.partition(".")[0] in _models_of_timm() else ""


def _models_of_timm() -> set[str]:
    """Models that timm's files define; importing timm takes seconds."""
    found = importlib.util.find_spec("timm")
    folders = [Path(folder, "models") for folder in (found and found.submodule_search_locations) or ()]
    texts = [path.read_text("utf-8", "replace") for folder in folders for path in folder.glob("*.py")]
    return {name for text in texts for name in re.findall(r"^@register_model\s+def (\w+)\(", text, re.MULTILINE)}


def _module(name: str) -> ModuleType | Outside:
    check_name(name)
    if plugins.is_spec(name):
        return _outside(name, plugins.find(name))
    if name in (installed := plugins.installed(plugins.BACKBONES)):
        return _outside(name, installed[name].load())
    return importlib.import_module(f"{__name__}.{name.partition(':')[0]}")


def _outside(name: str, make: object) -> Outside:
    from acclimate.backbones.outside import Outside

    return Outside(name, make)
