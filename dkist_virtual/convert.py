"""A dataset's ASDF and its frames to a store on disk."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from dkist_virtual.asdf_file import asdf_on_disk
from dkist_virtual.codec import FrameSpec
from dkist_virtual.description import write_description
from dkist_virtual.errors import DatasetError, HeaderWarning, StoreError, StoreExistsError
from dkist_virtual.fetch import Fetcher, absolute, is_local, join
from dkist_virtual.headers import HEADERS_NAME, write_headers
from dkist_virtual.layouts import BITPIX_DTYPES, pixel_dtype
from dkist_virtual.places import one_place
from dkist_virtual.references import (
    FORMAT_VERSION,
    JSON_NAME,
    PARQUET_NAME,
    ArrayMetadata,
    FrameColumns,
    ReferenceSet,
    write_json,
    write_parquet,
)
from dkist_virtual.scan import ABSENT, FOUND, UNREACHABLE, Expected, Scan, ScanMode, scan_frames
from dkist_virtual.source import read_source
from dkist_virtual.trust import check_no_secrets

if TYPE_CHECKING:
    from astropy.table import Table
    from numpy.typing import NDArray

    from dkist_virtual.description import TileMeta
    from dkist_virtual.source import Frames, Source

__all__ = ["HEADERS_NAME", "METADATA_NAME", "Conversion", "convert", "identifiers", "references_of"]

METADATA_NAME = "dataset.asdf"

References: TypeAlias = Literal["auto", "json", "parquet"]

JSON_LIMIT = 5_000
"""Above this many frames, ``references="auto"`` writes parquet."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion did; its text is the line that the command closes with.

    Attributes
    ----------
    store : str
    asdf : pathlib.Path
    n_frames, n_scanned, n_absent, n_unreachable : int
    missing : tuple of str
        Why frames were not found, of the first few, with their places.
    n_bytes : int
        Of the frames scanned.
    seconds : float
    passed_over : tuple of pathlib.Path
        Other ASDFs in the directory that was given.
    """

    store: str
    asdf: Path
    n_frames: int
    n_scanned: int
    n_absent: int
    n_unreachable: int
    missing: tuple[str, ...]
    n_bytes: int
    seconds: float
    passed_over: tuple[Path, ...]

    def __str__(self) -> str:
        lines = []
        if self.passed_over:
            others = ", ".join(path.name for path in self.passed_over)
            lines.append(f"Took {self.asdf.name}, the newest; passed over: {others}")
        if self.n_scanned == 0:
            looked = self.n_absent + self.n_unreachable
            lines.append(
                f"NOT ONE of {looked} frames could be reached: nothing was checked, types and "
                "sizes are the ASDF's word. Say where the frames are with frames="
                if looked
                else "No frame was looked at: types are the ASDF's word, sizes are not known"
            )
        size = f"{human_bytes(self.n_bytes)} of " if self.n_scanned else ""
        line = (
            f"{self.store}: {size}{self.n_frames} frames in {self.seconds:.1f} s, "
            f"{self.n_scanned} scanned"
        )
        if self.n_absent:
            line += f", {self.n_absent} absent"
        if self.n_unreachable:
            line += f", {self.n_unreachable} not reachable"
        if self.missing:
            line += f" (the first: {self.missing[0]})"
        return "\n".join([*lines, line])


def human_bytes(n: float) -> str:
    """A number of bytes in the unit that fits it, decimal as the Data Center counts."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 999.5:
            return f"{n:.0f} {unit}" if unit == "B" or n >= 99.5 else f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


