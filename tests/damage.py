"""Random damage to files: bytes, members of zips, fields of JSON and YAML, columns of Parquet, links and swaps."""

import io
import json
import os
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import yaml

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 7, 10**6, 2**31, 10**30, 0.5, -1e308, 1e308, 1e-320, "", "x", "../x", "é\x1b[2J", "9" * 300,
    "timm:resnet18", "encoder:/etc", "no.such:thing", [], [[]], [0] * 500, {}, {"a": {"b": [1]}}, ["x"], "NaN",
)  # fmt: skip
"""Values in the place of others."""


def flip(data: bytes, rng: random.Random) -> bytes:
    whole = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if whole:
            whole[rng.randrange(len(whole))] = rng.randrange(256)
    return bytes(whole)


def cut(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return rng.choice((data[:at], data[at:]))


def blank(data: bytes, rng: random.Random) -> bytes:
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:a] + rng.choice((b"\0", b"\xff", b" ", b"9")) * (b - a) + data[b:]


def swap(data: bytes, rng: random.Random) -> bytes:
    a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def repeat(data: bytes, rng: random.Random) -> bytes:
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:b] + data[a:b] * rng.choice((1, 3)) + data[b:]


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, flip, cut, blank, swap, repeat)


def change_field(value: Any, rng: random.Random) -> Any:
    """The same nested value, but that one field is another, or gone."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        if rng.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: change_field(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [change_field(v, rng) if i == at else v for i, v in enumerate(value)]
    return rng.choice(ODD)


def fields(path: Path, data: bytes, rng: random.Random) -> bytes | None:
    """A file whose fields are changed so that it stays whole; None if it is of no such kind."""
    if path.suffix in {".json", ".yaml"}:
        read, write = (json.loads, json.dumps) if path.suffix == ".json" else (yaml.safe_load, yaml.safe_dump)
        return write(change_field(read(data), rng)).encode("utf-8", "surrogatepass")
    if path.suffix == ".jsonl":
        lines = data.splitlines()
        at = rng.randrange(len(lines))
        lines[at] = json.dumps(change_field(json.loads(lines[at]), rng)).encode()
        return b"\n".join(lines) + b"\n"
    if path.suffix == ".safetensors":
        length = struct.unpack("<Q", data[:8])[0]
        head = json.dumps(change_field(json.loads(data[8 : 8 + length]), rng)).encode()
        return struct.pack("<Q", len(head)) + head + data[8 + length :]
    if zipfile.is_zipfile(io.BytesIO(data)):
        return change_member(data, rng)
    return change_column(data, rng) if path.suffix == ".parquet" else None


def change_member(data: bytes, rng: random.Random) -> bytes:
    """A zip with right checksums, in which one member is damaged."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members = {info.filename: old.read(info) for info in old.infolist()}
    name = rng.choice(list(members))
    if name.endswith(".json"):
        members[name] = json.dumps(change_field(json.loads(members[name]), rng)).encode()
    else:
        members[name] = rng.choice(BYTES)(members[name], rng)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as new:
        for member, content in members.items():
            new.writestr(member, content)
    return file.getvalue()


def change_column(data: bytes, rng: random.Random) -> bytes:
    frame = pl.read_parquet(io.BytesIO(data))
    name = rng.choice(frame.columns)
    changes: tuple[Callable[[], pl.DataFrame], ...] = (
        lambda: frame.drop(name),
        lambda: frame.head(rng.randrange(frame.height + 1)),
        lambda: pl.concat([frame, frame]),
        lambda: frame.with_columns(pl.lit(None).alias(name)),
        lambda: frame.with_columns(pl.lit(rng.choice((-1, 2.5, float("nan"), "x", b"x", True))).alias(name)),
        lambda: frame.with_columns(pl.lit([0.5, float("inf")]).alias(name)),
        lambda: frame.with_columns(frame[name].shuffle(seed=rng.randrange(100))),
        lambda: frame.rename({name: "other"}),
    )
    file = io.BytesIO()
    rng.choice(changes)().write_parquet(file)
    return file.getvalue()


def damage(path: Path, others: list[Path], rng: random.Random) -> str:
    """Damage one file; return what was done."""
    data, kind = path.read_bytes(), rng.random()
    if kind < 0.4 and (changed := fields(path, data, rng)) is not None:
        path.write_bytes(changed)
        return "fields"
    if kind < 0.9:
        how = rng.choice(BYTES)
        path.write_bytes(how(data, rng))
        return how.__name__
    how_else = rng.choice(("remove", "empty", "link", "folder", "other", "pipe"))
    path.unlink()
    if how_else == "empty":
        path.touch()
    elif how_else == "link":
        path.symlink_to(rng.choice(("/etc/hostname", "nothing", ".", "/dev/zero")))
    elif how_else == "folder":
        path.mkdir()
    elif how_else == "other":
        path.write_bytes(rng.choice([other for other in others if other != path] or [Path(__file__)]).read_bytes())
    elif how_else == "pipe":
        os.mkfifo(path)
    return how_else
