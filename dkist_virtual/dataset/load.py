"""Load one dataset or several of what the ``dkist`` package loads, and of what is opened here."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.dataset.open import check_place, open_with
from dkist_virtual.errors import (
    DatasetError,
    LeftOutWarning,
    NotADatasetError,
    NothingToLoadError,
    StoreMissingError,
)
from dkist_virtual.io.locations import absolute, is_local, local_path
from dkist_virtual.store.format.names import JSON_NAME, PARQUET_NAME
from dkist_virtual.store.icechunk.address import is_repository

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dkist_virtual.store.frame_locations import FramePlaces
    from dkist_virtual.store.read_options import Chunks, Missing, ReadOptions, StorageOptions

__all__ = ["DKIST_INTERFACE", "load_dataset"]

DKIST_INTERFACE: Final = "1.18.1"
"""The version of ``dkist`` whose public names and signatures datasets here have too."""

_KINDS: Final = (
    "expected a path or URL, the ID of a dataset or product, a row of what dv.search found, the "
    "results of Fido.fetch, an open dataset of dkist, or a list or tuple of these"
)


def load_dataset(
    target: Any = None,
    *,
    ignore_version_mismatch: bool = False,
    frames: FramePlaces = None,
    missing: Missing = "raise",
    chunks: Chunks = "auto",
    storage_options: StorageOptions | None = None,
    cache: str | os.PathLike[str] | None = None,
    allow_local: bool | None = None,
    verify: bool = False,
    store_or_asdf: Any = None,
) -> Any:
    """Load one dataset, or several, without reading a frame.

    Takes what `dkist.load_dataset` takes, beside all that `open_dataset` opens.

    Parameters
    ----------
    target : path, URL, ID, row, results, dkist dataset, or a list or tuple of these
        As `open_dataset` takes it. Of a directory with ASDFs all datasets are loaded, but for those
        whose names the Data Center has replaced (``..._metadata.asdf`` over
        ``..._user_tools.asdf`` over neither). Of the results of ``Fido.fetch`` the files that are
        ASDFs. An open `dkist.Dataset` or `dkist.TiledDataset` is taken over as it is: what was
        selected of it, with mask, headers, meta, uncertainty and coordinates.
    ignore_version_mismatch : bool
        Whether to load also an ASDF that a newer version of ``dkist`` wrote, as far as this one
        understands it.
    frames, missing, chunks, storage_options, cache, allow_local, verify
        As in `open_dataset`.
    store_or_asdf
        Another name of `target`, as `open_dataset` calls it.

    Returns
    -------
    Dataset, TiledDataset or Inversion, or a list of them
        A list for several, or none; of a list with one, that one.

    Raises
    ------
    NothingToLoadError
        There is nothing of that name, or no ASDF in that directory.
    NotADatasetError
        The file is something else than a dataset, or the target something else than the above.
    DatasetError
        An open dataset whose pixels are not those of its files.
    StoreCorruptError, SearchError, RemovedError
        As in `open_dataset`.

    Examples
    --------
    >>> dv.load_dataset("/path/to/VISP_L1_..._metadata.asdf")  # doctest: +SKIP
    >>> dv.load_dataset(Fido.fetch(found))  # doctest: +SKIP
    """
    from dkist_virtual.store.read_options import ReadOptions

    if target is not None and store_or_asdf is not None:
        raise TypeError("store_or_asdf is another name of target: expected one of them")
    if not isinstance(ignore_version_mismatch, bool):
        raise TypeError(
            f"ignore_version_mismatch = {ignore_version_mismatch!r}: expected True or False"
        )
    options = ReadOptions(frames, missing, chunks, storage_options, cache, allow_local, verify)
    return _load(
        store_or_asdf if target is None else target, options, any_version=ignore_version_mismatch
    )


def _load(target: Any, options: ReadOptions, *, any_version: bool) -> Any:
    if _is_one_of(target, "dkist.dataset", "Dataset", "TiledDataset"):
        return _taken_over(target, options)
    if _is_one_of(target, "parfive", "Results"):
        return _load_results(target, options, any_version=any_version)
    if isinstance(target, (list, tuple)):
        return _several(_load(one, options, any_version=any_version) for one in target)
    if isinstance(target, (str, os.PathLike)):
        return _load_path(target, options, any_version=any_version)
    if hasattr(target, "colnames"):
        return open_with(target, options, any_version=any_version)
    raise NotADatasetError(f"Input type {type(target).__name__} not recognised: {_KINDS}")


def _several(loaded: Iterable[Any]) -> Any:
    """Return the only dataset, or a list of all."""
    datasets = list(loaded)
    return datasets[0] if len(datasets) == 1 else datasets


def _is_one_of(target: object, module: str, *names: str) -> bool:
    """Tell whether an object is of a class of a module, which is loaded if there is such."""
    there = sys.modules.get(module)
    return there is not None and isinstance(
        target, tuple(getattr(there, name) for name in names if hasattr(there, name))
    )


# Files --------------------------------------------------------------------------------------------


def _load_path(target: str | os.PathLike[str], options: ReadOptions, *, any_version: bool) -> Any:
    """Load what is at a path or URL, of a directory all datasets."""
    try:
        check_place(target)
    except (StoreMissingError, DatasetError) as error:
        raise _nothing_at(target, error) from error
    found = _asdfs_in(target)
    if found is None:
        return open_with(target, options, any_version=any_version)
    return _several(open_with(path, options, any_version=any_version) for path in found)


def _nothing_at(target: str | os.PathLike[str], error: Exception) -> Exception:
    """Make the error for a path where nothing can be loaded, which dkist's ValueError catches."""
    place = Path(local_path(absolute(target)))
    cause = str(error).removeprefix(f"{place}: ")
    if place.is_dir():
        cause = f"No asdf file found in directory {place}: {cause}"
    elif not place.exists():
        cause = f"{place} does not exist: {cause}"
    if isinstance(error, DatasetError):
        return type(error)(cause)
    return NothingToLoadError(cause)


