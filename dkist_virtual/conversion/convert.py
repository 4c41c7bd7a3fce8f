"""Convert a dataset's ASDF and its frames to a store on disk."""

from __future__ import annotations

import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.conversion.asdf.frames import check_names
from dkist_virtual.conversion.asdf.locate import asdf_on_disk
from dkist_virtual.conversion.asdf.source import read_source
from dkist_virtual.conversion.previous import (
    check_same_dataset,
    expectations,
    known_from_store,
)
from dkist_virtual.conversion.references import (
    References,
    check_form,
    file_columns,
    frame_urls,
    n_bytes_of,
    references_of,
    write_references,
)
from dkist_virtual.conversion.scan import Expected, ScanMode, scan_files
from dkist_virtual.conversion.staging import build_store, place_for, refuse_existing
from dkist_virtual.conversion.unchanged import sha256_of
from dkist_virtual.cube.axis_tables import summarise
from dkist_virtual.errors import DKISTVirtualWarning, HeaderWarning, StoreError, redacted
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.locations import absolute, is_local
from dkist_virtual.io.safety import check_no_secrets
from dkist_virtual.store.format.dataset_asdf import (
    METADATA_NAME,
    ignore_expected_warnings,
    write_description,
)
from dkist_virtual.store.format.frame_index import (
    ABSENT,
    FOUND,
    UNREACHABLE,
    FrameEntry,
    FrameIndex,
    Names,
)
from dkist_virtual.store.format.headers import HEADERS_NAME, write_headers
from dkist_virtual.store.format.names import POINTING_NAME, array_name, identity_in
from dkist_virtual.store.frame_locations import one_place
from dkist_virtual.store.relative.write import relative_base
from dkist_virtual.text import counted, human_bytes, shows_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.conversion.asdf.frames import Frames
    from dkist_virtual.conversion.asdf.source import Source
    from dkist_virtual.conversion.journal import Journal
    from dkist_virtual.protocols import DaskClient
    from dkist_virtual.store.format.references import ReferenceSet

