"""Shallow methods by name: scikit-learn's ``fit`` and ``transform``, mostly in closed form, in float64, without torch.

``fit(X, X_target=Xt)`` uses both domains and no target labels. Methods that map features have ``transform`` for target
rows and ``transform_source`` for source rows; methods that weight examples have ``weights_`` for the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from acclimate.methods.registry import Registry

if TYPE_CHECKING:  # so that listing them imports no scikit-learn
    from acclimate.methods.shallow_base import Shallow

_folder: Registry[Shallow] = Registry("shallow")
names, get, options, summary = _folder.names, _folder.get, _folder.options, _folder.summary
