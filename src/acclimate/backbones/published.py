"""Weights that installed packages bring: only the published bytes are loaded."""

import hashlib
from functools import cache
from pathlib import Path

from acclimate.errors import BadInput


@cache  # a process that builds many models reads the file once
def check_published(path: Path, sha256: str) -> None:
    """Refuse weights that are not the published ones.

    Args:
        path: The file in the package.
        sha256: Of the published file, in hexadecimal digits.

    Raises:
        BadInput: The file is missing, or its bytes are others.
    """
    if not path.is_file():
        raise BadInput(f"{path}: weights file not found; install its package again")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise BadInput(f"{path}: not the published weights (SHA-256 {found[:12]}…); install its package again")
