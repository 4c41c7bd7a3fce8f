"""Read and write ``verify.json``, what the last verification found.

It is rewritten as a whole while a verification runs, so that a stopped one can be resumed.
"""

from __future__ import annotations

import itertools
import json
import re
import warnings
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from dkist_virtual.errors import StoreError, VerificationWarning, redacted
from dkist_virtual.io.local_file import replace_text
from dkist_virtual.io.locations import is_local, join, local_path, shown
from dkist_virtual.store.format.names import VERIFY_NAME
from dkist_virtual.text import ALIKE, counted, same_causes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dkist_virtual.store.format.references import ReferenceSet
    from dkist_virtual.store.reader import StoreReader

__all__ = [
    "UNREADABLE",
    "VERIFY_NAME",
    "WRONG",
    "Finding",
    "Outcome",
    "Verification",
    "read_verification",
    "report_lines",
    "warn_if_wrong",
    "write_verification",
]

Outcome: TypeAlias = Literal[
    "good", "absent", "unreachable", "changed", "corrupt", "refused", "equal", "different"
]

FORMAT_VERSION: Final = 1
WRONG: Final = ("changed", "corrupt", "refused", "different")
_LISTED: Final = 20
UNREADABLE: Final = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading a file that is not a verification may raise."""

_KINDS: Final = {
    **dict.fromkeys(("store", "when"), str),
    **dict.fromkeys(("store_id", "dataset_id", "instrument", "references"), str | None),
    **dict.fromkeys(("what", "counts", "notes", "wcs"), dict),
    **dict.fromkeys(("n_frames", "n_chosen", "n_done"), int),
    **dict.fromkeys(("tolerance", "seconds"), int | float),
}
"""Types of what is in a ``verify.json``, which somebody else may have written."""

_KEPT: Final = 1000
"""Findings written into the file; the counts include all of them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found about one frame.

    Attributes
    ----------
    key : str
        The frame's chunk key.
    url : str or None
    outcome : str
        "good", "absent", "unreachable", "changed" (whole, but not the frame that the store
        describes), "corrupt" (broken), "refused" (FITS that this package does not read, or a
        reference to where the store may not lead); of a comparison "equal" or "different".
    detail : str
        What is wrong.
    notes : tuple of str
        What is worth knowing, and not wrong.
    """

    key: str
    url: str | None
    outcome: Outcome
    detail: str = ""
    notes: tuple[str, ...] = ()


def report_lines(first: str, findings: Sequence[Finding], counts: Mapping[str, int]) -> list[str]:
    """Write a report: its first line, some lines of findings, and how many there are by outcome."""
    lines = _finding_lines(findings)
    more = [f"  and {len(lines) - _LISTED} more of other kinds"] * (len(lines) > _LISTED)
    by_outcome = ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items()))
    return [first, *lines[:_LISTED], *more, f"  {by_outcome or 'no frames'}"]


def _finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Write a line for each finding, or one for many that say the same."""
    names, details = [], []
    for finding in findings:
        url, detail = finding.url or "", finding.detail.replace("\n", " ")
        detail = detail.removeprefix(f"{finding.key}: ")
        name = url.rpartition("/")[2]
        # Where a file was looked for in another place, its detail names that place.
        its_own = detail.replace(f"{url}: ", "", 1) if url else detail
        if url and not (name and f"/{name}" in its_own):
            detail = f"{shown(url)}: {its_own}"
        names.append(name)
        details.append(detail)
    outcomes = [f"{f.outcome}: {detail}" for f, detail in zip(findings, details, strict=True)]
    lines = []
    for group in same_causes(zip(names, outcomes, strict=True)):
        first, last = findings[group[0]], findings[group[-1]]
        if len(group) < ALIKE:
            lines += [f"  {findings[i].outcome}: {findings[i].key} {details[i]}" for i in group]
        else:
            lines.append(
                f"  {first.outcome}: {len(group)} frames from {first.key} to {last.key}, the "
                f"first: {details[group[0]]}"
            )
    return lines