__all__ = ["Conversion", "Work", "convert"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion did; its text is the last line that the command prints.

    Attributes
    ----------
    store : str
    asdf : pathlib.Path or str
        A URL is a str.
    n_frames, n_scanned, n_absent, n_unreachable : int
    missing : tuple of str
        Why the first few frames were not found, with their places.
    n_bytes : int
        Of the frames scanned.
    seconds : float
    passed_over : tuple of pathlib.Path
        Other ASDFs in the same directory.
    n_kept : int
        How many of those scanned were known from before and had not changed.
    dataset_id, sha256 : str or None
        The ID in the ASDF's inventory, and the SHA-256 of the ASDF. None where it was not read.
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
    dataset_id: str | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        lines = []
        if self.passed_over:
            others = ", ".join(path.name for path in self.passed_over)
            lines.append(f"Took {Path(self.asdf).name}, the newest; passed over: {others}")
        if self.n_scanned == 0:
            tried = self.n_absent + self.n_unreachable
            lines.append(
                f"NOT ONE of {counted(tried, 'frame')} could be reached: nothing was checked, "
                "types and sizes are the ASDF's. Say where they are with --frames (frames=)"
                if tried
                else "No frame was scanned: types are the ASDF's, sizes are not known"
            )
        size = f"{human_bytes(self.n_bytes)} of " if self.n_scanned else ""
        line = (
            f"{self.store}: {size}{counted(self.n_frames, 'frame')} in {self.seconds:.1f} s, "
            f"{self.n_scanned - self.n_kept} scanned"
        )
        if self.n_kept:
            line += f", {self.n_kept} known from an earlier scan"
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
    relative: bool = False,
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
    relative : bool
        Write the places of the frames relative to the store, so that the directory with both can
        be moved, copied or served: for frames in or below the directory that the store is in, or
        the one above it. By default the store says their absolute place.
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
        The ASDF has no dataset of a kind that can be virtualised.
    StoreExistsError
        `store` exists; with `overwrite`, it is something else than a store.
    StoreError
        `store` is not on this machine.
    ValueError
        With `relative`, the frames are elsewhere, or `base` is given too.
    FrameError
        A frame is broken, of another shape or type than the others, or, under ``"always"``,
        missing. No store is left.
    """
    return Work(
        frames=frames,
        base=base,
        scan=scan,
        references=references,
        relative=relative,
        overwrite=overwrite,
        rescan=rescan,
        progress=progress,
        workers=workers,
        client=client,
        storage_options=storage_options,
    ).run(asdf, store)


@dataclass(frozen=True, kw_only=True)
class Work:
    """Convert a dataset with these options, which are those of `convert`.

    Parameters
    ----------
    relative : bool
        Whether the store says where its frames are relative to itself.
    trusted : bool
        Whether the store exists and its frames are taken to be as they were, without looking at
        their files.
    check : callable, optional
        Is called with the dataset's ID, before anything is written; it raises where that is not
        the one to convert.
    """

    frames: str | os.PathLike[str] | None
    base: str | os.PathLike[str] | None
    scan: ScanMode
    references: References
    relative: bool = False
    overwrite: bool
    rescan: bool = False
    trusted: bool = False
    check: Callable[[str | None], object] | None = None
    progress: bool | None
    workers: int | None
    client: DaskClient | None
    storage_options: dict[str, dict[str, Any]] | None

    def __post_init__(self) -> None:
        if self.scan not in ("auto", "always", "never"):
            raise ValueError(f"scan = {self.scan!r}: expected 'auto', 'always' or 'never'")
        check_form(self.references)

    def run(self, asdf: str | os.PathLike[str], store: str | os.PathLike[str]) -> Conversion:
        """Read the ASDF, scan the frames, and write the store."""
        began = time.perf_counter()
        target = place_for(store)
        there = refuse_existing(target, self.overwrite)
        # Before anything is read, so that a wrong one fails at once.
        frames, base = _absolute("frames", self.frames), _absolute("base", self.base)
        if self.relative and base is not None and not self.trusted:
            raise ValueError(
                "relative and base: both say where the store says that its frames are: expected "
                "one of them"
            )
        fetcher = Fetcher(self.storage_options or {})
        shown = shows_progress(self.progress)
        with asdf_on_disk(asdf, fetcher) as (path, directory, others, label):
            scanned, stored = frames or base or directory, base or frames or directory
            written = relative_base(target, stored) if self.relative else stored
            imported = time.perf_counter()
            with ignore_expected_warnings():
                import dkist  # noqa: F401  # takes seconds, which the printed time leaves out
            began += time.perf_counter() - imported
            if shown and not self.trusted:  # an ASDF of 10,000 frames takes some seconds
                print(f"Reading {redacted(path.name)}", file=sys.stderr)  # noqa: T201  # asked for
            source = read_source(path, label)
            sha256 = sha256_of(path)
            dataset_id = identity_in(source.description.inventory)
            if self.check is not None:
                self.check(dataset_id)
            if self.trusted:
                check_same_dataset(target, source, label)
            else:
                check_no_secrets("frames" if base is None else "base", stored)
            known = known_from_store(target, source) if there and not self.rescan else {}
            expected = expectations(source)
            origin = {**source.description.origin, "expected": expected, "sha256": sha256}
            about = {"frames": scanned, "arrays": expected, "rescan": self.rescan}
            with build_store(target, about, overwrite=self.overwrite) as build:
                check_names(source.frames, source.path)
                scans = self._scan(source, fetcher, scanned, known, build.journal, shown=shown)
                self._refuse_to_forget(target, known, scans, scanned)

                def write(new: Path) -> None:
                    self._write(new, source, written, scans, origin)
                    if there:
                        _keep_pointing(target, new, kept=self.trusted)

                build.finish(write)
        states = np.concatenate([s["state"] for s in scans])
        return Conversion(
            store=str(target),
            asdf=path if str(path) == label else label,
            n_frames=len(states),
            n_scanned=int((states == FOUND).sum()),
            n_absent=int((states == ABSENT).sum()),
            n_unreachable=int((states == UNREACHABLE).sum()),
            missing=tuple(reason for s in scans for reason in s.missing)[:10],
            n_bytes=n_bytes_of(source, scans),
            seconds=time.perf_counter() - began,
            passed_over=tuple(others),
            n_kept=sum(s.kept for s in scans),
            dataset_id=dataset_id,
            sha256=sha256,
        )

    def _scan(
        self,
        source: Source,
        fetcher: Fetcher,
        base: str,
        before: Mapping[str, FrameIndex],
        journal: Journal,
        *,
        shown: bool,
    ) -> list[FrameIndex]:
        """Scan the frames of each array, but for those that are known."""
        from tqdm import tqdm

        # What a server has is not asked for again within the day: that would take as long as
        # the scan did. Asking a disk takes no time.
        believed = journal.recent and not is_local(base)
        n = sum(part.n_frames for part in source.frames) if self.scan != "never" else 0
        scans: list[FrameIndex] = []
        with tqdm(total=n, unit=" frames", desc="Scanning", disable=not shown or n == 0) as bar:
            for group in _of_the_same_files(source):
                names = group[0].chunk_names
                arrays = [array_name(part.index) for part in group]
                about = [
                    self._known(names, before.get(array), journal.known.get(array), believed)
                    for array in arrays
                ]

                def record(
                    k: int,
                    i: int,
                    entry: FrameEntry,
                    arrays: list[str] = arrays,
                    names: Names = names,
                ) -> None:
                    journal.record(arrays[k], names[i], entry)

                scans += scan_files(
                    frame_urls(names, base),
                    [Expected(part.hdu_shape, part.dtype, part.target) for part in group],
                    fetcher,
                    mode=self.scan,
                    workers=self.workers,
                    on_frame=bar.update,
                    on_entry=record,
                    known=[known for known, _ in about],
                    trusted=[trusted for _, trusted in about],
                    client=self.client,
                )
        return scans

    def _known(
        self,
        names: Names,
        stored: FrameIndex | None,
        noted: FrameIndex | None,
        believed: bool,
    ) -> tuple[FrameIndex | None, bool | NDArray[np.bool_]]:
        """What store and journal know of an array's frames, and of which without asking."""
        if self.scan == "never" and not self.trusted:
            return None, False
        if stored is None or noted is None:
            only = stored or noted
            trusted = self.trusted if noted is None else believed
            return (None if only is None else only.aligned(names)), trusted
        known, newer = stored.aligned(names), noted.aligned(names)
        if newer.dtype != known.dtype:
            return newer, believed
        known.rows[newer.found] = newer.rows[newer.found]
        return known, np.where(newer.found, believed, self.trusted)

    def _refuse_to_forget(
        self, target: Path, known: Mapping[str, FrameIndex], scans: Sequence[FrameIndex], base: str
    ) -> None:
        """Keep a store whose frames were there, when a disk or a server is away for a night."""
        before = sum(int(index.found.sum()) for index in known.values())
        n = sum(map(len, scans))
        if self.scan == "auto" and before and n and not any(scan.found.any() for scan in scans):
            raise StoreError(
                f"{target}: stays as it was. Not one of {counted(n, 'frame')} could be "
                f"reached in {base}, and {before} were when the store was made. Say where they "
                "are with --frames (frames=); --scan never (scan='never') replaces it all the same"
            )

    def _write(
        self,
        new: Path,
        source: Source,
        base: str,
        scans: Sequence[FrameIndex],
        origin: dict[str, Any],
    ) -> None:
        references = references_of(source, base, scans)
        _write_headers(new / HEADERS_NAME, source, references, scans)
        description = replace(source.description, origin=origin)
        summary = summarise(description, [metadata for metadata, _ in references.arrays.values()])
        write_description(description, new / METADATA_NAME, summary)
        write_references(references, new, self.references)


def _keep_pointing(target: Path, new: Path, *, kept: bool) -> None:
    """Keep the correction of the pointing in an update of a store, and say so either way."""
    before = target / POINTING_NAME
    if not before.is_file():
        return
    if kept:
        shutil.copyfile(before, new / POINTING_NAME)
    warnings.warn(
        f"{target}: the correction of its pointing "
        + (
            "was kept, and was made for the ASDF of before: dkist-virtual shift shows it with "
            "--show and removes it with --reset"
            if kept
            else "is not in the store that replaces it: dkist-virtual shift corrects it again"
        ),
        DKISTVirtualWarning,
        stacklevel=6,
    )


def _of_the_same_files(source: Source) -> list[list[Frames]]:
    """Put arrays together whose frames are HDUs of the same files, as those of an inversion are."""
    groups: list[list[Frames]] = []
    for part in source.frames:
        if (
            source.inversion is not None
            and groups
            and np.array_equal(groups[-1][0].chunk_names, part.chunk_names)
        ):
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def _absolute(name: str, given: str | os.PathLike[str] | None) -> str | None:
    place = one_place(name, given)
    return None if place is None else absolute(place, name)


def _tile(index: tuple[int, int] | str) -> str:
    """Name a tile, or an array of an inversion, in the header table."""
    return index if isinstance(index, str) else f"{index[0]}_{index[1]}"


def _write_headers(
    path: Path, source: Source, references: ReferenceSet, scans: Sequence[FrameIndex]
) -> None:
    tiles = [
        np.full(part.n_frames, None if part.index is None else _tile(part.index), object)
        for part in source.frames
    ]
    ours = file_columns(references, np.concatenate([scan.rows for scan in scans]))
    ours["_tile"] = np.concatenate(tiles).astype(object)
    store_id = references.attributes.get("store_id")
    changed = write_headers(path, source.headers, ours, store_id=store_id)
    if changed:
        warnings.warn(
            f"header columns of mixed types are stored as strings: {', '.join(changed)}",
            HeaderWarning,
            stacklevel=7,
        )
