"""Test-time methods by name: a trained model that adapts while it predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acclimate.methods.registry import Registry

if TYPE_CHECKING:  # so that listing them imports no torch
    from acclimate.methods.testtime_base import TestTime

_folder: Registry[TestTime] = Registry("testtime")
names, get, options, summary = _folder.names, _folder.get, _folder.options, _folder.summary
check_name = _folder.check_name
