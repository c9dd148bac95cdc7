"""Shallow methods by name: scikit-learn's ``fit`` and ``transform``, in closed form or nearly so, float64, no torch.

``fit(X, X_target=Xt)`` sees both domains and no label of the target. Those that map features have ``transform`` for
rows of the target, ``transform_source`` for rows of the source; those that weight have ``weights_`` for the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from acclimate.methods.registry import Registry

if TYPE_CHECKING:  # so that listing them imports no scikit-learn
    from acclimate.methods.shallow_base import Shallow

_folder: Registry[Shallow] = Registry("shallow")
names, get, options, summary = _folder.names, _folder.get, _folder.options, _folder.summary
