"""Convert a dataset's ASDF and its frames to a store on disk."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from dkist_virtual.conversion.asdf.frames import check_names
from dkist_virtual.conversion.asdf.locate import asdf_on_disk
from dkist_virtual.conversion.asdf.source import read_source
from dkist_virtual.conversion.previous import (
    array_name,
    check_same_dataset,
    expectations,
    known_from_store,
)
from dkist_virtual.conversion.references import frame_urls, references_of
from dkist_virtual.conversion.scan import Expected, ScanMode, scan_frames
from dkist_virtual.conversion.staging import building, place_for, refuse_existing
from dkist_virtual.errors import HeaderWarning, StoreError, redacted
from dkist_virtual.io.fetcher import Fetcher, absolute, is_local
from dkist_virtual.io.safety import check_no_secrets
from dkist_virtual.store.format.dataset_asdf import (
    METADATA_NAME,
    expected_warnings,
    write_description,
)
from dkist_virtual.store.format.frame_index import (
    ABSENT,
    COLUMNS,
    FOUND,
    UNREACHABLE,
    FrameEntry,
    FrameIndex,
)
from dkist_virtual.store.format.headers import HEADERS_NAME, write_headers
from dkist_virtual.store.format.references import JSON_NAME, PARQUET_NAME, write_json
from dkist_virtual.store.format.references_parquet import write_parquet
from dkist_virtual.store.frame_locations import one_place
from dkist_virtual.text import counted, human_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.conversion.asdf.source import Source
    from dkist_virtual.conversion.staging import Building
    from dkist_virtual.protocols import DaskClient
    from dkist_virtual.store.format.references import ReferenceSet

__all__ = ["Conversion", "convert", "write_store"]

References: TypeAlias = Literal["auto", "json", "parquet"]

JSON_LIMIT = 5_000
"""Above this many frames, ``references="auto"`` writes parquet."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion did; its text is the line that the command closes with.

    Attributes
    ----------
    store : str
    asdf : pathlib.Path or str
        A URL is a str.
    n_frames, n_scanned, n_absent, n_unreachable : int
    missing : tuple of str
        Why frames were not found, of the first few, with their places.
    n_bytes : int
        Of the frames scanned.
    seconds : float
    passed_over : tuple of pathlib.Path
        Other ASDFs in the directory that was given.
    n_kept : int
        Of those scanned, how many were known from before and had not changed.
    """

    store: str
    asdf: Path | str
    n_frames: int
    n_scanned: int
    n_absent: int
    n_unreachable: int
    missing: tuple[str, ...]
    n_bytes: int
    seconds: float
    passed_over: tuple[Path, ...]
    n_kept: int = 0

    def __str__(self) -> str:
        lines = []
        if self.passed_over:
            others = ", ".join(path.name for path in self.passed_over)
            lines.append(f"Took {Path(self.asdf).name}, the newest; passed over: {others}")
        if self.n_scanned == 0:
            looked = self.n_absent + self.n_unreachable
            lines.append(
                f"NOT ONE of {counted(looked, 'frame')} could be reached: nothing was checked, "
                "types and sizes are the ASDF's word. Say where they are with --frames (frames=)"
                if looked
                else "No frame was looked at: types are the ASDF's word, sizes are not known"
            )
        size = f"{human_bytes(self.n_bytes)} of " if self.n_scanned else ""
        line = (
            f"{self.store}: {size}{counted(self.n_frames, 'frame')} in {self.seconds:.1f} s, "
            f"{self.n_scanned} scanned"
        )
        if self.n_kept:
            line += f" ({self.n_kept} of them before)"
        if self.n_absent:
            line += f", {self.n_absent} absent"
        if self.n_unreachable:
            line += f", {self.n_unreachable} not reachable"
        if self.missing:
            line += f" (the first: {self.missing[0]})"
        return "\n".join(map(redacted, [*lines, line]))


def convert(
    asdf: str | os.PathLike[str],
    store: str | os.PathLike[str],
    *,
    frames: str | os.PathLike[str] | None = None,
    base: str | os.PathLike[str] | None = None,
    scan: ScanMode = "auto",
    references: References = "auto",
    overwrite: bool = False,
    rescan: bool = False,
    progress: bool | None = None,
    workers: int | None = None,
    client: DaskClient | None = None,
    storage_options: dict[str, dict[str, Any]] | None = None,
) -> Conversion:
    """Turn a dataset into a virtual Zarr store.

    Parameters
    ----------
    asdf : path
        The dataset's ASDF, or a directory with one; of several the newest.
    store : path
        The directory to write. It appears under this name only once it is complete.
    frames : path or URL, optional
        Where the frames are scanned. By default `base`.
    base : path or URL, optional
        Where the store says that the frames are. By default `frames`, else the ASDF's directory.
    scan : {"auto", "always", "never"}
        Scan the frames that can be reached and count the others; scan all, where a missing frame
        is an error; or scan none.
    references : {"auto", "json", "parquet"}
        The references' format; "auto" is parquet above 5,000 frames.
    overwrite : bool
        Replace a store that exists already. Frames that it knows are read again only where their
        files have changed: by length, and by ETag or modification time.
    rescan : bool
        Read them all again.
    progress : bool, optional
        Show a bar. By default on a terminal only.
    workers : int, optional
        How many files are read at once.
    client : distributed.Client, optional
        Scan the frames from its workers. They have to reach them under the same names, and get
        the `storage_options`.
    storage_options : dict, optional
        A protocol or URL prefix to fsspec's options for it; never written into the store.

    Returns
    -------
    Conversion
        Its text says in a line what was done.

    Notes
    -----
    A conversion that was stopped, even by ``kill -9``, resumes when it is started again: until
    then the directory ``.{store}.part`` keeps what was scanned.

    Raises
    ------
    DatasetError
        The ASDF holds no dataset of a kind that can be virtualised.
    StoreExistsError
        `store` exists; with `overwrite`, it is something else than a store.
    StoreError
        `store` is not on this machine.
    FrameError
        A frame is broken, of another shape or type than the others, or, under ``"always"``,
        missing. No store is left.
    """
    return write_store(
        asdf,
        store,
        frames=frames,
        base=base,
        scan=scan,
        references=references,
        overwrite=overwrite,
        rescan=rescan,
        progress=progress,
        workers=workers,
        client=client,
        storage_options=storage_options,
    )


def write_store(
    asdf: str | os.PathLike[str],
    store: str | os.PathLike[str],
    *,
    frames: str | os.PathLike[str] | None,
    base: str | os.PathLike[str] | None,
    scan: ScanMode,
    references: References,
    overwrite: bool = True,
    rescan: bool = False,
    trusted: bool = False,
    progress: bool | None,
    workers: int | None,
    client: DaskClient | None,
    storage_options: dict[str, dict[str, Any]] | None,
) -> Conversion:
    """Convert a dataset, as `convert` and `update` do.

    Parameters
    ----------
    trusted : bool
        Whether `store` is a store of the same dataset, and its frames are taken to be as they
        were, without looking at their files.
    """
    with expected_warnings():  # takes seconds, which do not belong to the time that is printed
        import dkist  # noqa: F401

    began = time.perf_counter()
    if scan not in ("auto", "always", "never"):
        raise ValueError(f"scan = {scan!r}: expected 'auto', 'always' or 'never'")
    if references not in ("auto", "json", "parquet"):
        raise ValueError(f"references = {references!r}: expected 'auto', 'json' or 'parquet'")
    target = place_for(store)
    there = refuse_existing(target, overwrite)
    frames, base = _place("frames", frames), _place("base", base)
    fetcher = Fetcher(storage_options or {})
    shown = sys.stderr.isatty() if progress is None else progress
    with asdf_on_disk(asdf, fetcher) as (path, directory, others, said):
        if shown and not trusted:  # an ASDF of 10,000 frames takes some seconds
            print(f"Reading {redacted(path.name)}", file=sys.stderr)  # noqa: T201  # asked for
        source = read_source(path, said)
        if trusted:
            check_same_dataset(target, source, said)
        stored_base = absolute(base or frames or directory)
        if not trusted:
            check_no_secrets("frames" if base is None else "base", stored_base)
        n_frames = sum(part.n_frames for part in source.frames)
        work = _Work(
            source,
            fetcher,
            scanned_base=absolute(frames or base or directory),
            stored_base=stored_base,
            mode=scan,
            known=known_from_store(target, source) if there and not rescan else {},
            trusted=trusted,
            as_parquet=references == "parquet" or (references == "auto" and n_frames > JSON_LIMIT),
            workers=workers,
            client=client,
            shown=shown,
        )
        scans = work.run(target, overwrite=overwrite, rescan=rescan)
    states, sizes = (np.concatenate([s[name] for s in scans]) for name in ("state", "size"))
    return Conversion(
        store=str(target),
        asdf=path if str(path) == said else said,
        n_frames=n_frames,
        n_scanned=int((states == FOUND).sum()),
        n_absent=int((states == ABSENT).sum()),
        n_unreachable=int((states == UNREACHABLE).sum()),
        missing=tuple(reason for s in scans for reason in s.missing)[:10],
        n_bytes=sum(sizes[sizes >= 0].tolist()),
        seconds=time.perf_counter() - began,
        passed_over=tuple(others),
        n_kept=sum(s.kept for s in scans),
    )


def _place(name: str, given: str | os.PathLike[str] | None) -> str | None:
    """Make a place absolute, before anything is read, so that a wrong one fails at once."""
    given = one_place(name, given)
    return None if given is None else absolute(given, name)


@dataclass(frozen=True, eq=False)
class _Work:
    """What to do for a store, once the ASDF was read.

    Parameters
    ----------
    source : Source
    fetcher : Fetcher
    scanned_base, stored_base : str
        Where frames are scanned, and where the store says that they are.
    mode : {"auto", "always", "never"}
    known : dict of str to FrameIndex
        What the store that is replaced knows of the frames of each array.
    trusted : bool
        Whether those files are taken to be the same without asking.
    as_parquet : bool
    workers : int or None
    client : distributed.Client or None
    shown : bool
        Whether to show a bar.
    """

    source: Source
    fetcher: Fetcher
    scanned_base: str
    stored_base: str
    mode: ScanMode
    known: Mapping[str, FrameIndex]
    trusted: bool
    as_parquet: bool
    workers: int | None
    client: DaskClient | None
    shown: bool

    def run(self, target: Path, *, overwrite: bool, rescan: bool) -> list[FrameIndex]:
        """Scan the frames and write the store."""
        expected = expectations(self.source)
        about = {"frames": self.scanned_base, "arrays": expected, "rescan": rescan}
        with building(target, about, overwrite=overwrite) as build:
            scans = self._scan(build)
            self._refuse_to_forget(target, scans)
            result = references_of(self.source, self.stored_base, scans)
            origin = {**self.source.description.origin, "expected": expected}
            description = replace(self.source.description, origin=origin)

            def write(new: Path) -> None:
                _write_headers(new / HEADERS_NAME, self.source, result, scans)
                write_description(description, new / METADATA_NAME)
                _write_references(new, result, as_parquet=self.as_parquet)

            build.finish(write)
        return scans

    def _refuse_to_forget(self, target: Path, scans: Sequence[FrameIndex]) -> None:
        """Keep a store whose frames were there, when a disk or a server is away for a night."""
        before = sum(int(known.found.sum()) for known in self.known.values())
        n = sum(map(len, scans))
        if self.mode == "auto" and before and n and not any(scan.found.any() for scan in scans):
            raise StoreError(
                f"{target}: stays as it was. Not one of {counted(n, 'frame')} could be "
                f"reached in {self.scanned_base}, and {before} were when the store was made. Say "
                "where they are with --frames (frames=); --scan never (scan='never') replaces it "
                "all the same"
            )

    def _scan(self, build: Building) -> list[FrameIndex]:
        n_frames = sum(part.n_frames for part in self.source.frames)
        journal = build.journal
        # What a server has is not asked for again within the day: that would take as long as
        # looking did. Asking a disk takes no time.
        believed = journal.recent and not is_local(self.scanned_base)
        check_names(self.source.frames, self.source.path)
        scans: list[FrameIndex] = []
        with _bar(self.shown, n_frames if self.mode != "never" else 0) as on_frame:
            for part in self.source.frames:
                array, names = array_name(part.index), part.chunk_names
                known, trusted = self._known(array, names, journal.known.get(array), believed)

                def record(
                    i: int, entry: FrameEntry, array: str = array, names: NDArray[Any] = names
                ) -> None:
                    journal.record(array, names[i], entry)

                scans.append(
                    scan_frames(
                        frame_urls(names, self.scanned_base),
                        Expected(part.hdu_shape, part.dtype, part.target),
                        self.fetcher,
                        mode=self.mode,
                        workers=self.workers,
                        on_frame=on_frame,
                        on_entry=record,
                        known=known,
                        trusted=trusted,
                        client=self.client,
                    )
                )
        return scans

    def _known(
        self, array: str, names: NDArray[Any], noted: FrameIndex | None, believed: bool
    ) -> tuple[FrameIndex | None, bool | NDArray[np.bool_]]:
        """What is known of an array's frames, and of which without asking."""
        before = self.known.get(array)
        if self.mode == "never" and not self.trusted:
            return None, False
        if before is None or noted is None:
            only = before or noted
            trusted = self.trusted if noted is None else believed
            return (None if only is None else only.aligned(names)), trusted
        # What was looked at since goes before what stands in the store.
        known, newer = before.aligned(names), noted.aligned(names)
        if newer.dtype != known.dtype:
            return newer, believed
        known.rows[newer.found] = newer.rows[newer.found]
        return known, np.where(newer.found, believed, self.trusted)


