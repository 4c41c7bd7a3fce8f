"""Open a path, URL, ASDF or ID as a dataset."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from dkist_virtual.conversion.asdf.locate import find_asdf
from dkist_virtual.datacenter.ids import is_id
from dkist_virtual.errors import FrameError, StoreCorruptError, StoreMissingError
from dkist_virtual.io.locations import Location, absolute, is_local, local_path, shown
from dkist_virtual.store.cubes.presence import (
    CUBE_SUFFIX,
    ROOT_NAME,
    is_cube,
    is_unfinished_cube,
)
from dkist_virtual.store.format.names import JSON_NAME, PARQUET_NAME, identity_in
from dkist_virtual.store.icechunk.address import full_address, repository_at
from dkist_virtual.store.kerchunk.presence import form_of
from dkist_virtual.store.presence import check_present

if TYPE_CHECKING:
    import zarr
    from astropy.table import Row

    from dkist_virtual.cube.selection import Index
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.level2.inversion import Inversion
    from dkist_virtual.dataset.loader import Opened
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.dataset.stored import StoredDataset
    from dkist_virtual.store.frame_locations import FramePlaces
    from dkist_virtual.store.handle import StoreHandle
    from dkist_virtual.store.read_options import (
        Chunks,
        Missing,
        ReadOptions,
        StorageOptions,
    )

__all__ = [
    "check_place", "dataset_of", "open_dataset", "open_frames", "open_stored",
    "open_with", "open_zarr", "select_alike", "store_directory",
]  # fmt: skip

OpenedDataset: TypeAlias = "Dataset | TiledDataset | Inversion"
AnyDataset: TypeAlias = "StoredDataset | OpenedDataset"


def open_dataset(
    store_or_asdf: str | os.PathLike[str] | Row,
    *,
    frames: FramePlaces = None,
    missing: Missing = "raise",
    chunks: Chunks = "auto",
    storage_options: StorageOptions | None = None,
    cache: str | os.PathLike[str] | None = None,
    allow_local: bool | None = None,
    verify: bool = False,
    catalogue: str | os.PathLike[str] | None = None,
) -> Dataset | TiledDataset | Inversion:
    """Open a dataset without reading a frame.

    Parameters
    ----------
    store_or_asdf : path or URL, ID, or row of what was found
        A store; or an ASDF, or a directory with one, which is opened without a store. A dataset in
        an Icechunk repository: its directory, or ``icechunk+file:///path``,
        ``icechunk+s3://bucket/prefix`` or ``icechunk+https://host/path``, with ``?branch=``,
        ``?tag=`` or ``?snapshot=`` behind it to choose a snapshot. A row that `search` found, a
        dataset ID, or a product ID for its newest dataset: the ASDF is downloaded from the Data
        Center, and converted to a store on this machine. A path of that name wins.
        Of a row that was found in a catalogue its store is opened.
    frames : path or URL, or a list of them, optional
        Where to read the frames instead of where the store says: of a list, the first place
        that has one, so that files on the disk are not downloaded.
    missing : {"raise", "nan"}
        Whether absent frames raise `FrameMissingError` when they are computed, or are read as NaN
        (integers as 0, with a warning).
    chunks : {"auto", "frame"} or anything that dask takes
        "frame" is one dask chunk a frame; "auto" joins neighbouring frames. Otherwise chunks of the
        whole array, a length for each axis, or a dict of those along some: by the number of the
        axis, negative ones from the end, or by its name, ``{"spatial_y": 64}``; the other axes are
        not split. A selection, and what is computed from it, keeps the length of each of its axes.
    storage_options : dict, optional
        A URL prefix, or a protocol, to fsspec's options for it: credentials under a prefix alone.
    cache : path, optional
        A directory on this machine that caches downloaded bytes, for the next session too.
    allow_local : bool, optional
        Whether the store may refer to files of this machine. By default only one that is on this
        machine may: a stranger's could name any of your files. `frames` are yours to name.
    verify : bool
        Whether to check the DATASUM of every frame that is read whole. If it differs,
        `FrameCorruptError` is raised.
    catalogue : path or URL, optional
        Where to look an ID up instead of asking the Data Center: a catalogue of stores, as
        `write_catalogue` wrote it. It is read with `storage_options`.

    Returns
    -------
    Dataset, TiledDataset or Inversion

    Raises
    ------
    StoreMissingError, StoreCorruptError
    DatasetError
        The ASDF has no dataset.
    SearchError
        The Data Center does not answer for an ID, or the catalogue cannot be read.
    RemovedError
        The dataset of that ID was withdrawn.

    Examples
    --------
    >>> ds = dv.open_dataset("BKEWK.virtual")  # doctest: +SKIP
    >>> ds[0, 50].data.compute()  # doctest: +SKIP
    """
    from dkist_virtual.store.read_options import ReadOptions

    options = ReadOptions(frames, missing, chunks, storage_options, cache, allow_local, verify)
    if catalogue is None:
        return open_with(store_or_asdf, options)
    from dkist_virtual.datacenter.published.find import found_in

    record = found_in(catalogue, store_or_asdf, storage_options)
    return open_with(record["Store"], options, dataset_id=record["datasetId"])


def open_with(
    store_or_asdf: str | os.PathLike[str] | Row,
    options: ReadOptions,
    *,
    any_version: bool = False,
    dataset_id: str | None = None,
) -> Dataset | TiledDataset:
    """Open a dataset with options that were checked; see `open_dataset` and `open_asdf`."""
    if (saved := _saved(store_or_asdf)) is not None:
        from dkist_virtual.dataset.save.files.opened import open_saved

        return open_saved(*saved, options)
    opened = _open(store_or_asdf, options, any_version=any_version)
    if (expected := dataset_id or _id_beside(store_or_asdf)) is not None:
        _check_id(opened, expected, shown(str(_path_of(store_or_asdf))))
    return dataset_of(opened)


def open_stored(
    store_or_asdf: str | os.PathLike[str],
    *,
    frames: FramePlaces = None,
    storage_options: StorageOptions | None = None,
    allow_local: bool | None = None,
) -> AnyDataset:
    """Open a dataset for its files and its overview: without its WCS, where a store has a summary.

    Parameters and errors are those of `open_dataset`.
    """
    from dkist_virtual.dataset.stored import StoredDataset
    from dkist_virtual.store.read_options import ReadOptions

    options = ReadOptions(frames, storage_options=storage_options, allow_local=allow_local)
    if _saved(store_or_asdf) is not None:
        return open_with(store_or_asdf, options)
    opened = _open(store_or_asdf, options)
    return StoredDataset.of(opened) or dataset_of(opened)


def select_alike(ds: AnyDataset, item: Index) -> AnyDataset:
    """Select from a dataset, or from every tile of a mosaic, as the command line does."""
    from dkist_virtual.dataset.stored import StoredDataset

    if isinstance(ds, StoredDataset):
        return ds.select(item)
    tiles = getattr(ds, "slice_tiles", None)
    selected: AnyDataset = (ds if tiles is None else tiles)[item]
    return selected


def _open(
    store_or_asdf: str | os.PathLike[str] | Row, options: ReadOptions, *, any_version: bool = False
) -> Opened:
    place = store_directory(_path_of(store_or_asdf))
    if (address := repository_at(place)) is not None:
        from dkist_virtual.dataset.loader import open_repository

        return open_repository(address, options)
    if is_local(place) and _is_cube(place):
        return _open_cube(place, options)
    is_asdf = _is_asdf(place) or _is_asdf_on_server(place, options)
    if not is_asdf:
        _refuse_others(place)
        _refuse_file(place)
    from dkist_virtual.dataset.loader import open_asdf, open_store

    if is_asdf:
        return open_asdf(place, options, any_version=any_version)
    if is_local(place):
        return open_store(place, options)
    # On a server both may have any name: what the name says is asked for first.
    first, second = (_open_cube, open_store) if _is_cube(place) else (open_store, _open_cube)
    try:
        return first(place, options)
    except StoreMissingError as error:
        try:
            return second(place, options)
        except StoreMissingError:
            raise error from None


def _is_cube(place: str) -> bool:
    """Tell whether a place is a saved cube, or one that is being written: by names alone."""
    if is_local(place):
        return is_cube(place) or is_unfinished_cube(place)
    return Location.of(place).path.endswith(CUBE_SUFFIX)


def _open_cube(place: str, options: ReadOptions) -> Opened:
    from dkist_virtual.dataset.save.cube.opened import open_cube

    return open_cube(place, options)


def dataset_of(opened: Opened) -> OpenedDataset:
    """Make the dataset, mosaic or inversion of an open store or ASDF."""
    if opened.is_inversion:
        from dkist_virtual.dataset.level2.inversion import Inversion

        return Inversion.from_opened(opened)
    if opened.description.grid is None:
        from dkist_virtual.dataset.dataset import Dataset

        return Dataset.from_opened(opened)
    from dkist_virtual.dataset.mosaic import TiledDataset

    return TiledDataset.from_opened(opened)


def open_zarr(
    store: str | os.PathLike[str],
    *,
    frames: FramePlaces = None,
    missing: Missing = "raise",
    storage_options: StorageOptions | None = None,
    cache: str | os.PathLike[str] | None = None,
    allow_local: bool | None = None,
    verify: bool = False,
) -> zarr.Group:
    """Open a store as a bare Zarr v3 group of arrays, without any astronomy.

    Parameters
    ----------
    store : path or URL
        A store, such as `convert` or `fits_references` writes; a dataset in an Icechunk repository;
        or references alone, of `fits_references` or of other programs, such as VirtualiZarr's
        ``to_kerchunk``: a file ``*.json``, or a directory ``*.parq``.
    frames, missing, storage_options, cache, allow_local, verify
        As in `open_dataset`.

    Returns
    -------
    zarr.Group
        With the array ``data``, or one ``data_{i}_{j}`` per tile of a mosaic; of other references
        with the arrays that they have. Read-only.

    Raises
    ------
    StoreMissingError
    StoreCorruptError
        References of other programs may also have arrays that are not read here: groups, chunks
        that are not whole images, or codecs of others.
    """
    from dkist_virtual.store.handle import StoreHandle
    from dkist_virtual.store.read_options import ReadOptions

    options = ReadOptions(
        frames=frames, missing=missing, storage_options=storage_options, cache=cache,
        allow_local=allow_local, verify=verify,
    )  # fmt: skip
    if (form := others_form(store)) is not None:
        from dkist_virtual.store.kerchunk.references import open_references

        return open_references(absolute(store), form, options)
    place = store_directory(store)
    if (address := repository_at(place)) is not None:
        from dkist_virtual.store.icechunk.icechunk_handle import IcechunkHandle

        return IcechunkHandle.at(address, options).opened.group
    if _is_cube(place):
        from dkist_virtual.store.cubes.cube_handle import CubeHandle

        try:
            return CubeHandle(place, None, options).opened.group
        except StoreMissingError:
            if is_local(place):
                raise
    return StoreHandle(place, None, options).opened.group


def open_frames(store_or_asdf: str | os.PathLike[str], options: ReadOptions) -> StoreHandle:
    """Open the references of a store, or of an ASDF, without what describes the dataset.

    Raises
    ------
    StoreMissingError
        There is none; or the place has pixels that were saved, which are no references.
    StoreCorruptError, DatasetError
    """
    from dkist_virtual.store.handle import StoreHandle

    place = store_directory(store_or_asdf)
    if _is_cube(place) or _saved(store_or_asdf) is not None:
        raise StoreMissingError(
            f"{shown(place)}: has pixels that were saved: expected a store of references to frames"
        )
    if _is_asdf(place) or _is_asdf_on_server(place, options):
        from dkist_virtual.dataset.loader import open_asdf

        return open_asdf(place, options).handle
    _refuse_others(place)
    _refuse_file(place)
    check_present(place)
    handle = StoreHandle(place, None, options)
    handle.opened.references()
    return handle


def check_place(store_or_asdf: str | os.PathLike[str]) -> None:
    """Raise what `open_dataset` raises for a path of this machine with neither store nor ASDF.

    It imports little: the command line answers a mistyped path with it at once. Nothing is asked
    about IDs and URLs.
    """
    if _saved(store_or_asdf) is not None:
        return
    if not isinstance(store_or_asdf, str) or _identity(store_or_asdf) is None:
        place = store_directory(store_or_asdf)
        if repository_at(place) is not None:
            return
        if not _is_cube(place) and not _is_asdf(place):
            _refuse_others(place)
            _refuse_file(place)
            check_present(place)
        elif is_local(place) and not _is_cube(place):
            find_asdf(local_path(place))


def _saved(place: object) -> tuple[str, str] | None:
    """Return path and form of a file on this machine with saved pixels; None for others."""
    if not isinstance(place, (str, os.PathLike)) or not is_local(url := absolute(place)):
        return None
    from dkist_virtual.dataset.save.files.names import form_of_file

    path = local_path(url)
    try:
        form = form_of_file(path)
    except OSError:  # one that may not be read: what opens it says so
        return None
    return None if form is None else (path, form)


def others_form(place: str | os.PathLike[str]) -> Literal["json", "parquet"] | None:
    """Return the form of references that are not a store's; None of any other place."""
    where = absolute(place)
    named = Location.of(where).name in (JSON_NAME, PARQUET_NAME)
    return None if named else form_of(where)


