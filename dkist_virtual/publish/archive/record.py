"""Read and write ``archive.json``, and the journal of a run that has not ended yet."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from dkist_virtual._version import __version__
from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.io.local_file import open_regular, replace_text
from dkist_virtual.publish.archive.find import LargeDirectory, Stamp

__all__ = [
    "RECORD_NAME",
    "Converted",
    "Entry",
    "Journal",
    "Other",
    "Outcome",
    "Record",
    "entries_in",
]

RECORD_NAME: Final = "archive.json"
"""The record's name in a directory of stores."""

VERSION: Final = 1

Outcome: TypeAlias = Literal["new", "updated", "unchanged", "withdrawn", "unseen", "failed"]
"""What became of a dataset in a run."""

_OUTCOMES: Final = frozenset(get_args(Outcome))


@dataclass(frozen=True, slots=True)
class Other:
    """An ASDF of a dataset that was passed over for a newer one, or that is of no dataset.

    Parameters
    ----------
    asdf : str
    stamp : Stamp
    why : str
        Why it was passed over; empty where another one is newer.
    """

    asdf: str
    stamp: Stamp
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Write it as values for JSON."""
        why = {"why": self.why} if self.why else {}
        return {"asdf": self.asdf, **_stamp_json(self.stamp), **why}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(_text(given["asdf"]), _stamp(given), _text(given.get("why", "")))


@dataclass(frozen=True, slots=True)
class Converted:
    """What the store of a dataset was made of.

    Parameters
    ----------
    asdf : str
    stamp : Stamp
        Of the ASDF.
    sha256 : str, optional
        Of the ASDF.
    made : str
        A digest of where frames are and how the store says so.
    n_frames, n_absent, n_unreachable, n_bytes : int
    looked : int
        Modification time in ns of the directory in which frames were missing, 0 where there was no
        such directory; -1 where none was missing, or it is not on this machine.
    when : str
        ISO 8601, UTC.
    verified : dict, optional
        What a verification of some frames found: sample, counts, ok.
    """

    asdf: str
    stamp: Stamp
    sha256: str | None
    made: str
    n_frames: int
    n_absent: int
    n_unreachable: int
    n_bytes: int
    looked: int
    when: str
    verified: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Write it as values for JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "stamp"}
        return {**values, **_stamp_json(self.stamp)}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        values = {f.name: given[f.name] for f in fields(cls) if f.name != "stamp"}
        for name in ("n_frames", "n_absent", "n_unreachable", "n_bytes", "looked"):
            if type(values[name]) is not int:
                raise TypeError(f"{name} = {values[name]!r:.80}")
        return cls(stamp=_stamp(given), **values)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a dataset of an archive.

    Parameters
    ----------
    dataset_id : str, optional
        None where its ASDF has none.
    asdf : str
        The newest ASDF of it, absolute.
    stamp : Stamp
        Of that ASDF when it was last seen.
    outcome : str
        Of the last run.
    when : str
        When the outcome was last another one than "unchanged", ISO 8601, UTC.
    seconds : float
        How long that took.
    converted : Converted, optional
        What its store was made of; None if it has no store.
    error : dict of str to str, optional
        Type and text of what went wrong, and how the dataset was to be made ("convert" or
        "update"), where it came to that; None where nothing did.
    warnings : tuple of str
    others : tuple of Other
        Older ASDFs of the same dataset.
    """

    dataset_id: str | None
    asdf: str
    stamp: Stamp
    outcome: Outcome
    when: str = ""
    seconds: float = 0.0
    converted: Converted | None = None
    error: dict[str, str] | None = None
    warnings: tuple[str, ...] = ()
    others: tuple[Other, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Write it as values for JSON."""
        values: dict[str, Any] = {
            "dataset_id": self.dataset_id,
            "outcome": self.outcome,
            "asdf": self.asdf,
            **_stamp_json(self.stamp),
            "when": self.when,
            "seconds": round(self.seconds, 3),
            "converted": self.converted and self.converted.to_json(),
        }
        if self.error is not None:
            values["error"] = self.error
        if self.warnings:
            values["warnings"] = list(self.warnings)
        if self.others:
            values["others"] = [other.to_json() for other in self.others]
        return values

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        if given["outcome"] not in _OUTCOMES:
            raise ValueError(f"outcome = {given['outcome']!r:.80}")
        converted, error = given["converted"], given.get("error")
        return cls(
            dataset_id=given["dataset_id"],
            asdf=_text(given["asdf"]),
            stamp=_stamp(given),
            outcome=given["outcome"],
            when=_text(given["when"]),
            seconds=float(given["seconds"]),
            converted=None if converted is None else Converted.from_json(converted),
            error=None if error is None else _error(error),
            warnings=tuple(given.get("warnings", ())),
            others=tuple(map(Other.from_json, given.get("others", ()))),
        )


def _error(given: Mapping[str, Any]) -> dict[str, str]:
    keys = ("type", "text", *(("how",) if "how" in given else ()))
    return {key: _text(given[key]) for key in keys}


@dataclass(frozen=True)
class Record:
    """What ``archive.json`` says.

    Parameters
    ----------
    datasets : dict of str to Entry
        By the name of the store without ``.virtual``.
    passed_over : tuple of Other
        ASDFs that are of no dataset.
    large : dict of str to LargeDirectory
        Large directories that are not listed again while they are the same.
    run : dict
        About the last run: archive, times, counts, versions.
    """

    datasets: dict[str, Entry] = field(default_factory=dict)
    passed_over: tuple[Other, ...] = ()
    large: dict[str, LargeDirectory] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, stores: str) -> Record:
        """Read the record in a directory of stores; an empty one where there is none.

        Raises
        ------
        StoreCorruptError
            It is something else.
        """
        path = os.path.join(stores, RECORD_NAME)
        try:
            with open_regular(path) as file:
                given = json.load(file)
            if given["format_version"] != VERSION:
                raise ValueError(
                    f"format_version is {given['format_version']!r}, expected {VERSION}"
                )
            large = {
                _text(name): (int(mtime), tuple(map(str, asdfs)), tuple(map(str, directories)))
                for name, (mtime, asdfs, directories) in given["large_directories"].items()
            }
            return cls(
                {name: Entry.from_json(entry) for name, entry in given["datasets"].items()},
                tuple(map(Other.from_json, given["passed_over"])),
                large,
                dict(given["run"]),
            )
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise StoreCorruptError(f"{path}: cannot be read: {error.strerror or error}") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreCorruptError(
                f"{path}: is not the record of an archive's conversion: {type(error).__name__}: "
                f"{error}. Move it elsewhere: the stores stay, and the next run writes another one"
            ) from error

    def write(self, stores: str) -> None:
        """Write it, in place of the former one; a line for each dataset."""

        def lines(values: Mapping[str, Any]) -> str:
            rows = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in values.items())
            return "{\n" + ",\n".join(rows) + "\n }" if values else "{}"

        datasets = {name: self.datasets[name].to_json() for name in sorted(self.datasets)}
        passed_over = [other.to_json() for other in self.passed_over]
        text = (
            f'{{\n "format_version": {VERSION},\n "run": {json.dumps(self.run)},\n'
            f' "datasets": {lines(datasets)},\n "passed_over": {json.dumps(passed_over)},\n'
            f' "large_directories": {lines(self.large)}\n}}\n'
        )
        replace_text(stores, RECORD_NAME, text)


class Journal:
    """What has been done since the record was written: a line of JSON for each dataset.

    A line that was cut off, by a kill or a crash, does not count.

    Parameters
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries = dict(entries_in(path))
        # After what was cut off, the first line would be part of that.
        whole = "".join(f"{_line(name, entry)}\n" for name, entry in self.entries.items())
        replace_text(str(path.parent), path.name, whole)
        self._file = path.open("a", encoding="utf-8")

    def add(self, name: str, entry: Entry) -> None:
        """Write down what became of a dataset."""
        self._file.write(f"{_line(name, entry)}\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _line(name: str, entry: Entry) -> str:
    return json.dumps([__version__, name, entry.to_json()])


def entries_in(path: Path) -> Iterator[tuple[str, Entry]]:
    """Read the lines of a journal, up to one that was cut off."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        try:
            _, name, entry = json.loads(line)
            yield str(name), Entry.from_json(entry)
        except (ValueError, TypeError, KeyError, AttributeError):
            return


def _stamp_json(stamp: Stamp) -> dict[str, Any]:
    return {"size": stamp.size, "mtime": stamp.mtime, "etag": stamp.etag}


def _stamp(given: Mapping[str, Any]) -> Stamp:
    return Stamp(int(given["size"]), int(given["mtime"]), _text(given["etag"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is not a text")
    return value
