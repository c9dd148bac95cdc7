"""Methods by name. The folder is the registry: one file is one method, and there is no list to maintain.

The shallow methods follow scikit-learn's protocol instead of `Method`; `acclimate.methods.shallow` lists them.
`acclimate.methods.selfsup` lists those that learn no classes, but features for another method to start from.
"""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

from acclimate.methods.registry import Registry

if TYPE_CHECKING:  # so that listing the methods, for --help or tab completion, does not import torch
    from acclimate.methods.base import Method

_OTHERS = {"shallow", "testtime", "selfsup"}
_families = [m.name for m in pkgutil.iter_modules(__path__) if m.ispkg and m.name not in _OTHERS]
_folders: Registry[Method] = Registry(*_families)
names, get, options, summary = _folders.names, _folders.get, _folders.options, _folders.summary