def _refuse_others(place: str | os.PathLike[str]) -> None:
    """Raise `StoreMissingError` for references that say nothing but where pixels are."""
    if others_form(place) is not None:
        raise StoreMissingError(
            f"{shown(absolute(place))}: has references to pixels, and neither WCS nor headers: "
            "dv.open_zarr opens it. Open the store or ASDF that it was made of for a dataset"
        )


def _refuse_file(place: str) -> None:
    """Raise `StoreMissingError` for a file on this machine, which is not a store."""
    if is_local(place) and os.path.isfile(place) and _saved(place) is None:
        raise StoreMissingError(
            f"{place}: is a file, and not an ASDF: expected the directory of a store, or a "
            "dataset's file *.asdf"
        )


def store_directory(place: str | os.PathLike[str]) -> str:
    """Return the directory of a store, or of one of its reference files."""
    text = full_address(place) if isinstance(place, str) else place
    location = Location.of(absolute(text))
    named = location.name in (JSON_NAME, PARQUET_NAME, ROOT_NAME)
    return str(location.parent if named else location)


def _id_beside(given: str | os.PathLike[str] | Row) -> str | None:
    """Return the ID in a row that was found in a catalogue; None of anything else."""
    if isinstance(given, (str, os.PathLike)) or "Store" not in getattr(given, "colnames", ()):
        return None
    value: Any = given["Dataset ID"] if "Dataset ID" in given.colnames else None
    if getattr(value, "shape", ()):  # of a table with one row
        value = value[0]
    return value if isinstance(value, str) else None


