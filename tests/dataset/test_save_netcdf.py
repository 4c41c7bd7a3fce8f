"""Save datasets as netCDF; xarray and h5py read the files."""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import astropy.units as u
import h5py
import numpy as np
import pytest
import xarray
from astropy.coordinates import SkyCoord, StokesCoord
from astropy.nddata import StdDevUncertainty
from astropy.time import Time

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, StoreMissingError

NAMES = ("visp", "visp_moving", "vbi_mosaic", "vtf", "cryonirsp", "dlnirsp")
EACH = [pytest.param(name, marks=[] if name == "visp" else [pytest.mark.slow]) for name in NAMES]


def one_of(datasets: Any, name: str) -> Any:
    """A computed dataset with mask, uncertainty and meta of its own."""
    made = datasets(name) * 2
    rng = np.random.default_rng(19)
    made.mask = rng.random(made.shape) > 0.9
    made.uncertainty = StdDevUncertainty(rng.random(made.shape))
    made.meta["quiet"] = True
    return made


def save(ds: Any, place: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not in order", category=DKISTVirtualWarning)
        ds.save(place, progress=False)


def same_world(opened: Any, ds: Any) -> None:
    """The coordinates of xarray at random pixels are those of astropy."""
    dims = opened.data.dims
    worlds = ds.wcs.low_level_wcs.world_axis_physical_types
    for pixel in np.random.default_rng(20).integers(0, ds.shape, (5, len(ds.shape))):
        at = opened.isel(dict(zip(dims, map(int, pixel), strict=True)))
        found = np.atleast_1d(ds.wcs.pixel_to_world(*pixel[::-1].tolist()))
        assert len(found)
        seen = set()
        for world in found.tolist() if isinstance(found, np.ndarray) else found:
            if isinstance(world, SkyCoord):
                lon, lat = (world.spherical.lon, world.spherical.lat)
                for name, value in (("longitude", lon), ("latitude", lat)):
                    ours = u.Quantity(at[name].item(), at[name].units)
                    away = (ours - value).to_value("arcsec")
                    assert abs((away + 648000) % 1296000 - 648000) < 1e-6
                seen |= {"longitude", "latitude"}
            elif isinstance(world, Time):
                ours = Time(at.time.values, format="datetime64", scale="utc")
                assert abs((ours - world).to_value("s")) <= 1e-6
                seen |= {"time"}
            elif isinstance(world, StokesCoord):
                assert str(at.stokes.item()) == str(np.atleast_1d(world.symbol)[0])
            elif isinstance(world, u.Quantity) and world.unit.is_equivalent("nm"):
                assert u.Quantity(at.wavelength.item(), "nm").to_value("nm") == pytest.approx(
                    world.to_value("nm"), rel=1e-13
                )
                seen |= {"wavelength"}
        assert {"longitude", "latitude"} <= seen or "custom:pos.helioprojective.lon" not in worlds


@pytest.mark.parametrize("name", EACH)
def test_xarray_reads_pixels_and_coordinates(name: str, datasets: Any, tmp_path: Path) -> None:
    ds = one_of(datasets, name)
    if name == "vbi_mosaic":
        ds = one_of(lambda _: datasets(name)[1], name)
    place = tmp_path / "cube.nc"
    save(ds, place)
    with xarray.open_dataset(place, engine="h5netcdf") as opened:
        assert np.asarray(opened.data).tobytes() == np.asarray(ds.data).tobytes()
        assert opened.data.units == "count"
        assert opened.data.ancillary_variables == "mask uncertainty"
        assert opened.mask.dtype == np.int8
        assert opened.mask.flag_meanings == "valid masked"
        np.testing.assert_array_equal(opened.mask.flag_values, [0, 1])
        np.testing.assert_array_equal(opened.mask.values.astype(bool), ds.mask)
        np.testing.assert_array_equal(opened.uncertainty, ds.uncertainty.array)
        assert opened.uncertainty.units == "count"
        assert opened.Conventions.startswith("CF-1.")
        assert opened.attrs["quiet"] == "true"
        if "time" in opened.coords:
            assert opened.time.standard_name == "time"
            assert opened.time.encoding["calendar"] == "standard"
        if "wavelength" in opened.coords:
            assert opened.wavelength.standard_name == "radiation_wavelength"
            assert opened.wavelength.units == "nm"
        same_world(opened, ds)
    with xarray.open_dataset(place, engine="h5netcdf", group="headers") as headers:
        assert set(headers.variables) == set(ds.headers.colnames)
        assert list(headers["INSTRUME"].values) == list(ds.headers["INSTRUME"])
        np.testing.assert_array_equal(headers["XPOSURE"], ds.headers["XPOSURE"])


@pytest.mark.slow
def test_pixels_stay_in_the_file_and_pickles_have_its_path(datasets: Any, tmp_path: Path) -> None:
    ds = datasets("visp")[0, 1:3]
    place = tmp_path / "cube.nc"
    save(ds, place)
    opened = dv.open_dataset(place)
    assert not opened.lineage.is_computed
    assert list(opened[1:].headers["DATE-AVG"]) == list(ds[1:].headers["DATE-AVG"])
    text = pickle.dumps(opened)
    assert str(place).encode() in text
    np.testing.assert_array_equal(pickle.loads(text).data, ds.data)
    # What is changed in the file is seen, as the pixels are read there.
    with h5py.File(place, "r") as file:
        begin = file["data"].id.get_offset()
        assert file["data"].chunks is None
    assert np.memmap(place, "<f4", "r", begin, ds.shape)[1, 2, 3] == np.asarray(ds.data)[1, 2, 3]


def test_what_netcdf_cannot_hold_is_refused(
    datasets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds, place = datasets("visp")[0, 0], tmp_path / "cube.nc"
    with pytest.raises(DatasetError, match=r"has one dataset a file: save the mosaic as \.zarr"):
        dv.TiledDataset(np.array([[ds]], object)).save(place)
    with pytest.raises(DatasetError, match="no data of complex128"):
        ds.with_data(ds.data.astype(complex)).save(place)
    with pytest.raises(TypeError, match="compress"):
        ds.save(place, compress=True)
    for name in ("h5netcdf", "h5py", "xarray"):
        with monkeypatch.context() as context:
            context.setitem(sys.modules, name, None)
            with pytest.raises(ImportError, match=rf"{name} is not .*dkist_virtual\[xarray\]"):
                ds.save(place)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_netcdf_of_other_programs_is_refused_as_before(datasets: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.nc"
    xarray.Dataset({"data": ("x", np.arange(3))}).to_netcdf(other, engine="h5netcdf")
    with pytest.raises(StoreMissingError, match="is a file, and not an ASDF"):
        dv.open_dataset(other)
    # A copy in chunks still has the ASDF, but not the pixels where they were.
    save(datasets("visp")[0, 0], tmp_path / "cube.nc")
    with xarray.open_dataset(tmp_path / "cube.nc", engine="h5netcdf", decode_cf=False) as opened:
        sizes = opened.data.shape
        opened.to_netcdf(
            tmp_path / "chunks.nc", engine="h5netcdf", encoding={"data": {"chunksizes": sizes}}
        )
    with pytest.raises(DatasetError, match="data is not contiguous"):
        dv.open_dataset(tmp_path / "chunks.nc")