def _asdfs_in(target: str | os.PathLike[str]) -> list[Path] | None:
    """List the ASDFs to load in a directory of this machine; None for anything else."""
    from dkist_virtual.conversion.asdf.locate import without_replaced

    if not is_local(absolute(target)) or not os.path.isdir(place := local_path(absolute(target))):
        return None
    if {JSON_NAME, PARQUET_NAME} & set(os.listdir(place)) or is_repository(place):  # a store
        return None
    there = sorted(path for path in Path(place).glob("*.asdf") if path.is_file())
    chosen = without_replaced(there)
    if left_out := [path.name for path in there if path not in chosen]:
        from dkist_virtual.conversion.asdf.dkist_errors import OldNameWarning

        warnings.warn(
            f"{place}: ASDF files with old names ({', '.join(left_out)}) were found in this "
            "directory and ignored. You may want to delete these files",
            OldNameWarning,
            stacklevel=5,
        )
    return chosen


def _load_results(results: Any, options: ReadOptions, *, any_version: bool) -> Any:
    """Load the ASDFs among downloaded files, and say what is not among the datasets."""
    asdfs: list[str] = []
    others: list[str] = []
    for name in map(os.fspath, results):
        (asdfs if _may_be_asdf(name) else others).append(name)
    missed = [f"{name}: is not an ASDF" for name in others]
    missed += [f"{failed.url}: {failed.exception}" for failed in results.errors]
    if others and not asdfs:
        raise NotADatasetError(
            f"none of the {len(others)} files that were fetched is an ASDF: {others[0]}: expected "
            "the ASDF of a dataset"
        )
    if missed:
        warnings.warn(
            f"{len(missed)} of what was fetched is not among the datasets: {'; '.join(missed)}",
            LeftOutWarning,
            stacklevel=4,
        )
    return _several(_load_path(name, options, any_version=any_version) for name in asdfs)


def _may_be_asdf(name: str) -> bool:
    """Tell whether a file is an ASDF, by its first bytes; True if the file cannot be read."""
    from dkist_virtual.io.asdf_blocks import MAGIC

    try:
        with open(name, "rb") as file:
            start = file.read(len(MAGIC))
    except OSError:
        return True
    return start == MAGIC or name.endswith((".asdf", ".asdf.gz"))


# Open datasets of dkist ---------------------------------------------------------------------------


def _taken_over(given: Any, options: ReadOptions) -> Any:
    """Make the same dataset, or mosaic, of an open one of ``dkist``."""
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.derived.state import take_over
    from dkist_virtual.dataset.loader import open_object
    from dkist_virtual.dataset.mosaic import TiledDataset

    opened, found = open_object(given, options)
    if found.hidden is None:
        made = Dataset.from_opened(opened)
        take_over(made, given)
        return made
    mosaic = TiledDataset.from_opened(opened)
    for tile, its in zip(mosaic.flat, found.datasets, strict=True):
        take_over(tile, its)
    flat = len(given.shape) == 1
    made_of = mosaic[0] if flat else mosaic
    made_of.mask = found.hidden[0] if flat else found.hidden
    return made_of
