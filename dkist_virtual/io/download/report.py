"""Report what a download did, or which files it could not fetch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import DownloadError
from dkist_virtual.fits.errors import one_line
from dkist_virtual.text import ALIKE, counted, human_bytes, same_causes

if TYPE_CHECKING:
    from dkist_virtual.io.download.item import Item

__all__ = ["Downloaded", "Progress", "failed"]

_SHOWN: Final = 10
"""Files of a dry run that are listed; `Downloaded.items` has them all."""

_LISTED: Final = 50
"""Failures that are listed; `DownloadError.failures` has them all."""


@dataclass(frozen=True)
class Progress:
    """How far a download is.

    Attributes
    ----------
    n_done, n_files : int
        Files that are there or failed, and that are to be fetched.
    n_bytes : int
        That are there of them.
    total : int or None
        Bytes of all of them; None where a file's length is not known.
    """

    n_done: int
    n_files: int
    n_bytes: int
    total: int | None


@dataclass(frozen=True)
class Downloaded:
    """The result of a download, or of a dry run.

    Attributes
    ----------
    destination : str
    items : tuple of Item
        Files that were fetched; of a dry run those that would be.
    n_here : int
        Files that were there already.
    n_nameless : int
        Frames for which the ASDF names no file.
    n_bytes : int
        Bytes that were received; of a dry run those of the files of known size.
    n_unverified : int
        Files without a DATASUM, where they were to be verified.
    seconds : float
    dry_run : bool
    """

    destination: str
    items: tuple[Item, ...]
    n_here: int
    n_nameless: int = 0
    n_bytes: int = 0
    n_unverified: int = 0
    seconds: float = 0.0
    dry_run: bool = False

    def __str__(self) -> str:
        n = len(self.items)
        files, where = counted(n, "file"), one_line(self.destination)
        more = f", {self.n_here} {'were' if self.n_here != 1 else 'was'} there already"
        if self.n_nameless:
            more += f", {counted(self.n_nameless, 'frame')} without a file"
        if self.dry_run:
            unknown = sum(item.size < 0 for item in self.items)
            size = human_bytes(self.n_bytes) if unknown < n or not n else "unknown size"
            if 0 < unknown < n:
                size += f" and {unknown} of unknown size"
            lines = [
                one_line(item.name) + (f"\t{item.size}" if item.size >= 0 else "")
                for item in self.items[:_SHOWN]
            ]
            if n > _SHOWN:
                lines.append(f"and {n - _SHOWN} more: Files.to_manifest() lists them all")
            return "\n".join([*lines, f"{where}: {files} to fetch, {size}{more}"])
        if self.n_unverified:
            more += f", {self.n_unverified} without a DATASUM to verify"
        rate = f" ({human_bytes(self.n_bytes / self.seconds)}/s)" if self.seconds and n else ""
        size = human_bytes(self.n_bytes)
        return f"{where}: {files} fetched, {size} in {self.seconds:.1f} s{rate}{more}"


def failed(message: str, failures: dict[str, str]) -> DownloadError:
    """Make the error of files that were not fetched: alike ones in one line."""
    lines = []
    by_name = sorted(failures.items())
    for group in same_causes((name.rpartition("/")[2], cause) for name, cause in by_name):
        some = [by_name[number] for number in group]
        if len(some) < ALIKE:
            lines += [f"  {name!r}: {cause}" for name, cause in some]
        else:
            (first, cause), (last, _) = some[0], some[-1]
            lines.append(f"  {len(some)} files from {first!r} to {last!r}, the first: {cause}")
    if len(lines) > _LISTED:
        lines[_LISTED:] = [f"  and {len(lines) - _LISTED} more: see the error's `failures`"]
    return DownloadError(message, failures, lines)
