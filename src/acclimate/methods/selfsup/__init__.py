"""Self-supervised methods by name: they pretrain a backbone on unlabelled images for another method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acclimate.methods.registry import Registry

if TYPE_CHECKING:  # so that listing them imports no torch
    from acclimate.methods.base import Method

_folder: Registry[Method] = Registry("selfsup")
names, get, options, summary = _folder.names, _folder.get, _folder.options, _folder.summary
