"""Several sources as one labelled domain, in which each example knows which of them it is from."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeAlias, TypeGuard, cast

import numpy as np
import scipy.sparse

from acclimate.data import paths_in
from acclimate.data.domain import Domain, Examples, ImagesAndTexts, LabelType, Vectors
from acclimate.data.joined_images import join
from acclimate.data.optional import is_instance_of
from acclimate.data.source import Source
from acclimate.data.tables import pooled as pooled_tables
from acclimate.errors import BadInput

Sources: TypeAlias = Source | Sequence[Source]
"""What one or more labelled domains can be given as: a `Source`, or a list or tuple of paths, domains, data frames or
pairs ``(x, y)``; on the command line and in text, paths separated by commas."""
FRAMES: Mapping[str, str] = {"polars": "DataFrame", "pandas": "DataFrame", "datasets": "Dataset"}
"""Types of data frames, by package."""


def sources_of(given: object) -> list[Source]:
    """The sources that are given, one by one; a text may name several paths.

    Raises:
        BadInput: The list is empty.
    """
    if isinstance(given, str):
        return list(paths_in(given))
    if not _are_several(given):
        return [cast("Source", given)]
    if not given:
        raise BadInput("the list of sources is empty; give at least one")
    return [one for several in given for one in (paths_in(several) if isinstance(several, str) else [several])]


def _are_several(given: object) -> TypeGuard[Sequence[Source]]:
    """Whether a list or tuple holds domains rather than examples."""
    return isinstance(given, list | tuple) and all(map(_is_domain, given))


def _is_domain(one: object) -> bool:
    """Whether it is a domain by itself; a pair is, unless it is an example and its label."""
    if isinstance(one, tuple):
        return len(one) == 2 and not isinstance(one[1], str) and bool(np.ndim(one[1]))
    frame = any(is_instance_of(one, package, name) for package, name in FRAMES.items())
    return frame or isinstance(one, str | Path | Domain)


def short_names(names: Sequence[str]) -> list[str]:
    """Short names that tell domains apart: the part, the last part of the path, both, or all.

    Example:
        >>> short_names(["data/hearts.csv#site=va", "data/hearts.csv#site=cleveland"]), short_names(["a/x.zip", "b/y/"])
        (['va', 'cleveland'], ['x', 'y'])
    """
    forms = [[form(name) for name in names] for form in (_value, _last, str)]
    return next((form for form in forms if len(set(form)) == len(names)), list(names))


def _value(name: str) -> str:
    """The value that selects rows, or the name of the file or folder without its ending."""
    where, _, part = name.partition("#")
    inside = part.rpartition("=")[2].strip("/") or PurePosixPath(where).name.partition(".")[0]
    return inside or name


def _last(name: str) -> str:
    where, hash_, part = name.partition("#")
    return f"{PurePosixPath(where).name}{hash_}{part}"


def pool(domains: Sequence[Domain]) -> Domain:
    """Several labelled domains of one kind as one, their examples one domain after the other.

    Args:
        domains: At least one; a single one is returned as it is.

    Raises:
        BadInput: A domain has no labels, or their kinds or columns differ.
    """
    first, *others = domains
    if not others:
        return first
    labels = [domain.labels for domain in domains if domain.labels is not None]
    for domain in domains:
        if domain.kind != first.kind:
            raise BadInput(
                f"{domain.name}: the examples are of kind {domain.kind!r}, those of {first.name} of kind "
                f"{first.kind!r}; give sources of the same kind"
            )
        if domain.labels is None:
            domain.require_source()
    return Domain(
        ",".join(domain.name for domain in domains),
        first.kind,
        pooled_examples(domains),
        _names(domains),
        np.concatenate(labels),
        _label_type(domains),
        members=tuple(domains),
        origin=np.repeat(np.arange(len(domains)), [len(domain) for domain in domains]),
    )


def pooled_examples(domains: Sequence[Domain]) -> Examples:
    """Return the examples of domains of one kind, one domain after the other."""
    kind = domains[0].kind
    if kind == "table":
        return pooled_tables(domains)
    if kind == "text":
        return [text for domain in domains for text in domain.texts]
    if kind == "vectors":
        return _stacked(domains)
    if kind == "images":
        return join([domain.images for domain in domains])
    both = [domain.examples for domain in domains if isinstance(domain.examples, ImagesAndTexts)]
    return ImagesAndTexts(join([one.images for one in both]), [text for one in both for text in one.texts])


def _stacked(domains: Sequence[Domain]) -> Vectors:
    rows = [domain.vectors for domain in domains]
    for domain in domains[1:]:
        if domain.vectors.shape[1] != rows[0].shape[1]:
            raise BadInput(
                f"{domain.name}: has {domain.vectors.shape[1]} columns, {domains[0].name} has {rows[0].shape[1]}; "
                "give sources with the same columns"
            )
    if any(scipy.sparse.issparse(x) for x in rows):
        return scipy.sparse.csr_array(scipy.sparse.vstack([scipy.sparse.csr_array(x) for x in rows], format="csr"))
    return np.concatenate([np.asarray(x) for x in rows])


def _names(domains: Sequence[Domain]) -> list[str]:
    """The examples' names, each after the name of its domain."""
    return [
        f"{short}: row {name}" if name.isdecimal() else f"{short}: {name}"
        for short, domain in zip(short_names([one.name for one in domains]), domains, strict=True)
        for name in domain.names
    ]


def _label_type(domains: Sequence[Domain]) -> LabelType:
    """The type that holds the labels of all."""
    found = {domain.label_type for domain in domains}
    return found.pop() if len(found) == 1 else "text" if "text" in found else "number"


def lacking(domain: Domain) -> list[tuple[Domain, list[str]]]:
    """Those sources of a pooled domain that lack some of its classes, with these classes."""
    missing = [(one, [c for c in domain.classes if c not in one.classes]) for one in domain.members]
    return [(one, classes) for one, classes in missing if classes]
