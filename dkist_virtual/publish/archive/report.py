"""Say what the conversion of an archive did: for each dataset a line, for all a paragraph."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import redacted
from dkist_virtual.publish.stores import SUFFIX
from dkist_virtual.text import counted, human_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_virtual.publish.archive.record import Entry, Outcome

__all__ = ["ArchiveReport", "DatasetOutcome"]

_SAID: Final = {"unseen": "NOT FOUND", "failed": "FAILED"}
_WOULD: Final = {"new": "would be new", "updated": "would be updated"}


@dataclass(frozen=True)
class DatasetOutcome:
    """What became of one dataset of an archive; its text is the line that the command prints.

    Attributes
    ----------
    name : str
        Of its store, without ``.virtual``; of an ASDF of which nothing could be read its place.
    dataset_id : str or None
    asdf : str
        The newest ASDF of it.
    outcome : str
        "new", "updated", "unchanged", "withdrawn" (its ASDF is gone), "unseen" (its ASDF was not
        found, but more than that may be wrong), or "failed".
    error : str
        Type and text of what went wrong; empty where nothing did.
    others : tuple of str
        Older ASDFs of the same dataset.
    warnings : tuple of str
    n_frames, n_absent, n_unreachable, n_bytes : int
        Of the store; 0 where there is none.
    seconds : float
    verified : dict or None
        What a verification of some frames found: sample, counts, exit status.
    dry : bool
        Whether this is only what would be done.
    """

    name: str
    dataset_id: str | None
    asdf: str
    outcome: Outcome
    error: str = ""
    others: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    n_frames: int = 0
    n_absent: int = 0
    n_unreachable: int = 0
    n_bytes: int = 0
    seconds: float = 0.0
    verified: dict[str, Any] | None = None
    dry: bool = False

    @classmethod
    def of(cls, name: str, entry: Entry, *, dry: bool = False) -> DatasetOutcome:
        """Say what an entry of the record says."""
        store = entry.converted
        error = "" if entry.error is None else f"{entry.error['type']}: {entry.error['text']}"
        about = dict.fromkeys(("n_frames", "n_absent", "n_unreachable", "n_bytes"), 0)
        if store is not None:
            about = {key: getattr(store, key) for key in about}
        return cls(
            name, entry.dataset_id, entry.asdf, entry.outcome, error,
            tuple(other.asdf for other in entry.others), entry.warnings, **about,
            seconds=entry.seconds, verified=None if store is None else store.verified, dry=dry,
        )  # fmt: skip

    @property
    def is_wrong(self) -> bool:
        """Whether somebody should look at it."""
        wrong = self.verified is not None and self.verified["exit_status"] == 1
        return self.outcome in ("failed", "unseen") or (
            wrong and self.outcome in ("new", "updated")
        )

    def __str__(self) -> str:
        said = (_WOULD if self.dry else _SAID).get(self.outcome, self.outcome)
        name = self.name if "/" in self.name else f"{self.name}{SUFFIX}"
        if self.error:
            return redacted(f"{name}: {said}: {self.error}")
        line = f"{name}: {said}"
        if self.outcome in ("new", "updated") and not self.dry:
            line += f", {counted(self.n_frames, 'frame')}"
            if self.n_absent:
                line += f", {self.n_absent} absent"
            if self.n_unreachable:
                line += f", {self.n_unreachable} not reachable"
            line += f", {self.seconds:.1f} s"
            if self.verified is not None:
                counts = self.verified["counts"]
                line += "; verified: " + ", ".join(f"{n} {kind}" for kind, n in counts.items())
                if self.verified["off"]:
                    line += f", positions of {self.verified['off']} wrong"
        if self.others:
            line += f"; passed over: {', '.join(self.others)}"
        for warning in self.warnings:
            line += f"; warning: {warning}"
        return redacted(line)


@dataclass(frozen=True)
class ArchiveReport:
    """What `convert_archive` did; its text is a paragraph.

    Attributes
    ----------
    archive, stores : str
        The archive, and the directory of the stores.
    datasets : tuple of DatasetOutcome
        By name.
    passed_over : tuple of str
        ASDFs that are of no dataset.
    unlisted : dict of str to str
        Directories of the archive that could not be listed, and why.
    removed : tuple of str
        Stores that were removed; that would be, where nothing was done.
    seconds : float
    dry_run : bool
        Whether nothing was done.
    """

    archive: str
    stores: str
    datasets: tuple[DatasetOutcome, ...]
    passed_over: tuple[str, ...]
    unlisted: Mapping[str, str]
    removed: tuple[str, ...]
    seconds: float
    dry_run: bool = False

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many datasets there are of each outcome."""
        found = Counter(one.outcome for one in self.datasets)
        return {
            name: found.get(name, 0)
            for name in ("new", "updated", "unchanged", "withdrawn", "unseen", "failed")
        }  # fmt: skip

    @property
    def failures(self) -> tuple[DatasetOutcome, ...]:
        """The datasets that failed, were not found, or were verified to be wrong."""
        return tuple(one for one in self.datasets if one.is_wrong)

    @property
    def n_frames(self) -> int:
        """Frames of all stores."""
        return sum(one.n_frames for one in self.datasets)

    @property
    def n_bytes(self) -> int:
        """Bytes of the frames of all stores that were scanned."""
        return sum(one.n_bytes for one in self.datasets)

    @property
    def exit_status(self) -> int:
        """0 where all went well; 1 where somebody should look."""
        return int(bool(self.failures or self.unlisted))

    def __str__(self) -> str:
        counts = self.counts
        said = {"new": "new", "updated": "updated", "unchanged": "unchanged"}
        said |= {"withdrawn": "withdrawn", "unseen": "NOT FOUND", "failed": "FAILED"}
        parts = [f"{counts[kind]} {word}" for kind, word in said.items() if counts[kind]]
        would = "would be: " if self.dry_run else ""
        text = (
            f"{self.stores}: {counted(len(self.datasets), 'dataset')} of {self.archive} in "
            f"{self.seconds:.1f} s, {would}{', '.join(parts) or 'nothing found'}; "
            f"{human_bytes(self.n_bytes)} of {counted(self.n_frames, 'frame')}"
        )
        if wrong := sum(one.outcome not in ("failed", "unseen") for one in self.failures):
            text += f"; frames of {wrong} are WRONG by their verification"
        if self.removed:
            text += f"; {counted(len(self.removed), 'store')} {would and 'would be '}removed"
        elif counts["withdrawn"]:
            text += "; stores of withdrawn datasets are kept"
        if self.passed_over:
            text += f"; {counted(len(self.passed_over), 'ASDF')} without a dataset passed over"
        for place, why in self.unlisted.items():
            text += f"; {place} could not be listed: {why}"
        return redacted(f"{text}.")
