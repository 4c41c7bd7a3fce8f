"""Write what a cube has beside its pixels: WCS, headers, and where they come from."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from astropy.table import Table

from dkist_virtual.cube.sliced_wcs import published_wcs, slice_wcs
from dkist_virtual.dataset.derived.state import own_meta
from dkist_virtual.dataset.save.cube.sources import operations_of
from dkist_virtual.dataset.save.nodes import check_meta, without_shared
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, HeaderWarning
from dkist_virtual.store.cubes.cube_document import (
    ADDED_NAME,
    FRAMES_NAME,
    LINEAGE_NAME,
    CubeArray,
    CubeDocument,
    CubePart,
    Spread,
)
from dkist_virtual.store.cubes.presence import ROOT_NAME
from dkist_virtual.store.format.dataset_asdf import (
    METADATA_NAME,
    Description,
    TileMeta,
    ignore_expected_warnings,
    software,
    write_description,
)
from dkist_virtual.store.format.frame_index import COLUMNS
from dkist_virtual.store.format.header_table import HeaderTable, StackedColumns
from dkist_virtual.store.format.headers import HEADERS_NAME, write_headers
from dkist_virtual.store.format.names import Place, identity_in
from dkist_virtual.store.format.references import (
    FORMAT_VERSION,
    ArrayMetadata,
    FrameColumns,
    ReferenceSet,
    write_json,
)
from dkist_virtual.text import shorten, utc_now

if TYPE_CHECKING:
    from pathlib import Path

    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import NDArray

    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.derived.lineage import Part
    from dkist_virtual.dataset.provenance import FrameHeaders, Provenance

__all__ = [
    "MOST_PARTS",
    "Tile",
    "applied_to",
    "describe",
    "record_of",
    "selected_frames",
    "write_beside",
    "write_root",
]

MOST_PARTS: Final = 64
"""Datasets that are described, of all that were combined into one array."""

_OUTSIDE: Final = ("headers", "inventory", "history")
"""Keys of the meta that have a place of their own."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A dataset that is to be saved, and its place in the grid of a mosaic.

    Parameters
    ----------
    index : Place
    ds : Dataset
    parts : tuple of (str, Part)
        The other datasets that were combined into it, with a name for each.
    """

    index: Place
    ds: Dataset
    parts: tuple[tuple[str, Part], ...] = ()
    array: CubeArray = field(default_factory=CubeArray)


def describe(tiles: Sequence[tuple[Place, Dataset]]) -> list[Tile]:
    """Say of each dataset what its cube has, and what it was computed from."""
    described = []
    n = 0
    for index, ds in tiles:
        others = ds.lineage.parts[1:]
        if len(others) > MOST_PARTS:
            warnings.warn(
                f"save: {len(others) + 1} datasets were combined: the cube knows what the first "
                f"{MOST_PARTS + 1} of them have in common, and nothing of the others",
                DKISTVirtualWarning,
                stacklevel=6,
            )
            others = others[:MOST_PARTS]
        parts = tuple((f"part_{n + i}", part) for i, part in enumerate(others))
        n += len(parts)
        described.append(Tile(index, ds, parts, _array(index, ds, parts)))
    return described


def _array(index: Place, ds: Dataset, parts: Sequence[tuple[str, Part]]) -> CubeArray:
    lineage, origin = ds.lineage, ds.provenance
    mask = ds._masked
    plain = mask is None or isinstance(mask, bool)
    table = ds.headers if origin is None else None
    added = () if origin is None else ds.meta.headers.added_keywords()
    return CubeArray(
        index=index,
        source=lineage.source,
        past=lineage.past,
        is_copy=lineage.is_stored,
        operations=operations_of(ds.pixels),
        frame_axes=None if origin is None else len(origin.array.frame_shape),
        header_rows=0 if table is None else len(table),
        mask=bool(mask) if plain and mask is not None else None,
        mask_array=not plain,
        uncertainty=_spread(ds),
        parts=tuple(
            CubePart(name, _unit_text(part.unit), part.headers is not None) for name, part in parts
        ),
        added_meta=tuple(map(str, own_meta(ds))),
        added_keywords=tuple(added),
        pointing=applied_to(ds),
        columns=lineage.columns,
    )


def applied_to(ds: Dataset) -> tuple[dict[str, Any], ...]:
    """Return the corrections of the pointing that the WCS has in it, the first one first."""
    before: tuple[dict[str, Any], ...] = getattr(ds._opened_with, "applied", ())
    now = ds.pointing
    return before if now is None else (*before, now.to_document())


def _spread(ds: Dataset) -> Spread | None:
    own = ds.uncertainty
    if own is None:
        return None
    try:
        return Spread(own.uncertainty_type, _unit_text(own.unit))
    except ValueError:
        raise DatasetError(
            f"save: the uncertainty is a {type(own).__name__} of type {own.uncertainty_type!r}: "
            "expected one of astropy's. ds.uncertainty = UnknownUncertainty(array) keeps its values"
        ) from None


def _unit_text(unit: Any) -> str | None:
    return None if unit is None else str(unit.to_string())


# The files --------------------------------------------------------------------------------------


def write_beside(
    directory: Path, tiles: Sequence[Tile], document: CubeDocument, about: Mapping[str, Any]
) -> None:
    """Write all files of a cube but its pixels and its root.

    Parameters
    ----------
    directory : pathlib.Path
    tiles : sequence of Tile
    document : CubeDocument
    about : dict
        The meta of the dataset or mosaic.
    """
    description = _description(tiles, document.grid, about)
    _write_asdf(description, directory / METADATA_NAME)
    parts = [pair for tile in tiles for pair in tile.parts]
    if parts:
        meta = [TileMeta(name, _part_wcs(part), part.unit, None, {}) for name, part in parts]
        origin = _origin(tiles[0].ds)
        _write_asdf(Description(None, tuple(meta), None, {}, {}, origin), directory / LINEAGE_NAME)
    sources = _frame_sources(tiles)
    references = _references(sources, document)
    if references is not None:
        (directory / FRAMES_NAME).write_bytes(write_json(references))
    _write_headers(directory / HEADERS_NAME, tiles, sources, document)
    _write_added(directory / ADDED_NAME, tiles)


def _description(
    tiles: Sequence[Tile], grid: tuple[int, int] | None, about: Mapping[str, Any]
) -> Description:
    shared = _plain(about)
    described = []
    for tile in tiles:
        own: dict[str, Any] = {}
        if grid is not None:
            own = without_shared(_plain(tile.ds.meta), shared)
            if (record := tile.ds.inventory) is not about.get("inventory"):
                own["inventory"] = record
        described.append(
            TileMeta(tile.index, published_wcs(tile.ds.wcs), tile.ds.unit, None, check_meta(own))
        )
    return Description(
        grid=grid,
        tiles=tuple(described),
        inventory=about.get("inventory"),
        meta=check_meta(shared),
        history=dict(about.get("history") or {}),
        origin=_origin(tiles[0].ds),
    )


def _plain(meta: Any) -> dict[str, Any]:
    return {key: meta[key] for key in meta if key not in _OUTSIDE}


def _origin(ds: Dataset) -> dict[str, Any]:
    """Say which ASDF the frames are described by, and who wrote this."""
    known: dict[str, Any] = {"asdf": "?", "created": None, "version": None}
    if ds.provenance is not None:
        known |= ds.provenance.description.origin
    return {**known, "read_by": software(), "date": utc_now()}


def _part_wcs(part: Part) -> BaseHighLevelWCS:
    return published_wcs(slice_wcs(part.wcs, part.cut))


def _write_asdf(description: Description, path: Path) -> None:
    try:
        write_description(description, path)
    except (OSError, MemoryError, DatasetError):
        raise
    except Exception as error:  # each package that writes a part of it has errors of its own
        raise DatasetError(
            f"save: the coordinates or the meta cannot be written to ASDF: {shorten(error)}"
        ) from error


# Frames and headers -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Source:
    """The frames of an array, or of a dataset that was combined into it."""

    name: str
    headers: FrameHeaders

    @property
    def provenance(self) -> Provenance:
        return self.headers.provenance


def _frame_sources(tiles: Sequence[Tile]) -> list[_Source]:
    """List the frames of all arrays, and then those of all that was combined into them."""
    own = [
        _Source(tile.array.name, tile.ds.meta.headers)
        for tile in tiles
        if tile.ds.provenance is not None
    ]
    others = [
        _Source(name, part.headers)
        for tile in tiles
        for name, part in tile.parts
        if part.headers is not None
    ]
    return own + others


def _references(sources: Sequence[_Source], document: CubeDocument) -> ReferenceSet | None:
    """Make the references to the frames of a selection, which keep their order."""
    if not sources:
        return None
    arrays = {source.name: selected_frames(source.provenance) for source in sources}
    places = sources[0].provenance.array.places.in_order
    attributes = {
        "format_version": FORMAT_VERSION,
        "store_id": document.cube_id,
        "base": places[0],
        "arrays": list(arrays),
        "n_frames": sum(metadata.n_frames for metadata, _ in arrays.values()),
    }
    return ReferenceSet(attributes, arrays)  # type: ignore[arg-type]  # columns are a table


def selected_frames(source: Provenance) -> tuple[ArrayMetadata, FrameColumns]:
    """Describe the frames of a selection, as an array of their own."""
    array, metadata = source.array, source.array.metadata
    n = metadata.n_frame_axes
    axes = array.selection.axes
    kept = [axis for axis, pixels in enumerate(axes[:n]) if isinstance(pixels, range)]
    shape = tuple(len(axes[axis]) for axis in kept) + metadata.shape[n:]  # type: ignore[arg-type]
    cut = [[None, None, None] for _ in kept] + [
        pixels if isinstance(pixels, int) else [pixels.start, pixels[-1] + 1, pixels.step]
        for pixels in axes[n:]
    ]
    names = [*kept, *range(n, len(axes))]
    attributes = {
        key: [stated[axis] for axis in names] if isinstance(stated, list) else stated
        for key, stated in metadata.attributes.items()
        if key != "subslice"
    }
    about = ArrayMetadata(
        shape, metadata.chunks[:0] + (1,) * len(kept) + metadata.chunks[n:], metadata.dtype,
        metadata.compressor, {**attributes, "subslice": cut},
    )  # fmt: skip
    return about, array.frames()


def _write_headers(
    path: Path, tiles: Sequence[Tile], sources: Sequence[_Source], document: CubeDocument
) -> None:
    given: list[Any] = [tile.ds.headers for tile in tiles if tile.array.header_rows]
    tables: list[Any] = [source.headers.check() for source in sources] + given
    if not tables:
        return
    counts = [source.provenance.n_frames for source in sources]
    rest = sum(map(len, given))
    table = _stacked(tables, [*counts, *map(len, given)])
    scanned = {f"_{name}": _scan(sources, f"_{name}", rest) for name in COLUMNS if name != "etag"}
    urls = [source.provenance.array.frames().urls.astype(object) for source in sources]
    names = [np.full(n, source.name, object) for source, n in zip(sources, counts, strict=True)]
    nothing = np.full(rest, None, object)
    ours: dict[str, NDArray[Any] | None] = {
        **scanned, "_url": np.concatenate([*urls, nothing]),
        "_tile": np.concatenate([*names, nothing]),
    }  # fmt: skip
    changed = write_headers(path, table, ours, store_id=document.cube_id)
    if changed:
        warnings.warn(
            f"header columns of mixed types are stored as strings: {', '.join(changed)}",
            HeaderWarning,
            stacklevel=7,
        )


def _stacked(tables: Sequence[Any], counts: Sequence[int]) -> Any:
    """Stack header tables, each of which keeps its own columns."""
    if not any(table.colnames for table in tables):
        return Table()
    if len(tables) == 1:
        return tables[0]
    whole = [
        table
        if table.colnames
        else Table({"SIMPLE": np.ma.MaskedArray(np.zeros(n, bool), mask=True)})
        for table, n in zip(tables, counts, strict=True)
    ]
    return HeaderTable.of(StackedColumns(whole))


def _scan(sources: Sequence[_Source], column: str, rest: int) -> Any:
    found = [source.provenance.read_scan(column, source.provenance.rows()) for source in sources]
    return np.ma.masked_less(np.concatenate([*found, np.full(rest, -1, np.int64)]), 0)


# What a user added ------------------------------------------------------------------------------


def _write_added(path: Path, tiles: Sequence[Tile]) -> None:
    """Write the coordinates and the point spread function that a user set, where there are any."""
    import asdf

    added = [_added(tile.ds) for tile in tiles]
    if not any(added):
        return
    kept: list[dict[str, Any]] = []
    for one in added:
        kept.append({})
        for name, value in one.items():
            try:
                with ignore_expected_warnings():
                    asdf.AsdfFile({name: value}).write_to(io.BytesIO())
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001  # each package has errors of its own
                warnings.warn(
                    f"save: the {name} of the dataset cannot be written to ASDF, and the saved one "
                    f"has none: {shorten(error)}",
                    DKISTVirtualWarning,
                    stacklevel=7,
                )
            else:
                kept[-1][name] = value
    # A file, not its path: asdf takes a path for a URI, which ends at a "#".
    with ignore_expected_warnings(), open(path, "wb") as file:
        asdf.AsdfFile({"arrays": kept}).write_to(file)


def _added(ds: Dataset) -> dict[str, Any]:
    found: dict[str, Any] = {}
    # By ndcube's private names: its public ones also give those of the WCS.
    if own := ds.global_coords._internal_coords:
        found["global_coords"] = [[str(name), str(k), v] for name, (k, v) in own.items()]
    extra = ds.extra_coords
    if extra.keys() or extra._dropped_tables:
        # Its tables alone: ndcube would write the dataset that they are of, too.
        found["extra_coords"] = {
            "wcs": extra._wcs,
            "mapping": extra._mapping,
            "lookup_tables": [
                [np.ravel(axes).tolist(), table] for axes, table in extra._lookup_tables
            ],
            "dropped_tables": list(extra._dropped_tables),
        }
    if ds.psf is not None:
        found["psf"] = np.asarray(ds.psf)
    return found


# The root ---------------------------------------------------------------------------------------


def record_of(tiles: Sequence[Tile], about: Mapping[str, Any]) -> dict[str, Any]:
    """Say for people where the pixels come from, and what wrote them."""
    stores: list[str] = []
    ids: list[str] = []
    n_frames = 0
    for tile in tiles:
        for headers in (
            tile.ds.meta.headers if tile.ds.provenance is not None else None,
            *(part.headers for _, part in tile.parts),
        ):
            if headers is None:
                continue
            source = headers.provenance
            stores.append(source.array.handle.url or source.array.places.in_order[0])
            record = source.description.inventory
            ids.append(identity_in(record) or "?")
            n_frames += source.n_frames
    if not ids and (known := identity_in(about.get("inventory"))):
        ids.append(known)
    return {
        "written": utc_now(),
        "written_by": software(),
        "datasets": list(dict.fromkeys(ids)),
        "stores": list(dict.fromkeys(stores)),
        "n_frames": n_frames,
    }


def write_root(directory: Path, document: CubeDocument) -> None:
    """Write the root of the group last: without it there is no cube.

    The metadata of all arrays is repeated in it, as zarr does to consolidate, so that one file is
    enough to open it.
    """
    arrays = {
        name: json.loads((directory / name / ROOT_NAME).read_bytes())
        for array in document.arrays
        for name in array.array_names
    }
    root = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": document.to_json(),
        "consolidated_metadata": {
            "kind": "inline", "must_understand": False, "metadata": arrays,
        },
    }  # fmt: skip
    (directory / ROOT_NAME).write_text(json.dumps(root, indent=1), encoding="utf-8")
