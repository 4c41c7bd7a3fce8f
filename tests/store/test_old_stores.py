"""Stores that earlier versions wrote still open, and give the same pixels, headers and files.

``stores`` holds them as they were written, by the version before wings: JSON and Parquet,
compressed and plain, a mosaic, one that was not scanned, with and without ``verify.json``. Their
references point below ``/archive``, where nothing is; the frames are beside them in ``datasets``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

import dkist_virtual as dv
from dkist_virtual.errors import FrameMissingError, FrameUnreachableError

STORES = Path(__file__).with_name("stores")
NAMES = sorted(path.name for path in STORES.iterdir() if path.name != "datasets")


def opened(name: str, frames: Path | None = None) -> list[Any]:
    ds = dv.open_dataset(STORES / name, frames=frames)
    return list(ds.flat) if isinstance(ds, dv.TiledDataset) else [ds]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frames, as old as the stores say that they are: a checkout does not keep that."""
    directory = tmp_path_factory.mktemp("frames") / "datasets"
    shutil.copytree(STORES / "datasets", directory)
    for name in NAMES:
        rows = pq.read_table(STORES / name / "headers.parquet", columns=["_url", "_mtime"])
        for url, time in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            if time is not None:
                os.utime(directory / url.removeprefix("/archive/"), ns=(time, time))
    return directory


def pixels_of(path: Path) -> Any:
    with fits.open(path) as opened_file:
        return next(each.data for each in opened_file if each.data is not None)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_headers_and_files(name: str, frames: Path) -> None:
    directory = frames / Path(name).stem
    for ds in opened(name, directory):
        n = len(ds.files)
        pixels = np.asarray(ds.data.compute()).reshape(n, -1)
        assert len(ds.headers) == n
        for row, (file, values) in enumerate(zip(ds.files.names, pixels, strict=True)):
            data = pixels_of(directory / file)
            np.testing.assert_array_equal(values, data.ravel())
            assert ds.headers["FILENAME"][row] == file
        assert ds.wcs.pixel_n_dim == ds.data.ndim


@pytest.mark.parametrize("name", NAMES)
def test_it_verifies(name: str, frames: Path) -> None:
    assert dv.verify(STORES / name, frames=frames / Path(name).stem, keep=False).ok


@pytest.mark.parametrize("name", NAMES)
def test_its_references_lead_where_they_led(name: str) -> None:
    for ds in opened(name):
        assert all(url.startswith(f"/archive/{Path(name).stem}/") for url in ds.files.urls)
        with pytest.raises((FrameMissingError, FrameUnreachableError), match="archive"):
            ds.data.compute()