def _check_id(opened: Opened, expected: str, place: str) -> None:
    """Raise `StoreCorruptError` where a catalogue says that a store is of another dataset."""
    found = identity_in(opened.description.inventory)
    if found is not None and found != expected:
        raise StoreCorruptError(
            f"{place}: is of the dataset {found}, and the catalogue says that it is of {expected}: "
            "it was replaced since. dkist-virtual catalogue STORES writes the catalogue again"
        )


def _path_of(given: str | os.PathLike[str] | Row) -> str | os.PathLike[str]:
    """Return a path or URL as it is, and for an ID, or a row with one, its store here."""
    if isinstance(given, os.PathLike):
        return given
    if not isinstance(given, str) and "Store" in getattr(given, "colnames", ()):
        return _cell(given, "Store")  # found in a catalogue
    identity = _identity(given) if isinstance(given, str) else _id_in(given)
    if identity is None:
        return given
    from dkist_virtual.datacenter.local_copies import store_of

    return store_of(identity)


def _identity(given: str) -> str | None:
    """Return a text that is an ID, and not the name of something here; None for others."""
    if os.path.lexists(given):
        return None
    if is_id(given):
        return given
    if is_id(proper := given.strip().upper()):
        raise StoreMissingError(
            f"{given!r}: nothing of that name is here. IDs of datasets are in capital letters: "
            f"{proper}"
        )
    return None


