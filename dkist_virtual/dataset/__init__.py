"""Hold a dataset or mosaic: array, WCS, headers and files that follow every slice.

- `arithmetic`: do arithmetic with units, binning and reprojection on pixels, WCS and masks
- `dataset`: define `Dataset`: data, WCS, headers and files, sliced together
- `file_manager`: give the files the names that the file manager of ``dkist`` has
- `files`: list the files behind a selection: chunk keys, URLs, names and sizes
- `load`: load one dataset or several of what the ``dkist`` package loads, too
- `loader`: load what datasets are made of from a store or an ASDF
- `mosaic`: define `TiledDataset`: a grid of datasets, one per tile on the sky
- `open`: open a path, URL, ASDF or ID as a dataset
- `overview`: describe a dataset without reading a pixel: as text, as HTML and as JSON
- `provenance`: record where a dataset's pixels and headers come from; read headers when needed
- `stored`: describe and download the dataset of a store without its WCS
- `summary`: fill in the overview of a dataset or mosaic, without reading a frame
- `derived/`: derive datasets: their state, what they were made from, bins, reprojection
- `export/`: export a dataset to other libraries: specutils, sunpy and xarray
- `level2/`: hold level 2 inversions: quantities and profiles that are sliced together
- `paths/`: make datasets along paths and of regions, and say where on the sky a dataset is
- `pointing/`: correct the pointing: shift, rotate and scale the coordinates on the sky
- `polarimetry/`: measure the polarisation of datasets: `ds.polarimetry`
- `save/`: save a dataset in the form that its name says, or as an ASDF that dkist opens
- `seeing/`: show the seeing of the frames, and choose frames by it
- `spectral/`: measure spectra: each result is a dataset without the axis of wavelengths
- `sun/`: give datasets the geometry of the Sun: mu, and the darkening of the continuum to the limb
- `plots/`: draw datasets and mosaics: choose how, by the keywords given
- `wavelengths/`: give datasets a corrected wavelength scale

Names are imported when they are first used: ndcube, astropy and zarr are loaded with a dataset.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.files import Files
    from dkist_virtual.dataset.level2.inversion import Inversion, Profiles
    from dkist_virtual.dataset.load import load_dataset
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.dataset.open import open_dataset, open_zarr
    from dkist_virtual.dataset.overview import Overview

__all__ = [
    "Dataset",
    "Files",
    "Inversion",
    "Overview",
    "Profiles",
    "TiledDataset",
    "load_dataset",
    "open_dataset",
    "open_zarr",
]

_ROOMS = {
    "Dataset": "dataset", "Files": "files", "Overview": "overview", "TiledDataset": "mosaic",
    "load_dataset": "load", "open_dataset": "open", "open_zarr": "open",
    "Inversion": "level2.inversion", "Profiles": "level2.inversion",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value
