"""Make an archive of as many datasets as are wanted, by rewriting the ASDFs of a few.

Each has an ID and times of its own, and frames that are links to those of its pattern. Nothing is
parsed: texts in the tree are replaced by others of the same length, so that the blocks of the file
stay where they are. 10,000 datasets take some seconds.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

__all__ = ["Pattern", "make_archive", "make_dataset"]

_END: Final = b"\n...\n"
_ID: Final = re.compile(rb"\bdatasetId: ([A-Za-z0-9]+)")
_TIME: Final = re.compile(rb"(?<=[\s'\"])(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")

PER_PROPOSAL: Final = 50
"""Datasets of one proposal, which is a directory of the archive."""


@dataclass(frozen=True)
class Pattern:
    """The ASDF of a dataset, to be rewritten.

    Parameters
    ----------
    asdf : pathlib.Path
        Its frames are beside it.
    """

    asdf: Path

    @cached_property
    def _parts(self) -> tuple[bytes, bytes]:
        tree, end, blocks = self.asdf.read_bytes().partition(_END)
        return tree, end + blocks

    @cached_property
    def dataset_id(self) -> str:
        """The dataset's ID."""
        found = _ID.search(self._parts[0])
        if found is None:
            raise ValueError(f"{self.asdf}: has no datasetId")
        return found[1].decode()

    @cached_property
    def frames(self) -> tuple[Path, ...]:
        """The frames beside the ASDF."""
        return tuple(sorted(self.asdf.parent.glob("*.fits")))

    def rewritten(self, dataset_id: str, later: timedelta) -> bytes:
        """Rewrite the ASDF for another dataset, `later` than this one."""
        old = self.dataset_id
        if len(dataset_id) != len(old):
            raise ValueError(f"{dataset_id!r}: expected an ID of {len(old)} characters")
        tree, blocks = self._parts

        def moved(found: re.Match[bytes]) -> bytes:
            return (datetime.fromisoformat(found[1].decode()) + later).isoformat().encode()

        tree = re.sub(rb"\b" + old.encode() + rb"\b", dataset_id.encode(), tree)
        return _TIME.sub(moved, tree) + blocks


def _id_of(number: int, length: int) -> str:
    """Write a number with letters, as the Data Center writes IDs."""
    letters = []
    for _ in range(length):
        number, digit = divmod(number, 26)
        letters.append(chr(ord("A") + digit))
    return "".join(reversed(letters))


def make_dataset(archive: Path, pattern: Pattern, number: int) -> Path:
    """Make one dataset of an archive, and return its ASDF."""
    dataset_id = _id_of(number, len(pattern.dataset_id))
    directory = archive / f"pid_1_{number // PER_PROPOSAL}" / dataset_id
    directory.mkdir(parents=True, exist_ok=True)
    for frame in pattern.frames:
        try:
            os.link(frame, directory / frame.name)
        except OSError:  # on another disk, or with as many links as it may have
            shutil.copyfile(frame, directory / frame.name)
    asdf = directory / f"{dataset_id}.asdf"
    asdf.write_bytes(pattern.rewritten(dataset_id, timedelta(hours=number)))
    return asdf


def make_archive(
    archive: str | os.PathLike[str],
    patterns: Sequence[str | os.PathLike[str]],
    n: int,
    *,
    first: int = 0,
) -> list[Path]:
    """Make an archive, laid out as the Data Center's: ``PROPOSAL/DATASET_ID/DATASET_ID.asdf``.

    Parameters
    ----------
    archive : path
        The directory to make it in.
    patterns : sequence of path
        ASDFs with their frames beside them, taken in turn.
    n : int
        How many datasets.
    first : int
        The number of the first one, to add to an archive.

    Returns
    -------
    list of pathlib.Path
        The ASDFs.
    """
    ready = [Pattern(Path(asdf)) for asdf in patterns]
    return [
        make_dataset(Path(archive), ready[number % len(ready)], number)
        for number in range(first, first + n)
    ]