# Writing ------------------------------------------------------------------------------------


def _write_references(new: Path, references: ReferenceSet, *, as_parquet: bool) -> None:
    if not as_parquet:
        (new / JSON_NAME).write_bytes(write_json(references))
        return

    def write(name: str, data: bytes) -> None:
        path = new / PARQUET_NAME / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    write_parquet(references, write)


def _write_headers(
    path: Path, source: Source, references: ReferenceSet, scans: Sequence[FrameIndex]
) -> None:
    tiles = [
        np.full(part.n_frames, None if part.index is None else f"{part.index[0]}_{part.index[1]}")
        for part in source.frames
    ]
    urls = [frames.take(np.arange(len(frames))).urls for _, frames in references.arrays.values()]
    rows = np.concatenate([scan.rows for scan in scans])
    ours = {
        f"_{name}": rows[name] if name == "etag" else np.ma.masked_less(rows[name], 0)
        for name in COLUMNS
    }
    ours |= {"_tile": np.concatenate(tiles).astype(object), "_url": np.concatenate(urls)}
    store_id = references.attributes.get("store_id")
    changed = write_headers(path, source.headers, ours, store_id=store_id)
    if changed:
        warnings.warn(
            f"header columns of mixed types are stored as strings: {', '.join(changed)}",
            HeaderWarning,
            stacklevel=7,
        )


# Progress -----------------------------------------------------------------------------------


@contextmanager
def _bar(shown: bool, n: int) -> Iterator[Callable[[], object]]:
    """A bar over frames, where one is wanted."""
    from tqdm import tqdm

    with tqdm(total=n, unit=" frames", desc="Scanning", disable=not shown or n == 0) as bar:
        yield bar.update