def convert(
    asdf: str | os.PathLike[str],
    store: str | os.PathLike[str],
    *,
    frames: str | os.PathLike[str] | None = None,
    base: str | os.PathLike[str] | None = None,
    scan: ScanMode = "auto",
    references: References = "auto",
    overwrite: bool = False,
    progress: bool | None = None,
    workers: int | None = None,
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
        Look at the frames that can be reached, and count the others; look at all, one that is
        not there being an error; or look at none.
    references : {"auto", "json", "parquet"}
        The references' format; "auto" is parquet above 5,000 frames.
    overwrite : bool
        Replace a store that is there already.
    progress : bool, optional
        Show a bar. By default on a terminal only.
    workers : int, optional
        How many files are read at once.
    storage_options : dict, optional
        A protocol or URL prefix to fsspec's options for it; never written into the store.

    Returns
    -------
    Conversion
        Printed, the line that says what was done.

    Raises
    ------
    DatasetError
        The ASDF holds no dataset of a kind that can be virtualised.
    StoreExistsError
        Something stands at `store`; with `overwrite`, something that is no store.
    StoreError
        `store` is not on this machine.
    FrameError
        A frame is broken, of another shape or type than the others, or, under ``"always"``,
        not there. No store is left.
    """
    import dkist  # noqa: F401  # takes seconds, which are no part of what the conversion took

    began = time.perf_counter()
    if scan not in ("auto", "always", "never"):
        raise ValueError(f"scan = {scan!r}: expected 'auto', 'always' or 'never'")
    if references not in ("auto", "json", "parquet"):
        raise ValueError(f"references = {references!r}: expected 'auto', 'json' or 'parquet'")
    target = _target(store)
    _refuse_existing(target, overwrite)
    frames, base = one_place("frames", frames), one_place("base", base)
    fetcher = Fetcher(storage_options or {})
    shown = sys.stderr.isatty() if progress is None else progress
    with asdf_on_disk(asdf, fetcher) as (path, directory, others):
        if shown:  # an ASDF of 10,000 frames takes some seconds
            print(f"Reading {path.name}", file=sys.stderr)  # noqa: T201  # asked for, or a terminal
        source = read_source(path)
    scanned_base = absolute(frames or base or directory)
    stored_base = absolute(base or frames or directory)
    check_no_secrets("frames" if base is None else "base", stored_base)
    n_frames = sum(part.n_frames for part in source.frames)
    scans: list[Scan] = []
    with _bar(shown, n_frames if scan != "never" else 0) as on_frame:
        for part in source.frames:
            urls = frame_urls(part, scanned_base)
            expected = Expected(part.hdu_shape, part.dtype, part.target)
            scans.append(
                scan_frames(urls, expected, fetcher, mode=scan, workers=workers, on_frame=on_frame)
            )
    result = references_of(source, stored_base, scans)
    as_parquet = references == "parquet" or (references == "auto" and n_frames > JSON_LIMIT)
    _write(target, source, result, scans, as_parquet=as_parquet, overwrite=overwrite)
    states = np.concatenate([s.states for s in scans])
    sizes = np.concatenate([s.sizes for s in scans])
    return Conversion(
        store=str(target),
        asdf=path,
        n_frames=n_frames,
        n_scanned=int((states == FOUND).sum()),
        n_absent=int((states == ABSENT).sum()),
        n_unreachable=int((states == UNREACHABLE).sum()),
        missing=tuple(reason for s in scans for reason in s.missing)[:10],
        n_bytes=int(sizes[sizes >= 0].sum()),
        seconds=time.perf_counter() - began,
        passed_over=tuple(others),
    )


def _target(store: str | os.PathLike[str]) -> Path:
    text = os.fspath(store)
    if not is_local(text):
        raise StoreError(
            f"{text}: a store is written on this machine. Convert to a local directory and copy it "
            "there; base= says where its frames will be"
        )
    return Path(absolute(text))


def _refuse_existing(target: Path, overwrite: bool) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if not overwrite:
        raise StoreExistsError(
            f"{target}: exists already. --overwrite (overwrite=True) replaces it"
        )
    # Replacing deletes: a directory goes only if it is a store and holds nothing else.
    found = set(os.listdir(target)) if target.is_dir() else set()
    if METADATA_NAME not in found or not {JSON_NAME, PARQUET_NAME} & found:
        raise StoreExistsError(f"{target}: is no store, so it is not replaced by one")
    known = {JSON_NAME, PARQUET_NAME, METADATA_NAME, HEADERS_NAME, "verify.json"}
    # A verification that was killed may leave what it was about to write.
    strange = sorted(name for name in found - known if not name.startswith(".verify."))
    if strange:
        raise StoreExistsError(
            f"{target}: holds {strange[0]}, which belongs to no store, so it is not replaced: move "
            "that elsewhere first"
        )


def frame_urls(frames: Frames, base: str) -> list[str]:
    """Where frames lie under a base, in chunk order; empty where the ASDF names no file."""
    return ["" if n is None else join(base, str(n)) for n in frames.relative_names.flat]


# References ---------------------------------------------------------------------------------


def references_of(source: Source, base: str, scans: Sequence[Scan] | None = None) -> ReferenceSet:
    """The reference set of a dataset, from its ASDF and what a scan found.

    Parameters
    ----------
    source : Source
    base : str
        Directory or URL that the frames' names are relative to.
    scans : sequence of Scan, optional
        One for each array; None where nothing was looked at.

    Returns
    -------
    ReferenceSet
        Its ``store_id`` is the same however it was made.
    """
    arrays = {}
    offset = 0
    for i, (part, tile) in enumerate(zip(source.frames, source.description.tiles, strict=True)):
        found = None if scans is None else scans[i]
        name = "data" if part.index is None else f"data_{part.index[0]}_{part.index[1]}"
        rows = slice(offset, offset + part.n_frames)
        offset += part.n_frames
        metadata = _metadata(part, tile, found, source.headers, rows)
        arrays[name] = (metadata, _columns(part, base, found, metadata))
    grid = source.description.grid
    present = [list(part.index) for part in source.frames if part.index is not None]
    references = ReferenceSet({}, dict(arrays))
    inventory = source.description.inventory or {}
    attributes = {
        "format_version": FORMAT_VERSION,
        "store_id": references.store_id(inventory.get("datasetId")),
        "base": base,
        "tiles": None if grid is None else {"shape": list(grid), "present": present},
        "n_frames": sum(part.n_frames for part in source.frames),
        "n_bytes": _total(scans),
        "head_bytes": max((s.head_bytes or 0 for s in scans or []), default=0) or None,
    }
    return ReferenceSet(attributes, dict(arrays))


def _total(scans: Sequence[Scan] | None) -> int | None:
    """Bytes of all frames together; None unless every one of them was looked at."""
    if scans is None or any((s.states != FOUND).any() for s in scans):
        return None
    return int(sum(s.sizes.sum() for s in scans))


def _metadata(
    part: Frames, tile: TileMeta, found: Scan | None, headers: Table, rows: slice
) -> ArrayMetadata:
    n_frame_axes = part.names.ndim
    chunks = (1,) * n_frame_axes + part.shape[n_frame_axes:]
    if not part.shape:
        raise DatasetError(f"frames of shape {part.hdu_shape} make no array")
    names = _axis_names(tile.wcs, len(part.shape), part.subslice)
    attributes: dict[str, Any] = {
        "_ARRAY_DIMENSIONS": identifiers(names, part.index),
        "axis_names": names,
        "unit": None if tile.unit is None else tile.unit.to_string(),
    }
    if part.subslice is not None:
        attributes["subslice"] = [
            [s.start, s.stop, s.step] if isinstance(s, slice) else int(s) for s in part.subslice
        ]
    if found is not None and found.layout is not None and _is_verbatim(part, found):
        dtype = found.layout.dtype.newbyteorder(">").str
        return ArrayMetadata(part.shape, chunks, dtype, None, attributes)
    pixel = (
        found.layout.dtype
        if found is not None and found.layout is not None
        else _unscanned_dtype(part, headers[rows] if len(headers) else headers)
    )
    dtype = pixel.newbyteorder("<").str
    spec = FrameSpec(part.target, dtype, part.hdu_shape)
    return ArrayMetadata(part.shape, chunks, dtype, spec, attributes)


def _is_verbatim(part: Frames, found: Scan) -> bool:
    """Whether the array needs no codec: every frame that has a name was found, and is plain."""
    named = np.array([name is not None for name in part.names.flat])
    return found.verbatim and not (named & (found.states != FOUND)).any()


def _unscanned_dtype(part: Frames, headers: Table) -> np.dtype:
    """The type of pixels that nobody has looked at: the ASDF's, scaled as the headers say."""
    bitpix = next((b for b, code in BITPIX_DTYPES.items() if np.dtype(code) == part.dtype), None)
    if bitpix is None:
        return part.dtype
    pairs = np.tile([1.0, 0.0], (max(len(headers), 1), 1))
    for i, keyword in enumerate(("BSCALE", "BZERO")):
        if len(headers) and keyword in headers.colnames:
            try:
                column: np.ma.MaskedArray[Any, Any] = np.ma.asarray(headers[keyword], dtype=float)
            except (TypeError, ValueError) as error:
                raise DatasetError(f"{keyword} in the ASDF's header table: {error}") from error
            pairs[:, i] = column.filled(pairs[0, i])
    types = {pixel_dtype(bitpix, bscale, bzero, None) for bscale, bzero in np.unique(pairs, axis=0)}
    if len(types) != 1:
        raise DatasetError(
            "BSCALE and BZERO in the ASDF's header table differ between frames and make pixels "
            f"of {', '.join(sorted(map(str, types)))}: expected one type"
        )
    return types.pop()


def _columns(part: Frames, base: str, found: Scan | None, metadata: ArrayMetadata) -> FrameColumns:
    columns = FrameColumns.absent(part.n_frames)
    columns.urls[:] = frame_urls(part, base)
    if found is not None:
        plain = metadata.compressor is None
        columns.offsets[:] = found.data_starts if plain else found.starts
        columns.lengths[:] = found.data_lengths if plain else found.lengths
    return columns


def _axis_names(wcs: Any, ndim: int, subslice: tuple[int | slice, ...] | None) -> list[str]:
    """The names of the WCS's pixel axes in array order; ``axis_{n}`` for those it has not."""
    low = wcs.low_level_wcs
    own = list(low.pixel_axis_names)[::-1]
    # The WCS of a subslice lacks the axes that an integer took away.
    kept = [
        axis
        for axis in range(ndim)
        if subslice is None or isinstance(subslice[axis], slice) or len(own) == ndim
    ]
    # A single frame keeps the WCS of its dataset: its axes are the last ones.
    own = own[-len(kept) :] if kept else []
    names = [f"axis_{axis}" for axis in range(ndim)]
    for axis, name in zip(kept[-len(own) :] if own else [], own, strict=False):
        names[axis] = name or names[axis]
    return names


def identifiers(names: Sequence[str], index: tuple[int, int] | None) -> list[str]:
    """Names as identifiers, unique, those of a mosaic's tile suffixed like its array."""
    suffix = "" if index is None else f"_{index[0]}_{index[1]}"
    unique: list[str] = []
    for name in names:
        stem = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "axis"
        stem = f"axis_{stem}" if stem[0].isdigit() else stem
        candidate, n = stem, 2
        while candidate + suffix in unique:
            candidate, n = f"{stem}_{n}", n + 1
        unique.append(candidate + suffix)
    return unique


# Writing ------------------------------------------------------------------------------------


def _write(
    target: Path,
    source: Source,
    references: ReferenceSet,
    scans: Sequence[Scan],
    *,
    as_parquet: bool,
    overwrite: bool,
) -> None:
    """Write all files beside the target, then rename: a store is there whole, or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        work.chmod(0o777 & ~_umask())
        new = work / target.name
        new.mkdir()
        _write_headers(new / HEADERS_NAME, source, references, scans)
        write_description(source.description, new / METADATA_NAME)
        if as_parquet:

            def write(name: str, data: bytes) -> None:
                path = new / PARQUET_NAME / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

            write_parquet(references, write)
        else:
            (new / JSON_NAME).write_bytes(write_json(references))
        _refuse_existing(target, overwrite)
        replaced = work / "replaced"
        try:
            if target.exists():
                target.rename(replaced)
            new.rename(target)
        except BaseException:
            # Ctrl-C between the two would leave the old store to be swept up.
            if replaced.exists() and not target.exists():
                replaced.rename(target)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _write_headers(
    path: Path, source: Source, references: ReferenceSet, scans: Sequence[Scan]
) -> None:
    def joined(arrays: Iterator[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(list(arrays))

    def known(name: str) -> np.ma.MaskedArray[Any, Any]:
        return np.ma.masked_less(joined(getattr(s, name) for s in scans), 0)

    tiles = [
        np.full(part.n_frames, None if part.index is None else f"{part.index[0]}_{part.index[1]}")
        for part in source.frames
    ]
    urls = [
        np.array([url or None for url in frames.take(np.arange(len(frames))).urls.tolist()], object)
        for _, frames in references.arrays.values()
    ]
    changed = write_headers(
        path,
        source.headers,
        {
            "_tile": np.concatenate(tiles).astype(object),
            "_url": np.concatenate(urls),
            "_size": known("sizes"),
            "_offset": known("starts"),
            "_length": known("lengths"),
            "_mtime": known("mtimes"),
            "_etag": joined(s.etags for s in scans),
            "_datasum": known("datasums"),
        },
    )
    if changed:
        warnings.warn(
            f"header columns of mixed types are stored as strings: {', '.join(changed)}",
            HeaderWarning,
            stacklevel=4,
        )


# Progress -----------------------------------------------------------------------------------


@contextmanager
def _bar(shown: bool, n: int) -> Iterator[Callable[[], object]]:
    """A bar over frames, where one is wanted."""
    from tqdm import tqdm

    with tqdm(total=n, unit=" frames", desc="Scanning", disable=not shown or n == 0) as bar:
        yield bar.update
