"""Download a selection while its page goes on: progress, an end on request, and what failed."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from dkist_virtual.errors import DownloadError, redacted
from dkist_virtual.io.locations import is_local, local_path
from dkist_virtual.text import counted, human_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from dkist_virtual.io.download.report import Progress

__all__ = ["DownloadRun", "Status"]

LISTED: Final = 20
"""Files that failed that are listed."""

Phase: TypeAlias = Literal["running", "ending", "done", "ended", "failed"]


@dataclass(frozen=True)
class Status:
    """How far a download is, as plain text.

    Parameters
    ----------
    phase : {"running", "ending", "done", "ended", "failed"}
    text : str
    share : float
        Of the bytes, or of the files, that are there: 0 to 1.
    failures : tuple of str
        Of files, each with its cause.
    is_read : bool
        Whether the dataset reads its frames from the directory, once the download is over.
    """

    phase: Phase
    text: str
    share: float = 0.0
    failures: tuple[str, ...] = ()
    is_read: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing is being fetched any more."""
        return self.phase not in ("running", "ending")


class _EndedError(Exception):
    """The download was asked to end."""


class DownloadRun:
    """One download of a selection, in a thread of its own.

    Files are written below the directory alone, each whole or not at all: an end on request leaves
    what is there, and parts from which the next download goes on.

    Parameters
    ----------
    dataset : Dataset or TiledDataset
        The selection.
    directory : str
    show : callable
        Takes each `Status`, in the thread of the download; the last one is over.
    """

    def __init__(self, dataset: Any, directory: str, show: Callable[[Status], None]) -> None:
        self._dataset = dataset
        self._directory = directory
        self._show = show
        self._end = threading.Event()
        self._last: Progress | None = None
        self._thread = threading.Thread(
            target=self._run, name="dkist-virtual-view-download", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Ask it to end; it tells when it has."""
        self._end.set()

    def wait(self) -> None:
        """Wait until it is over."""
        self._thread.join()

    def _tell(self, progress: Progress) -> None:
        is_new, self._last = progress != self._last, progress
        if self._end.is_set():
            raise _EndedError
        if is_new:
            self._show(Status("running", _described(progress), _share(progress)))

    def _run(self) -> None:
        status = _final(self._outcome)
        self._show(replace(status, is_read=_reads_from(self._dataset, self._directory)))

    def _outcome(self) -> Status:
        try:
            done = self._dataset.download(self._directory, progress=self._tell)
        except _EndedError:
            n = 0 if self._last is None else self._last.n_done
            of = "" if self._last is None else f" of {self._last.n_files}"
            return Status(
                "ended",
                f"Ended: {n}{of} files were fetched. What is there is whole; another download "
                "goes on from here.",
            )
        return Status("done", f"Done. {redacted(done)}", 1.0)


def _final(outcome: Callable[[], Status]) -> Status:
    try:
        return outcome()
    except DownloadError as error:
        failures = [redacted(f"{name}: {cause}") for name, cause in (error.failures or {}).items()]
        more = len(failures) - LISTED
        listed = (*failures[:LISTED], *([f"and {more} more"] if more > 0 else []))
        first = str(error).splitlines()[0]
        return Status("failed", redacted(first), failures=listed)
    except Exception as error:  # noqa: BLE001  # the page says what failed
        return Status("failed", redacted(str(error) or repr(error)))


def _reads_from(dataset: Any, directory: str) -> bool:
    """Tell whether a dataset looks for its frames in a directory."""
    files = getattr(dataset, "files", None)
    local = [local_path(place) for place in getattr(files, "places", ()) if is_local(place)]
    return os.path.realpath(directory) in map(os.path.realpath, local)


def _share(progress: Progress) -> float:
    if progress.total:
        return min(progress.n_bytes / progress.total, 1.0)
    return progress.n_done / max(progress.n_files, 1)


def _described(progress: Progress) -> str:
    of = "" if progress.total is None else f" of {human_bytes(progress.total)}"
    files = f"{progress.n_done} of {counted(progress.n_files, 'file')}"
    return f"{files}, {human_bytes(progress.n_bytes)}{of}"
