"""Keep on disk what a conversion has scanned so far, so that it can resume.

One line of JSON a frame, added as frames are looked at. A line that was being written when the
machine stopped is no line, and nothing after it is read.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from dkist_virtual.conversion.frame_index import Known, Look, Scan
from dkist_virtual.io.local_file import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["Journal"]

FLUSH: Final = 256
"""Frames that are written together."""

SYNC: Final = 1.0
"""Seconds after which they are to survive the machine, and not the process alone."""

DAY: Final = 86_400.0


class Journal:
    """The journal of one conversion, read and written on.

    Parameters
    ----------
    path : pathlib.Path
    about : dict
        What the conversion is of, for JSON. A journal of another one is begun anew.

    Attributes
    ----------
    known : dict of str to Known
        What it holds from before, by the name of the array.
    recent : bool
        Whether that is less than a day old.
    n : int
        Frames that it holds.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        self.known: dict[str, Known] = {}
        self.n = 0
        first = json.dumps({"format": 1, **about}, sort_keys=True)
        end = 0
        if path.exists():
            self.recent = time.time() - path.stat().st_mtime < DAY
            found: dict[str, dict[str, Look]] = {}
            for n_bytes, line in _whole_lines(path):
                if not end and json.dumps(line, sort_keys=True) != first:
                    break
                if end:
                    array, name, *values = line
                    found.setdefault(array, {})[name] = Look(*values)
                end += n_bytes
            self.known = {array: _known(looks) for array, looks in found.items()}
            self.n = sum(map(len, found.values()))
        else:
            self.recent = False
        self._file = open(path, "r+b" if end else "wb")  # noqa: SIM115  # until `close`
        self._file.truncate(end)
        self._file.seek(end)
        self._lines: list[str] = [] if end else [first]
        self._flushed = self._synced = time.monotonic()
        self.flush()

    def record(self, array: str, name: str, look: Look) -> None:
        """Note what was found of a frame."""
        # The last of a look are words for a message.
        self._lines.append(json.dumps([array, name, *astuple(look)[:-1]], separators=(",", ":")))
        self.n += 1
        if len(self._lines) >= FLUSH or time.monotonic() - self._flushed > SYNC:
            self.flush()

    def flush(self) -> None:
        """Write what was noted."""
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _whole_lines(path: Path) -> Iterator[tuple[int, Any]]:
    with open_regular(path) as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                yield len(line), json.loads(line)
            except ValueError:  # the machine went down while it was written
                return


def _known(looks: dict[str, Look]) -> Known:
    """The frames of one array; all have pixels of one type, or the scan had stopped."""
    dtype = next(iter(looks.values())).dtype
    same = {name: look for name, look in looks.items() if look.dtype == dtype}
    scan = Scan.unknown(len(same), ())
    for i, look in enumerate(same.values()):
        scan.put(i, look)
    names = np.array(list(same), np.dtypes.StringDType())
    return Known(names, scan.of(np.dtype(dtype)))
