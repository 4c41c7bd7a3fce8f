"""Make the nodes of datasets, mosaics, tables and files for the tree of an ASDF.

They have the tags of dkist's own classes, in the newest form that the installed dkist knows, so
that an ASDF of them is read with dkist alone.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.sliced_wcs import published_wcs
from dkist_virtual.dataset.save.frame_list import frame_list, frame_list_of_files
from dkist_virtual.dataset.wavelengths.calibrate import APPLIED_SCALE
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.text import shorten

if TYPE_CHECKING:
    from asdf.extension import ExtensionManager
    from asdf.tagged import TaggedDict
    from astropy.table import Table
    from numpy.typing import NDArray

    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.files import Files
    from dkist_virtual.dataset.mosaic import TiledDataset

__all__ = [
    "check_meta", "dataset_node", "files_node", "left_behind", "mosaic_node", "of_member",
    "plain_meta", "plain_table", "tagged",
]  # fmt: skip

_PLAIN: Final = (str, int, float, bool, type(None))


def dataset_node(ds: Dataset, manager: ExtensionManager, *, history: bool = True) -> TaggedDict:
    """Make the node of a dataset.

    Parameters
    ----------
    ds : Dataset
    manager : asdf.extension.ExtensionManager
        Of the file that it is for.
    history : bool
        Whether to put the dataset's history into the meta: not where it is the file's own.

    Raises
    ------
    DatasetError
        The pixels are computed, or something that belongs to the dataset cannot be written.
    """
    import dkist

    meta = check_meta(_meta_of(ds.meta, history=history))
    headers = ds.headers
    meta["headers"] = plain_table(headers) if headers is not None else _no_table()
    return tagged(_parts(ds, meta), dkist.Dataset, manager)


def mosaic_node(
    mosaic: TiledDataset, manager: ExtensionManager, *, history: bool = True
) -> TaggedDict:
    """Make the node of a mosaic, with one header table for all tiles.

    Parameters and errors are those of `dataset_node`.
    """
    import dkist

    meta = check_meta(_meta_of(mosaic.meta, history=history))
    headers = mosaic.combined_headers
    meta["headers"] = plain_table(headers) if headers is not None else _no_table()
    tiles = np.full(mosaic.shape, None, object)
    mask = np.array(mosaic.mask, bool)
    first = 0
    for place in map(tuple, np.argwhere(~mask).tolist()):
        tile = mosaic[place]
        with of_member(f"tile {list(place)}"):
            n = 0 if headers is None else len(tile.headers)
            own = check_meta(_meta_of(tile.meta, history=False, shared=mosaic.meta))
            own["headers"] = {"offset": first, "size": n}
            tiles[place] = tagged(_parts(tile, own), dkist.Dataset, manager)
        first += n
    node = {"datasets": tiles.tolist(), "meta": meta, "mask": mask}
    return tagged(node, dkist.TiledDataset, manager)


def files_node(files: Files) -> Any:
    """Make dkist's file manager of some files."""
    return frame_list_of_files(files).to_dkist()


def plain_table(table: Table) -> Table:
    """Copy a header table to astropy's own class, and its columns."""
    from astropy.table import Column, MaskedColumn, Table

    columns = {}
    for name, column in table.columns.items():
        if column.dtype.kind == "O":
            raise DatasetError(
                f"save: headers[{name!r}] is a column of Python objects, which ASDF cannot write: "
                f"expected numbers or text, as in ds.headers[{name!r}] = "
                f"list(map(str, ds.headers[{name!r}]))"
            )
        if isinstance(column, MaskedColumn):
            column = MaskedColumn(column, copy=True)
        elif isinstance(column, Column):
            column = Column(column, copy=True)  # a view would be written with all of its base
        columns[name] = column
    return Table(columns, meta=dict(table.meta), copy=False)


def plain_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the meta of a dataset to a dict, headers included."""
    return {key: plain_table(value) if key == "headers" and value is not None else value
            for key, value in meta.items()}  # fmt: skip


def without_headers(meta: Any) -> dict[str, Any]:
    """Copy a meta to a dict, without its headers, which are not read for it."""
    plain = meta.without_headers() if hasattr(meta, "without_headers") else meta or {}
    return {key: value for key, value in plain.items() if key != "headers"}


def without_shared(meta: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of the meta of a tile what is that of its mosaic."""
    return {
        key: value for key, value in meta.items() if key not in shared or shared[key] is not value
    }


