"""Make a store's references from a dataset and a scan of its frames, and write them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import quote

import numpy as np

from dkist_virtual.conversion.asdf.frames import check_names
from dkist_virtual.errors import DatasetError
from dkist_virtual.fits.layout import BITPIX_DTYPES, pixel_dtype
from dkist_virtual.io.locations import Location
from dkist_virtual.io.safety import check_places
from dkist_virtual.store.format.frame_index import COLUMNS, FrameIndex, Names
from dkist_virtual.store.format.header_table import rows_of
from dkist_virtual.store.format.names import Place, array_name, identity_in
from dkist_virtual.store.format.references import (
    FORMAT_VERSION,
    JSON_NAME,
    PARQUET_NAME,
    ArrayMetadata,
    FrameColumns,
    FrameTable,
    ReferenceSet,
    identity_of,
    write_json,
)
from dkist_virtual.store.format.references_parquet import write_parquet
from dkist_virtual.store.frame_spec import FrameSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from astropy.table import Table
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import NDArray

    from dkist_virtual.conversion.asdf.frames import Frames
    from dkist_virtual.conversion.asdf.source import Source
    from dkist_virtual.store.format.dataset_asdf import TileMeta

__all__ = [
    "References", "check_form", "file_columns", "frame_urls", "identifiers", "n_bytes_of",
    "references_of", "write_references",
]  # fmt: skip

References: TypeAlias = Literal["auto", "json", "parquet"]

JSON_LIMIT: Final = 5_000
"""Above this many frames, ``references="auto"`` writes parquet."""

_MARKS = ("%", "?", "#")
"""Characters that a URL has to percent-encode in a name; first the one that encodes."""


def frame_urls(names: Names, base: str) -> Names:
    """Give the URLs of frames under a base, by their relative names; empty where there is none."""
    check_places(base, names)
    location = Location.of(base)
    if location.is_web:
        for mark in _MARKS:
            names = np.strings.replace(names, mark, quote(mark))
    head = str(replace(location, query="").without_end_slash()).rstrip("/")
    query = f"?{location.query}" if location.query else ""
    urls: Names = np.strings.add(np.strings.add(f"{head}/", names), query)
    urls[names == ""] = ""
    return urls


def references_of(
    source: Source, base: str, scans: Sequence[FrameIndex] | None = None
) -> ReferenceSet:
    """Make the reference set of a dataset, from its ASDF and what a scan found.

    Its ``store_id`` is the same with and without a scan.

    Parameters
    ----------
    source : Source
    base : str
        Directory or URL that the frames' names are relative to.
    scans : sequence of FrameIndex, optional
        One for each array; None where nothing was scanned.

    Raises
    ------
    DatasetError
        Frames of different files would have one name.
    """
    check_names(source.frames, source.path)
    shared = None if source.inversion is None else _SharedDimensions(source.inversion.groups.names)
    if scans is None:
        scans = [FrameIndex.unknown(part.n_frames) for part in source.frames]
    arrays: dict[str, tuple[ArrayMetadata, FrameTable]] = {}
    row = 0
    for part, tile, found in zip(source.frames, source.description.tiles, scans, strict=True):
        rows = slice(row, row + part.n_frames)
        row = rows.stop
        metadata = _metadata(part, tile, found, source.headers, rows, shared)
        if source.inversion is not None:
            metadata.attributes["key"] = source.inversion.keys[array_name(part.index)]
        arrays[array_name(part.index)] = (metadata, _columns(part, base, found, metadata))
    grid = source.description.grid
    present = [list(part.index) for part in source.frames if part.index is not None]
    references = ReferenceSet({}, arrays)
    known = all(scan.found.all() for scan in scans)
    attributes: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "store_id": references.store_id(identity_in(source.description.inventory)),
        "base": base,
        "tiles": None if grid is None else {"shape": list(grid), "present": present},
        "n_frames": row,
        # In Python's integers, which have no end.
        "n_bytes": n_bytes_of(source, scans) if known else None,
        "head_bytes": max((s.head_bytes or 0 for s in scans), default=0) or None,
    }
    if source.inversion is not None:
        attributes["inversion"] = source.inversion.groups.to_json()
    identity = identity_of(attributes, str(attributes["store_id"]))
    return ReferenceSet(attributes, arrays, identity)


def n_bytes_of(source: Source, scans: Sequence[FrameIndex]) -> int:
    """Add the lengths of the files that were found; one of several frames counts once."""
    if source.inversion is None:
        return sum(sum(s["size"][s["size"] >= 0].tolist()) for s in scans)
    sizes: dict[str, int] = {}
    for part, found in zip(source.frames, scans, strict=True):
        sizes.update(zip(part.chunk_names.tolist(), found["size"].tolist(), strict=True))
    return sum(size for size in sizes.values() if size >= 0)


def check_form(references: str) -> None:
    """Raise ValueError for anything else than a form in which references are written."""
    if references not in ("auto", "json", "parquet"):
        raise ValueError(f"references = {references!r}: expected 'auto', 'json' or 'parquet'")


def write_references(references: ReferenceSet, directory: Path, form: References) -> None:
    """Write references as JSON or Parquet into the directory of a store."""
    n_frames = sum(metadata.n_frames for metadata, _ in references.arrays.values())
    if form == "json" or (form == "auto" and n_frames <= JSON_LIMIT):
        (directory / JSON_NAME).write_bytes(write_json(references))
        return

    def write(name: str, data: bytes) -> None:
        path = directory / PARQUET_NAME / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    write_parquet(references, write)


def file_columns(
    references: ReferenceSet, rows: NDArray[np.void]
) -> dict[str, NDArray[Any] | None]:
    """Make the columns of a header table about the files of all frames.

    Parameters
    ----------
    references : ReferenceSet
    rows : structured ndarray, shape (n,)
        What a scan recorded, as in `FrameIndex`.
    """
    ours: dict[str, NDArray[Any] | None] = {
        f"_{name}": rows[name] if name == "etag" else np.ma.masked_less(rows[name], 0)
        for name in COLUMNS
    }
    tables = [frames.take(np.arange(len(frames))) for _, frames in references.arrays.values()]
    ours["_url"] = np.concatenate([part.urls for part in tables])
    return ours


class _SharedDimensions:
    """Name the dimensions of an inversion's arrays for xarray: those of one length are shared.

    Parameters
    ----------
    arrays : sequence of str
        Names of arrays, which no dimension may have: xarray takes such an array for its
        coordinates.
    """

    def __init__(self, arrays: Sequence[str]) -> None:
        self._arrays = frozenset(arrays)
        self._lengths: dict[str, int] = {}

    def names(self, own: Sequence[str], shape: Sequence[int]) -> list[str]:
        """Name the dimensions of an array by its own identifiers."""
        chosen: list[str] = []
        for name, length in zip(own, shape, strict=True):
            stem = f"axis_{name}" if name in self._arrays else name
            candidate, n = stem, 2
            while (
                candidate in self._arrays
                or candidate in chosen
                or self._lengths.get(candidate, length) != length
            ):
                candidate, n = f"{stem}_{n}", n + 1
            self._lengths[candidate] = length
            chosen.append(candidate)
        return chosen


def _metadata(
    part: Frames,
    tile: TileMeta,
    found: FrameIndex,
    headers: Table,
    rows: slice,
    shared: _SharedDimensions | None,
) -> ArrayMetadata:
    n_frame_axes = part.names.ndim
    chunks = (1,) * n_frame_axes + part.shape[n_frame_axes:]
    if not part.shape:
        raise DatasetError(f"frames of shape {part.hdu_shape} do not make an array")
    names = _axis_names(tile.wcs, len(part.shape), part.subslice)
    dimensions = identifiers(names, part.index)
    attributes: dict[str, Any] = {
        "_ARRAY_DIMENSIONS": dimensions if shared is None else shared.names(dimensions, part.shape),
        "axis_names": names,
        "unit": None if tile.unit is None else tile.unit.to_string(),
    }
    if part.subslice is not None:
        attributes["subslice"] = [
            [s.start, s.stop, s.step] if isinstance(s, slice) else int(s) for s in part.subslice
        ]
    pixel = found.dtype
    if pixel is None:
        numbers = np.arange(rows.start, rows.stop)
        pixel = _unscanned_dtype(part, rows_of(headers, numbers) if len(headers) else headers)
    # An array needs no codec where every frame that has a name was found, and is plain.
    elif found.is_verbatim and (found.found | (part.chunk_names == "")).all():
        return ArrayMetadata(part.shape, chunks, pixel.newbyteorder(">").str, None, attributes)
    dtype = pixel.newbyteorder("<").str
    spec = FrameSpec(part.target, dtype, part.hdu_shape)
    return ArrayMetadata(part.shape, chunks, dtype, spec, attributes)


def _unscanned_dtype(part: Frames, headers: Table) -> np.dtype:
    """Give the type of pixels that were not scanned: the ASDF's, scaled as the headers say."""
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
    others = pairs[(pairs != pairs[0]).any(axis=1)]
    kinds = np.unique(np.concatenate([pairs[:1], others]), axis=0)
    types = {pixel_dtype(bitpix, bscale, bzero, None) for bscale, bzero in kinds}
    if len(types) != 1:
        raise DatasetError(
            "BSCALE and BZERO in the ASDF's header table differ between frames and make pixels "
            f"of {', '.join(sorted(map(str, types)))}: expected one type"
        )
    return types.pop()


