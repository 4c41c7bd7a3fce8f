"""Say which files a selection is in: how many, how long, and which are not on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from dkist_virtual.errors import redacted
from dkist_virtual.io.locations import is_local
from dkist_virtual.text import counted, human_bytes
from dkist_virtual.view.source import is_mosaic

__all__ = ["ChosenFiles", "describe_pixels"]

NAMED: Final = 8
"""Files that are named; of more, the number is said."""


@dataclass(frozen=True)
class ChosenFiles:
    """The files of a selection.

    Parameters
    ----------
    n : int
    n_bytes : int
        Of those whose length is known.
    n_unknown : int
        Those whose length is not.
    n_here, n_elsewhere : int
        On this machine; on servers.
    absent : tuple of str
        Names of those that are known to be nowhere.
    n_nameless : int
        Frames for which no file is named.
    """

    n: int
    n_bytes: int
    n_unknown: int
    n_here: int
    n_elsewhere: int
    absent: tuple[str, ...]
    n_nameless: int = 0

    @classmethod
    def of(cls, dataset: Any) -> Self:
        """Look for the files of a dataset or mosaic: lists directories, reads no frame.

        Raises
        ------
        DatasetError
            It has none, being computed.
        """
        files = dataset.files.each_once()
        sizes, names = np.asarray(files.sizes), files.names
        known = sizes[[name is not None for name in names]]
        where = [
            (name, place)
            for name, place in zip(names, files.where(), strict=True)
            if name is not None
        ]
        here = sum(place is not None and is_local(place) for _, place in where)
        absent = tuple(name for name, place in where if place is None)
        return cls(
            n=len(where),
            n_bytes=int(known[known >= 0].sum()),
            n_unknown=int((known < 0).sum()),
            n_here=here,
            n_elsewhere=len(where) - here - len(absent),
            absent=absent,
            n_nameless=len(names) - len(where),
        )

    def lines(self) -> list[str]:
        """Say it in sentences, as plain text."""
        said = f"{counted(self.n, 'file')}, {self._size()}"
        if not self.n:
            return ["No files: the dataset names none for these frames."]
        places = [
            f"{n} {what}"
            for n, what in (
                (self.n_here, "on this machine"),
                (self.n_elsewhere, "on a server"),
                (len(self.absent), "absent"),
            )
            if n
        ]
        lines = [f"{said}: {', '.join(places)}."]
        if self.absent:
            shown = ", ".join(redacted(name) for name in self.absent[:NAMED])
            more = len(self.absent) - NAMED
            lines.append(f"Absent: {shown}" + (f" and {more} more." if more > 0 else "."))
        if self.n_nameless:
            lines.append(f"{counted(self.n_nameless, 'frame')} without a file.")
        return lines

    def _size(self) -> str:
        exact = f"{human_bytes(self.n_bytes)} ({self.n_bytes:,} bytes)"
        if not self.n_unknown:
            return exact
        if self.n_unknown == self.n:
            return "of unknown length, as they were not scanned"
        return f"{exact} and {self.n_unknown} of unknown length, which were not scanned"


def describe_pixels(dataset: Any) -> str:
    """Say how many pixels a selection has."""
    if is_mosaic(dataset):
        tiles = list(dataset.flat)
        n = sum(int(np.prod(tile.shape, dtype=np.int64)) for tile in tiles)
        n_bytes = sum(_bytes(tile) for tile in tiles)
        what = f"{counted(len(tiles), 'tile')}, {n:,} pixels"
    else:
        tiles, n_bytes = [dataset], _bytes(dataset)
        what = " \u00d7 ".join(map(str, dataset.shape)) + " pixels"
    return f"{what}, {human_bytes(n_bytes)} as {tiles[0].data.dtype}."


def _bytes(dataset: Any) -> int:
    return int(np.prod(dataset.shape, dtype=np.int64)) * int(dataset.data.dtype.itemsize)
