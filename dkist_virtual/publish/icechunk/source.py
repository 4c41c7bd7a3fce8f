"""Open what is to be written as a store: a store, an ASDF, a selection of a dataset."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkist_virtual.dataset.open import check_place, store_directory
from dkist_virtual.errors import DatasetError
from dkist_virtual.io.locations import Location, is_local, local_path, shown
from dkist_virtual.store.cubes.presence import is_cube
from dkist_virtual.store.handle import StoreHandle
from dkist_virtual.store.icechunk.address import repository_at
from dkist_virtual.store.icechunk.icechunk_handle import IcechunkHandle

if TYPE_CHECKING:
    from dkist_virtual.store.read_options import ReadOptions

__all__ = ["open_source"]


@contextmanager
def open_source(
    dataset: Any, options: ReadOptions, *, progress: bool | None
) -> Iterator[StoreHandle]:
    """Open a store of the dataset, which is made in a temporary directory if there is none.

    Parameters
    ----------
    dataset : Dataset, TiledDataset, or path or URL
        Of a store, an ASDF, or a dataset in another repository.
    options : ReadOptions
    progress : bool, optional
        Whether to show how far the scan of an ASDF's frames is; by default on a terminal.

    Raises
    ------
    DatasetError
        The pixels are computed, or are an inversion that was selected from.
    StoreMissingError
        The store or ASDF does not exist.
    """
    if isinstance(dataset, (str, os.PathLike)):
        check_place(dataset)
        place = store_directory(dataset)
        if (address := repository_at(place)) is not None:
            yield IcechunkHandle.at(address, options)
        elif not _is_asdf(place):
            if is_local(place) and is_cube(local_path(place)):
                raise _computed_error(shown(place))
            yield StoreHandle(place, None, options)
        else:
            yield from _converted(dataset, options, progress)
        return
    with tempfile.TemporaryDirectory(prefix="dkist-virtual-") as directory:
        yield StoreHandle(_saved(dataset, Path(directory) / "selection.virtual"), None, options)


def _is_asdf(place: str) -> bool:
    if is_local(place) and os.path.isdir(path := local_path(place)):
        names = os.listdir(path)
        return not any(name.startswith("references.") for name in names) and any(
            name.endswith(".asdf") for name in names
        )
    return Location.of(place).path.endswith(".asdf")


def _converted(
    asdf: str | os.PathLike[str], options: ReadOptions, progress: bool | None
) -> Iterator[StoreHandle]:
    """Convert an ASDF to a store that is thrown away afterwards."""
    from dkist_virtual.conversion.convert import convert

    with tempfile.TemporaryDirectory(prefix="dkist-virtual-") as directory:
        made = convert(
            asdf,
            Path(directory) / "converted.virtual",
            progress=progress,
            storage_options=dict(options.storage_options or {}),  # type: ignore[arg-type]
        )
        yield StoreHandle(made.store, None, options)


def _saved(dataset: Any, place: Path) -> str:
    """Save a dataset as the store of its selection."""
    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.level2.inversion import Inversion, Profiles
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.dataset.save.store.write import save_store

    if isinstance(dataset, (Inversion, Profiles)):
        raise DatasetError(
            "to_icechunk of an open inversion: expected the path of its store, or of its ASDF"
        )
    if not isinstance(dataset, (Dataset, TiledDataset)):
        raise TypeError(
            f"to_icechunk of a {type(dataset).__name__}: expected a path or URL, a Dataset or a "
            "TiledDataset"
        )
    for tile in [dataset] if isinstance(dataset, Dataset) else dataset.flat:
        if not isinstance(tile.pixels, VirtualArray) or tile.provenance is None:
            raise _computed_error(f"the pixels are computed from {tile.lineage.source}")
    save_store(dataset, place)
    return str(place)


def _computed_error(what: str) -> DatasetError:
    return DatasetError(
        f"to_icechunk: {what}: expected pixels that are in frames, which a repository refers to. "
        "Write the dataset that they were computed from; ds.save('NAME.zarr') keeps the result"
    )