def whole_mask(mask: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Compute a mask as an array of a shape."""
    return np.array(np.broadcast_to(np.asarray(mask, bool), shape))


def _no_table() -> Table:
    from astropy.table import Table

    return Table()


def tagged(node: dict[str, Any], of: type, manager: ExtensionManager) -> TaggedDict:
    """Tag a node as one of a class of dkist's, in the newest form that dkist writes."""
    from asdf.tagged import TaggedDict

    converter = manager.get_converter_for_type(of)
    return TaggedDict(node, converter.select_tag(None, manager))


def _meta_of(
    meta: Any, *, history: bool, shared: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Copy a meta without its headers; of a tile's, what is not that of the mosaic."""
    plain = without_headers(meta)
    if shared is not None:
        plain = without_shared(plain, shared)
        plain.setdefault("inventory", shared.get("inventory"))
    if not history or not plain.get("history"):
        plain.pop("history", None)
    if plain.get("inventory") is None:
        plain["inventory"] = {}  # dkist's form requires one
    return plain


def _parts(ds: Dataset, meta: dict[str, Any]) -> dict[str, Any]:
    """Make the node of a dataset with some meta."""
    from dkist_virtual.cube.virtual_array import VirtualArray

    pixels = ds.pixels
    if not isinstance(pixels, VirtualArray) or ds.provenance is None:
        raise DatasetError(
            f"save: the pixels are computed from {ds.lineage.source}, and an ASDF of dkist names "
            "files of pixels. Save the dataset that they are computed from, and compute again; or "
            'write the pixels: ds.to_xarray().to_dataset(name="data").to_zarr(PATH, zarr_format=2)'
        )
    _warn_of_what_is_left(ds)
    if ds.pointing is not None:  # which the WCS has already
        meta = {**meta, "applied_pointing": ds.pointing.to_document()}
    if ds.wavelength_scale is not None:
        meta = {**meta, APPLIED_SCALE: ds.wavelength_scale.about()}
    node = {
        "meta": meta,
        "wcs": published_wcs(ds.wcs),
        "data": frame_list(pixels).to_dkist(),
        "unit": _unit_of(ds),
    }
    if ds.mask is not None:
        node["mask"] = whole_mask(ds.mask, ds.shape)
    return node


def _unit_of(ds: Dataset) -> Any:
    if ds.unit is None:
        raise DatasetError(
            "save: the dataset has no unit, and dkist's form requires one: dv.Dataset(ds, "
            'unit="ct") is the same dataset with a unit'
        )
    return ds.unit


def left_behind(ds: Dataset) -> list[str]:
    """Name the state of a dataset for which neither dkist's form nor a store has a place."""
    left = []
    if ds.uncertainty is not None:
        left.append("uncertainty")
    if ds.psf is not None:
        left.append("psf")
    if ds.global_coords._internal_coords:
        left.append("global_coords")
    if ds.extra_coords.keys() or ds.extra_coords._dropped_tables:
        left.append("extra_coords")
    return left


def _warn_of_what_is_left(ds: Dataset) -> None:
    """Warn of state that dkist's form has no place for."""
    if left := left_behind(ds):
        warnings.warn(
            f"save: {' and '.join(left)} of the dataset: dkist's form has no place for it, and the "
            "saved dataset has none. ds.to_xarray() keeps all but a psf",
            DKISTVirtualWarning,
            stacklevel=2,
        )


def check_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """Refuse keys and values that ASDF cannot write, by the key."""
    import asdf

    for key, value in meta.items():
        if isinstance(key, str) and _is_plain(value):
            continue
        try:
            asdf.AsdfFile({"meta": {key: value}}).write_to(io.BytesIO())
        except MemoryError:
            raise
        except Exception as error:  # each package has errors of its own
            raise DatasetError(
                f"save: meta[{key!r}], a {type(value).__name__}, cannot be written to ASDF: "
                f"{shorten(error)}. Replace it by text or numbers, or take it out: "
                f"del ds.meta[{key!r}]"
            ) from error
    return meta


def _is_plain(value: object, depth: int = 100) -> bool:
    if isinstance(value, Mapping):
        of_text = all(isinstance(key, str) for key in value)
        return depth > 0 and of_text and all(_is_plain(one, depth - 1) for one in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return depth > 0 and all(_is_plain(one, depth - 1) for one in value)
    return type(value) in _PLAIN


@contextmanager
def of_member(name: str) -> Iterator[None]:
    """Name the member of a mosaic or collection in errors."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{name}: {error}") from error
