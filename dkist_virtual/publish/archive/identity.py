"""Read the ID of a dataset from its ASDF, without parsing it.

The tree of an ASDF names each of its frames: to parse it takes longer than all else that has to be
known of an ASDF before it is converted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import DatasetError
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.local_file import open_regular
from dkist_virtual.io.locations import is_local, local_path, shown
from dkist_virtual.store.format.names import identity_in

if TYPE_CHECKING:
    from io import BufferedReader

    from dkist_virtual.io.fetcher import Fetcher

__all__ = ["Identity", "identity_of"]

_END: Final = re.compile(rb"\r?\n\.\.\.\r?\n")
"""The end of the tree."""

_KIND: Final = re.compile(rb"^(dataset|inversion):", re.MULTILINE)
_IDS: Final = {
    kind: re.compile(rb"\b" + kind.encode() + rb"""['"]?:[ \t]*([^\s,}]*)""")
    for kind in ("datasetId", "inversionId")
}
_PLAIN: Final = re.compile(
    rb"(?!(?:true|false|yes|no|on|off)\Z)[A-Za-z][A-Za-z0-9_.-]*", re.IGNORECASE
)
"""What YAML reads as a text: no number, no date, nothing in quotes."""
_NO_VALUE: Final = (b"null", b"~", b"Null", b"NULL")

_PIECE: Final = 2**20
_MOST: Final = 2**28
"""Bytes of a tree: one of a million frames has 60 MB."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What an ASDF is of.

    Parameters
    ----------
    dataset_id : str, optional
        The ID of the dataset, or of the inversion; None where the ASDF has none.
    is_dataset : bool
        Whether it is of a dataset at all.
    """

    dataset_id: str | None
    is_dataset: bool = True


def identity_of(place: str, fetcher: Fetcher) -> Identity:
    """Read the ID of a dataset from its ASDF.

    Raises
    ------
    DatasetError
        It cannot be read, or is not an ASDF, or is cut short.
    FrameError
        It cannot be fetched.
    """
    tree = _local_tree(local_path(place)) if is_local(place) else _remote_tree(place, fetcher)
    if tree is None:
        raise DatasetError(f"{shown(place)}: its tree has no end: is this ASDF complete?")
    kind = _KIND.search(tree)
    if kind is None:
        return Identity(None, is_dataset=False)
    for key in ("inversionId", "datasetId") if kind[1] == b"inversion" else ("datasetId",):
        values = set(_IDS[key].findall(tree))
        if len(values) > 1 or any(not _PLAIN.fullmatch(v) and v not in _NO_VALUE for v in values):
            return Identity(_parsed(place, fetcher))
        if values and values.isdisjoint(_NO_VALUE):
            return Identity(values.pop().decode())
    return Identity(None)


def _local_tree(path: str) -> bytes | None:
    try:
        with open_regular(path) as file:
            return _tree(file, path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error


def _tree(file: BufferedReader, label: str) -> bytes | None:
    data = file.read(_PIECE)
    _check(data, label)
    while len(data) < _MOST and _END.search(data, max(0, len(data) - _PIECE - 8)) is None:
        more = file.read(_PIECE)
        if not more:
            break
        data += more
    return _cut(data)


def _remote_tree(url: str, fetcher: Fetcher) -> bytes | None:
    n = _PIECE
    while True:
        reply = fetcher.answer(Request.head(url, n))
        data = bytes(reply.data)
        _check(data, shown(url))
        if _END.search(data) or len(data) < n or n >= _MOST:
            return _cut(data)
        n *= 4


def _check(data: bytes, label: str) -> None:
    from dkist_virtual.io.asdf_blocks import check_start

    check_start(data[:5], label)


def _cut(data: bytes) -> bytes | None:
    """Return the tree; None where it has no end."""
    end = _END.search(data)
    return None if end is None else data[: end.start()]


def _parsed(place: str, fetcher: Fetcher) -> str | None:
    """Read the ID of an inventory that is written in another way than the Data Center does."""
    from dkist_virtual.conversion.asdf.locate import asdf_on_disk
    from dkist_virtual.conversion.asdf.source import read_source

    with asdf_on_disk(place, fetcher) as (path, _, _, label):
        found: object = identity_in(read_source(Path(path), label).description.inventory)
    if found is None or isinstance(found, str):
        return found
    raise DatasetError(f"{shown(place)}: its ID is {found!r:.80}: expected a text")