def _columns(part: Frames, base: str, found: FrameIndex, metadata: ArrayMetadata) -> FrameColumns:
    columns = FrameColumns.absent(part.n_frames)
    columns.urls[:] = frame_urls(part.chunk_names, base)
    if metadata.compressor is None:
        n_bytes = math.prod(part.hdu_shape) * np.dtype(metadata.dtype).itemsize
        columns.offsets[:] = found["data"]
        columns.lengths[:] = np.where(found["data"] < 0, -1, n_bytes)
    else:
        columns.offsets[:], columns.lengths[:] = found["offset"], found["length"]
    return columns


def _axis_names(
    wcs: BaseHighLevelWCS, ndim: int, subslice: tuple[int | slice, ...] | None
) -> list[str]:
    """Name the WCS's pixel axes, in array order; ``axis_{n}`` where they have no name."""
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


def identifiers(names: Sequence[str], index: Place) -> list[str]:
    """Make names unique identifiers, with a suffix for a mosaic's tile as its array has."""
    suffix = f"_{index[0]}_{index[1]}" if isinstance(index, tuple) else ""
    unique: list[str] = []
    for name in names:
        stem = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "axis"
        stem = f"axis_{stem}" if stem[0].isdigit() else stem
        candidate, n = stem, 2
        while candidate + suffix in unique:
            candidate, n = f"{stem}_{n}", n + 1
        unique.append(candidate + suffix)
    return unique
