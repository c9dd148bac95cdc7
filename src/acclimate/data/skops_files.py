"""skops files, which hold fitted scikit-learn and skrub objects; `load` builds only what an exact list names.

A prefix trusts too much: ``skrub.SkrubLearner`` unpickles its state, and from any module a chain of attributes leads to
``os``. The list also names the kind of each node, because some kinds call the class or function that they name.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from acclimate.data.unpacking import check_members
from acclimate.errors import BadInput

PLAIN = {
    "JsonNode": frozenset({"builtins.str"}),
    "DictNode": frozenset({"builtins.dict"}),
    "ListNode": frozenset({"builtins.list"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "DTypeNode": frozenset({"numpy.dtype"}),
    "NdArrayNode": frozenset(
        f"numpy.{name}" for name in ("ndarray", "bool", "bool_", "float32", "float64", "int32", "int64", "str_")
    ),
    "TypeNode": frozenset(
        {"builtins.bool", "builtins.float", "builtins.int", "builtins.str", "numpy.float32", "numpy.float64"}
    ),
}
"""Plain values, which any file may contain: the kinds of skops' nodes, and the types each may name."""


class Types(NamedTuple):
    """Full names of what a file may contain besides plain values.

    Attributes:
        objects: Classes whose instances it may contain.
        functions: Functions it may refer to.
    """

    objects: frozenset[str]
    functions: frozenset[str] = frozenset()

    def allowed(self) -> dict[str, frozenset[str]]:
        """All names that each kind of node may have."""
        return {**PLAIN, "ObjectNode": self.objects, "FunctionNode": self.functions}


def dump(fitted: object, path: Path, types: Types, *, compress: bool = False) -> None:
    """Write ``fitted`` to ``path`` if `load` can read it back.

    Args:
        fitted: A fitted object of scikit-learn or skrub.
        path: A new file.
        types: The types it may contain.
        compress: Whether to compress the file.

    Raises:
        BadInput: It contains another type, which happens with untested versions of a library; no file is left.
    """
    import skops.io

    how = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    path.write_bytes(_reproducible(skops.io.dumps(fitted), how))
    if strange := _unlisted(path, types):
        path.unlink()
        raise BadInput(
            f"cannot save a fitted model: it contains {strange}, which Acclimate does not read back; "
            "install the versions of scikit-learn and skrub that Acclimate's constraints.txt lists"
        )


def _reproducible(data: bytes, compression: int) -> bytes:
    """The same file without what differs from one process to the next: addresses of objects, and times."""
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}

    def renamed(part: Any) -> Any:
        if isinstance(part, list):
            return [renamed(item) for item in part]
        if not isinstance(part, dict):
            return part
        if isinstance(known := part.get("__id__"), int):
            part = {**part, "__id__": numbers.setdefault(known, len(numbers))}
        if isinstance(part.get("__loader__"), str) and isinstance(file := part.get("file"), str):
            part = {**part, "file": names.setdefault(file, f"{len(names)}{Path(file).suffix}")}
        return {key: renamed(value) for key, value in part.items()}

    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    schema = json.dumps(renamed(json.loads(members.pop("schema.json"))))
    content = {names[name]: members[name] for name in names} | {"schema.json": schema.encode()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as new:
        for name, member in content.items():
            new.writestr(zipfile.ZipInfo(name, NO_TIME), member, compression)
    return file.getvalue()


NO_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can state."""


def load(path: Path, types: Types) -> Any:
    """Read a file that `dump` wrote.

    Args:
        path: The file; it need not be trusted.
        types: The types it may contain.

    Raises:
        BadInput: It contains another type, or unpacks to far more than its size; nothing was built.
    """
    import skops.io

    data = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_members(archive, str(path), len(data), fix="restore the file that Acclimate wrote")
    if strange := _unlisted(io.BytesIO(data), types):
        raise BadInput(
            f"{path}: contains {strange}, which Acclimate never writes; refused, because loading it could run code"
        )
    return skops.io.loads(data, trusted=sorted(frozenset().union(*types.allowed().values())))


def _unlisted(file: Path | IO[bytes], types: Types) -> str:
    """Return the first part of the file that is not listed, or an empty text."""
    allowed = types.allowed()
    with zipfile.ZipFile(file) as stored:
        parts = _parts(json.loads(stored.read("schema.json")))
    return next((f"{name} (as {kind})" for kind, name in parts if name not in allowed.get(kind, ())), "")


def _parts(schema: object) -> Iterator[tuple[str, str]]:
    """Iterate over the kind and full name of every node, whether or not skops would build it."""
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            # the entries of a dictionary may have such a key as well, but never with a text as its value
            if isinstance(kind := part.get("__loader__"), str):
                yield kind, f"{part.get('__module__')}.{part.get('__class__')}"
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)
