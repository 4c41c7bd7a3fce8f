"""Say what belongs to a dataset beside its pixels, as the tree of an ASDF, and read it."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.dataset.save.nodes import check_meta, plain_table, without_headers
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, redacted
from dkist_virtual.text import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.save.files.pixels import FileHandle

__all__ = [
    "KNOWN", "beside", "check_version", "from_bytes", "make_dataset", "to_bytes", "uncertainty_of",
]  # fmt: skip

KNOWN: Final = 1
"""The version of the tree."""


def beside(ds: Dataset, what: str, *, headers: bool = False) -> dict[str, Any]:
    """Make the tree of all that belongs to a dataset beside pixels, mask and uncertainty.

    Parameters
    ----------
    ds : Dataset
    what : str
        The form, for the warning about what is left behind.
    headers : bool
        Whether the header table is in the tree.

    Raises
    ------
    DatasetError
        Something that ASDF cannot write.
    """
    from dkist_virtual.cube.sliced_wcs import published_wcs
    from dkist_virtual.dataset.save.cube.beside import applied_to

    meta = check_meta(without_headers(ds.meta))
    computed = ds.lineage.is_computed
    tree = {
        "version": KNOWN,
        "wcs": published_wcs(ds.wcs),
        "unit": None if ds.unit is None else ds.unit.to_string(),
        "meta": meta,
        "own_meta": sorted(set(meta) - ds.lineage.opened_with),
        "computed_from": redacted(ds.lineage.source) if computed else None,
        "past": ds.lineage.past,
        "computed_with": list(ds.lineage.columns),
        "frames": _frames(ds),
        "origin": {} if ds.provenance is None else ds.provenance.description.origin,
        "added_headers": [] if ds.provenance is None else ds.meta.headers.added_keywords(),
        "pointing": list(applied_to(ds)) or None,
        "psf": None if ds.psf is None else np.asarray(ds.psf),
        "uncertainty": _spread(ds),
        "coordinates": _coordinates(ds, what),
    }
    if headers:
        tree["headers"] = None if ds.headers is None else plain_table(ds.headers)
    return tree


def _coordinates(ds: Dataset, what: str) -> dict[str, Any]:
    """Say which coordinates a user added; warn of those that ASDF cannot write."""
    import asdf

    from dkist_virtual.store.format.dataset_asdf import ignore_expected_warnings

    found: dict[str, Any] = {}
    left = []
    # By ndcube's private names: its public ones also give those of the WCS.
    if own := ds.global_coords._internal_coords:
        found["global_coords"] = [[str(name), str(k), v] for name, (k, v) in own.items()]
        try:
            with ignore_expected_warnings():
                asdf.AsdfFile(found).write_to(io.BytesIO())
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  # each package has errors of its own
            found, left = {}, ["global_coords"]
    if ds.extra_coords.keys() or ds.extra_coords._dropped_tables:
        left.append("extra_coords")
    if left:
        warnings.warn(
            f"save: {' and '.join(left)} of the dataset: {what} has no place for it, and the saved "
            "dataset has none",
            DKISTVirtualWarning,
            stacklevel=3,
        )
    return found


def _add(made: Dataset, coordinates: Mapping[str, Any]) -> None:
    """Add the coordinates that a user had added."""
    # By ndcube's private names: its public ones check again what the dataset had.
    for name, kind, value in coordinates.get("global_coords", ()):
        made._global_coords._internal_coords[str(name)] = (str(kind), value)


def _frames(ds: Dataset) -> str | None:
    """Write the references to the frames of the pixels; None where a pixel is not of one frame."""
    from dkist_virtual.dataset.save.cube.beside import selected_frames
    from dkist_virtual.store.format.references import FORMAT_VERSION, ReferenceSet, write_json

    source = ds.provenance
    if source is None:
        return None
    metadata, columns = selected_frames(source)
    stated = source.array.handle.store.references.attributes
    attributes = {
        "format_version": FORMAT_VERSION,
        "store_id": stated["store_id"],
        "base": source.array.places.in_order[0],
        "n_frames": metadata.n_frames,
    }
    references = ReferenceSet(attributes, {"data": (metadata, columns)})
    return write_json(references).decode()


def _spread(ds: Dataset) -> dict[str, Any] | None:
    if ds.uncertainty is None:
        return None
    unit = ds.uncertainty.unit
    return {
        "type": type(ds.uncertainty).__name__,
        "unit": None if unit is None else unit.to_string(),
    }


def to_bytes(tree: Mapping[str, Any]) -> bytes:
    """Write a tree as an ASDF.

    Raises
    ------
    DatasetError
        The WCS cannot be written.
    """
    import asdf

    from dkist_virtual.store.format.dataset_asdf import ignore_expected_warnings

    file = io.BytesIO()
    try:
        with ignore_expected_warnings():
            asdf.AsdfFile(dict(tree)).write_to(file)
    except MemoryError:
        raise
    except Exception as error:  # each package has errors of its own
        raise DatasetError(f"save: the WCS cannot be written to ASDF: {shorten(error)}") from error
    return file.getvalue()


def from_bytes(data: bytes, name: str) -> dict[str, Any]:
    """Read a tree that `to_bytes` wrote, all of it."""
    import asdf

    from dkist_virtual.store.format.dataset_asdf import ignore_expected_warnings

    with ignore_expected_warnings(), asdf.open(io.BytesIO(data), lazy_load=False) as file:
        tree = dict(file.tree)
    check_version(tree, name)
    return tree


def check_version(tree: Mapping[str, Any], name: str) -> None:
    """Refuse a tree of another version."""
    if tree.get("version") != KNOWN:
        raise DatasetError(
            f"{name}: what belongs to the pixels is written in version {tree.get('version')!r}: "
            f"expected {KNOWN}. A newer version of this package wrote it: update this one"
        )


def make_dataset(
    handle: FileHandle, tree: Mapping[str, Any], *, mask: Any = None, headers: Any = None
) -> Dataset:
    """Make the dataset of a file and of what belongs to its pixels.

    Parameters
    ----------
    handle : FileHandle
        With the arrays ``data``, and, where there are such, ``mask`` and ``uncertainty``.
    tree : mapping
        Of `beside`.
    mask : array, optional
        Where it is in memory.
    headers : astropy.table.Table, optional
        A row for each frame.
    """
    import astropy.units as u

    from dkist_virtual.cube.selection import Selection
    from dkist_virtual.cube.sliced_wcs import UnslicedWCS
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.provenance import Provenance, Tile
    from dkist_virtual.store.format.dataset_asdf import Description, TileMeta
    from dkist_virtual.store.format.header_table import HeaderTable

    meta = dict(tree["meta"])
    inventory, history = meta.pop("inventory", None), meta.pop("history", None)
    unit = None if tree["unit"] is None else u.Unit(tree["unit"])
    shape = handle.array("data").shape
    table = None if headers is None else HeaderTable(headers, copy=False)
    about = TileMeta(None, tree["wcs"], unit, None, {})
    tile = Tile(
        Description(None, (about,), inventory, meta, history or {}, dict(tree["origin"])),
        0,
        shape,
        added_meta=frozenset(tree["own_meta"]),
        added_keywords=frozenset(tree["added_headers"]),
        applied=tuple(map(dict, tree["pointing"] or ())),  # which the WCS has already
    )
    source, frame_axes = None, None
    if tree["frames"] is not None and table is not None:
        array = _frame_array(tree["frames"], handle)
        if array.shape == shape and array.metadata.n_frames == len(table):
            frame_axes = len(array.frame_shape)
            source = Provenance(array, table, 0, tile, Selection.whole(shape))
    given: dict[str, Any] = {**meta, "inventory": inventory}
    if history is not None:
        given["history"] = history
    if source is None and table is not None:
        given["headers"] = table
    names = [name for name, _ in handle.regions]
    if mask is None and "mask" in names:
        mask = handle.select("mask", frame_axes).dask()
    made = Dataset(
        handle.select("data", frame_axes),
        UnslicedWCS(tile),
        provenance=source,
        unit=unit,
        mask=mask,
        meta=given,
        psf=tree["psf"],
    )
    made._past, made._opened_with = tree["past"], tile
    made._columns = tuple(tree.get("computed_with", ()))
    _add(made, tree["coordinates"])
    if (said := tree["uncertainty"]) is not None and "uncertainty" in names:
        made.uncertainty = uncertainty_of(said, handle.select("uncertainty", frame_axes).dask())
    if source is None and made._past is None:
        made._past = tree["computed_from"]
    return made


def uncertainty_of(said: Mapping[str, Any], values: Any) -> Any:
    """Make an uncertainty of its numbers and of what a tree says of it."""
    import astropy.nddata
    import astropy.units as u

    kind = getattr(astropy.nddata, said["type"], astropy.nddata.UnknownUncertainty)
    return kind(values, unit=None if said["unit"] is None else u.Unit(said["unit"]), copy=False)


def _frame_array(text: str, handle: FileHandle) -> VirtualArray:
    """Make the array of the frames that the pixels are from, of which none is read."""
    from dkist_virtual.cube.virtual_array import VirtualArray, opened_selection
    from dkist_virtual.store.format.references import read_json
    from dkist_virtual.store.handle import StoreHandle

    references = read_json(text.encode(), handle.place)
    frames = StoreHandle(None, references)
    return VirtualArray(frames, "data", opened_selection(references.arrays["data"][0]))
