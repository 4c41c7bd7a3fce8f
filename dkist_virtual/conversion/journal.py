"""Keep on disk what a conversion has scanned so far, so that it can resume.

The file holds one line of JSON for each frame, added as frames are scanned. A line that was cut
off when the machine stopped does not count, nor does anything after it.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from dkist_virtual.io.local_file import open_regular
from dkist_virtual.store.format.frame_index import FrameEntry, FrameIndex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Journal"]

FLUSH: Final = 256
"""Write so many frames together."""

SYNC: Final = 1.0
"""Flush to the disk after so many seconds, to survive a crash of the machine."""

DAY: Final = 86_400.0

VALUES: Final = ("offset", "length", "data", "head", "size", "mtime", "etag", "datasum", "dtype")
"""What a line holds after the names of array and frame, in format 1."""


class Journal:
    """Open the journal of a conversion, to read and continue it.

    Parameters
    ----------
    path : pathlib.Path
    about : dict
        What is converted, for JSON. The journal of another conversion is started again.

    Attributes
    ----------
    known : dict of str to FrameIndex
        What it held when it was opened, by the name of the array.
    recent : bool
        Whether it was written to less than a day before.
    n : int
        Number of frames in it.
    """

    def __init__(self, path: Path, about: Mapping[str, object]) -> None:
        first = json.dumps({"format": 1, **about}, sort_keys=True)
        found: dict[str, dict[str, FrameEntry]] = {}
        end = 0
        self.recent = path.exists() and time.time() - path.stat().st_mtime < DAY
        for n_bytes, line in _whole_lines(path):
            if end:
                array, name, *values = line
                entry = FrameEntry(**dict(zip(VALUES, values, strict=True)))
                found.setdefault(array, {})[name] = entry
            elif json.dumps(line, sort_keys=True) != first:
                break
            end += n_bytes
        self.known = {array: _index(entries) for array, entries in found.items()}
        self.n = sum(map(len, found.values()))
        self._file = open(path, "r+b" if end else "wb")  # noqa: SIM115  # until `close`
        self._file.truncate(end)
        self._file.seek(end)
        self._lines: list[str] = [] if end else [first]
        self._flushed = self._synced = time.monotonic()
        self.flush()

    def record(self, array: str, name: str, entry: FrameEntry) -> None:
        """Add what was found of a frame."""
        line = [array, name, *(getattr(entry, value) for value in VALUES)]
        self._lines.append(json.dumps(line, separators=(",", ":")))
        self.n += 1
        if len(self._lines) >= FLUSH or time.monotonic() - self._flushed > SYNC:
            self.flush()

    def flush(self) -> None:
        """Write what was added."""
        if self._lines:
            self._file.write("".join(f"{line}\n" for line in self._lines).encode())
            self._file.flush()
            self._lines.clear()
        self._flushed = time.monotonic()
        if self._flushed - self._synced > SYNC:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def close(self) -> None:
        """Write the rest."""
        self.flush()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _whole_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Read a journal's lines with their lengths, up to one that is not whole."""
    try:
        with open_regular(path) as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield len(line), json.loads(line)
    except (FileNotFoundError, ValueError):  # cut where the machine stopped
        return


def _index(entries: dict[str, FrameEntry]) -> FrameIndex:
    """Collect one array's frames; all have pixels of one type, or the scan had stopped."""
    dtype = next(iter(entries.values())).dtype
    same = {name: entry for name, entry in entries.items() if entry.dtype == dtype}
    index = FrameIndex.unknown(len(same), np.array(list(same), np.dtypes.StringDType()), dtype)
    for i, entry in enumerate(same.values()):
        index.put(i, entry)
    return index
