"""Save pixels as an ASDF that needs this package for nothing, and open it again.

Its tree has WCS, unit, mask, uncertainty and headers under ``cube``, in the tags of gwcs and
astropy. The pixels are its last block, which is written as they are computed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.dataset.save.files.beside import (
    beside,
    check_version,
    make_dataset,
    uncertainty_of,
)
from dkist_virtual.dataset.save.files.names import CUBE_KEY
from dkist_virtual.dataset.save.files.part import part_of
from dkist_virtual.dataset.save.files.pixels import FileHandle, write_pixels
from dkist_virtual.dataset.save.files.region import Region
from dkist_virtual.dataset.save.nodes import whole_mask
from dkist_virtual.errors import DatasetError
from dkist_virtual.text import shorten

if TYPE_CHECKING:
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.store.read_options import ReadOptions

__all__ = ["open_asdf_cube", "save_asdf_cube"]


def save_asdf_cube(
    ds: Dataset, place: str | os.PathLike[str], *, overwrite: bool, progress: bool
) -> None:
    """Write the pixels of a dataset, and what belongs to them.

    Raises
    ------
    StoreExistsError
        The file exists.
    DatasetError
        ASDF cannot hold it.
    """
    import asdf
    from asdf.tags.core import Stream
    from tqdm import tqdm

    from dkist_virtual.store.format.dataset_asdf import ignore_expected_warnings

    if not ds.shape[0]:
        raise DatasetError("save to .asdf: the dataset has no pixels")
    tree = beside(ds, "an ASDF", headers=True)
    stored = ds.dtype.newbyteorder("=")
    cube = {
        **tree,
        "shape": list(ds.shape),
        "mask": None if ds.mask is None else whole_mask(ds.mask, ds.shape),
        "data": Stream(list(ds.shape[1:]), stored),
    }
    if ds.uncertainty is not None:
        cube["uncertainty"]["array"] = np.asarray(ds.uncertainty.array)
    hidden = None if progress else True
    with part_of(place, overwrite=overwrite) as part:
        try:
            with ignore_expected_warnings(), open(part, "r+b") as file:
                asdf.AsdfFile({CUBE_KEY: cube}).write_to(file)
                begin = file.seek(0, os.SEEK_END)
        except (MemoryError, OSError):
            raise
        except Exception as error:  # each package has errors of its own
            raise DatasetError(
                f"save to .asdf: cannot be written to ASDF: {shorten(error)}"
            ) from error
        region = Region(part, begin, ds.shape, stored.str, ds.dtype.name)
        os.truncate(part, begin + region.n_bytes)
        with tqdm(
            total=region.n_bytes, unit="B", unit_scale=True, desc="Saving", disable=hidden
        ) as bar:
            write_pixels(ds.data, region, bar)


def open_asdf_cube(path: str, options: ReadOptions) -> Dataset:
    """Open an ASDF that `save_asdf_cube` wrote; pixels stay in the file until they are computed.

    Raises
    ------
    DatasetError
        It is not such a file, or was cut short.
    """
    import asdf

    from dkist_virtual.store.format.dataset_asdf import ignore_expected_warnings

    try:
        # A file, not its path: asdf takes a path for a URI, which ends at a "#".
        with (
            ignore_expected_warnings(),
            open(path, "rb") as opened,
            asdf.open(opened, lazy_load=True, memmap=False) as file,
        ):
            cube: Mapping[str, Any] = dict(file[CUBE_KEY])
            check_version(cube, path)
            dtype = np.dtype(cube["data"].dtype)
            mask = None if cube["mask"] is None else np.array(cube["mask"], bool)
            spread = None
            if cube["uncertainty"] is not None:
                spread = np.array(cube["uncertainty"]["array"])
            psf = None if cube["psf"] is None else np.array(cube["psf"])
            headers = cube["headers"]
            if headers is not None:
                headers = headers.copy()  # reads it: the file is closed
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: cannot be read: {shorten(error)}") from error
    shape = tuple(cube["shape"])
    region = Region(path, 0, shape, dtype.str, dtype.newbyteorder("=").name)
    begin = os.path.getsize(path) - region.n_bytes
    if begin < 0:
        raise DatasetError(
            f"{path}: has {os.path.getsize(path):,} bytes: expected {region.n_bytes:,} of pixels. "
            "It was cut short: save it again"
        )
    region = Region(path, begin, shape, region.stored, region.dtype)
    observed = cube["computed_from"] is None
    handle = FileHandle.of(path, {"data": region}, options, observed=observed)
    made = make_dataset(
        handle, {**cube, "psf": psf, "uncertainty": None}, mask=mask, headers=headers
    )
    if spread is not None:
        made.uncertainty = uncertainty_of(cube["uncertainty"], spread)
    return made