@dataclass(frozen=True)
class Verification:
    """What a verification found; its text is the report.

    Attributes
    ----------
    store : str
    store_id : str or None
    dataset_id, instrument : str or None
    what : dict
        What was asked for: sample, selection, frames.
    n_frames : int
        Of the whole dataset.
    n_chosen, n_done : int
        Frames to be looked at, and those that were.
    counts : dict
        Number of frames by outcome: good, absent, unreachable, changed, corrupt, refused.
    notes : dict
        What is worth knowing and not wrong, and of how many frames.
    findings : tuple of Finding
        Of the frames that are not good.
    wcs : dict
        Chunk key of a sample frame to how far its FITS WCS is from the dataset's WCS, arcsec.
    tolerance : float
        How far that may be.
    when : str
        ISO 8601, UTC.
    seconds : float
    references : str or None
        SHA-256 of the verified store's file of references, or of an ASDF's references.
    """

    store: str
    store_id: str | None
    dataset_id: str | None
    instrument: str | None
    what: dict[str, Any]
    n_frames: int
    n_chosen: int
    n_done: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    wcs: dict[str, float] = field(default_factory=dict)
    tolerance: float = 0.0
    when: str = ""
    seconds: float = 0.0
    references: str | None = None

    @property
    def complete(self) -> bool:
        """Whether all that was to be looked at was."""
        return self.n_done == self.n_chosen

    @property
    def places(self) -> frozenset[str]:
        """The directories and URLs of the frames that were verified; empty where not recorded."""
        places = self.what.get("places")
        return frozenset(filter(_is_text, places)) if isinstance(places, list) else frozenset()

    @property
    def off(self) -> dict[str, float]:
        """Sample frames whose WCS are further apart than `tolerance`, NaN included."""
        return {key: away for key, away in self.wcs.items() if not away <= self.tolerance}

    @property
    def n_wrong(self) -> int:
        """Frames that are changed, corrupt or refused."""
        return sum(self.counts.get(outcome, 0) for outcome in WRONG)

    @property
    def ok(self) -> bool:
        """Whether frames were looked at, and none of them, and no WCS, is wrong."""
        return bool(self.counts.get("good")) and not self.n_wrong and not self.off

    @property
    def exit_status(self) -> int:
        """0 all good, 1 something is wrong, 2 nothing was there, 3 good as far as it is there."""
        if self.n_wrong or self.off:
            return 1
        if not self.counts.get("good"):
            return 2
        return 3 if sum(self.counts.values()) > self.counts["good"] else 0

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        # JSON has no NaN.
        wcs = {key: away if away == away else None for key, away in self.wcs.items()}
        return {
            "format_version": FORMAT_VERSION, **asdict(self), "complete": self.complete,
            "findings": [{**asdict(f), "url": f.url and shown(f.url)} for f in self.findings],
            "wcs": wcs, "ok": self.ok, "exit_status": self.exit_status,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Verification:
        """Restore a verification from `as_json`; raise one of `UNREADABLE` for other data."""
        if data["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format_version = {data['format_version']!r}")
        # Earlier versions did not write references.
        data = {"references": None, **data}
        given = {name: data[name] for name in cls.__dataclass_fields__}
        for name, kind in _KINDS.items():
            if not isinstance(given[name], kind) or isinstance(given[name], bool):
                raise TypeError(f"{name} = {given[name]!r:.80}")
        found = [Finding(**{**f, "notes": tuple(f["notes"])}) for f in data["findings"]]
        wcs = {key: float("nan" if away is None else away) for key, away in data["wcs"].items()}
        numbers = [*data["counts"].values(), *data["notes"].values(), data["n_done"]]
        if any(type(n) is not int or n < 0 for n in numbers):
            raise ValueError("expected counts that are numbers")
        texts = [(f.key, f.outcome, f.detail, f.url or "", *f.notes) for f in found]
        if not all(isinstance(text, str) for text in itertools.chain(*texts)):
            raise TypeError("expected findings that are text")
        return cls(**{**given, "findings": tuple(found), "wcs": wcs})

    def __str__(self) -> str:
        name = " ".join(filter(None, [self.instrument, self.dataset_id])) or self.store
        looked = f"{self.n_done} of {counted(self.n_frames, 'frame')} looked at"
        first = f"{name}: {looked} in {self.seconds:.1f} s"
        lines = report_lines(first, self.findings, self.counts)
        lines += [f"  note, {counted(n, 'frame')}: {note}" for note, n in self.notes.items()]
        if self.wcs:
            worst = max(self.wcs, key=lambda key: (self.wcs[key] != self.wcs[key], self.wcs[key]))
            verb, away = "DIFFER FROM" if self.off else "agree with", self.wcs[worst]
            lines.append(
                f"  Positions on the sky {verb} the FITS WCS of "
                f"{counted(len(self.wcs), 'sample frame')}: "
                f"{away:.2g} arcsec away at most (in {worst}), {self.tolerance:g} allowed"
            )
        lines.append(f"  {_VERDICTS[self.exit_status]}")
        return "\n".join(map(redacted, lines))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_VERDICTS: Final = {
    0: "All of it is good.",
    1: "Something is wrong: see above.",
    2: "No frame could be looked at. Say where they are: --frames, frames=",
    3: "What is there is good; some frames are not there.",
}


def write_verification(verification: Verification) -> None:
    """Write a verification into its store, over the last one."""
    data = verification.as_json()
    data["findings"] = data["findings"][:_KEPT]
    directory = local_path(verification.store)
    try:
        replace_text(directory, VERIFY_NAME, json.dumps(data, indent=1))
    except OSError as error:
        raise StoreError(
            f"{join(directory, VERIFY_NAME)}: cannot be written: {error.strerror or error}. "
            "keep=False (--no-keep) verifies without it"
        ) from error


def read_verification(reader: StoreReader, references: ReferenceSet) -> Verification | None:
    """Read the last verification of a store; None where there is none, or of other references.

    Raises one of `UNREADABLE` where the file is not a verification.
    """
    try:
        data = json.loads(reader(VERIFY_NAME))
    except (FileNotFoundError, StoreError):
        return None  # a reader does not need it: where it cannot be read, everything else can
    found = Verification.from_json(data)
    if found.references is not None:
        return found if found.references == references.identity else None
    own = references.attributes.get("store_id")
    return found if own is not None and found.store_id == own else None


def warn_if_wrong(
    reader: StoreReader, references: ReferenceSet, places: Sequence[str] | None = None
) -> None:
    """Warn where the last verification found something wrong.

    Given the places that frames will be read from, only a verification of one of them counts:
    another copy of the frames may be good.
    """
    try:
        found = read_verification(reader, references)
    except UNREADABLE:
        _warn(f"{shown(join(reader.url, VERIFY_NAME))}: cannot be read: verify the store again")
        return
    if found is None or not (found.n_wrong or found.off):
        return
    if places is not None and found.places and not found.places & set(map(shown, places)):
        return
    wrong = []
    if found.n_wrong:
        wrong.append(
            f"{found.n_wrong} of {counted(found.n_done, 'frame')} looked at are not what it says"
        )
    if found.off:
        wrong.append(
            f"positions on the sky are {max(found.off.values()):.2g} arcsec away from the frames' "
            "own"
        )
    when = re.sub(r"[^0-9T:+.-]", "", str(found.when))[:32]
    _warn(
        f"{shown(reader.url)}: its verification of {when} found that {' and '.join(wrong)}. "
        f"{VERIFY_NAME} {'in it ' if is_local(reader.url) else ''}says more"
    )


def _warn(message: str) -> None:
    warnings.warn(message, VerificationWarning, stacklevel=3)