def _id_in(row: Row) -> str:
    names = getattr(row, "colnames", ())
    if "Dataset ID" not in names:
        raise TypeError(
            f"{row!r}: expected a path, a URL, the ID of a dataset or product, or a row of what "
            "dv.search found"
        )
    return _cell(row, "Dataset ID")


def _cell(row: Row, name: str) -> str:
    value = row[name]
    if not isinstance(value, str):  # a table, of one row or of several
        if len(value) != 1:
            raise TypeError(f"{len(value)} datasets: expected one row of the table, as found[0]")
        value = value[0]
    return str(value)


def _is_asdf(place: str) -> bool:
    """Tell whether a place is an ASDF, or a directory with one, by names alone."""
    location = Location.of(place)
    if location.path.endswith((".asdf", ".asdf.gz")):  # the reader says what to do about the latter
        return True
    if not is_local(place) or not os.path.isdir(place):
        return False
    names = os.listdir(place)
    return (
        JSON_NAME not in names
        and PARQUET_NAME not in names
        and any(name.endswith((".asdf", ".asdf.gz")) for name in names)
    )


def _is_asdf_on_server(place: str, options: ReadOptions) -> bool:
    """Tell whether a URL that may be that of an ASDF is one, by the first bytes of its file."""
    location = Location.of(place)
    if location.is_web and (location.query or location.name == "asdf"):
        from dkist_virtual.io.asdf_blocks import MAGIC
        from dkist_virtual.io.byte_range import Request

        # The Data Center's URL is https://…/download/asdf?datasetId=X: only the bytes tell.
        with suppress(FrameError):
            start = Request(place, 0, len(MAGIC), exact=False)
            return options.fetcher().answer(start).data == MAGIC
    return False
