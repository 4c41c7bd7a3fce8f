"""Compare xarray DataArrays of datasets with dkist's coordinates, xarray's slices, and headers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import astropy.units as u
import dask.array as da
import gwcs
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy.coordinates import SkyCoord, SpectralCoord, StokesCoord
from astropy.modeling import models
from astropy.time import Time
from dkist_assets import VISP, load, unpacked, with_files
from gwcs import coordinate_frames as cf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import mostly_slow
from simulated import MOSAICS, NAMES, QUICK
from sunpy.coordinates import HeliographicStonyhurst, Helioprojective
from watches import counted

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError

REAL = ("croppable_visp", "croppable_cryo", "large_vbi", "visp_no_headers")


def first(ds: Any) -> Any:
    """The dataset, or the first tile of a mosaic, ours or dkist's."""
    if isinstance(ds, dv.TiledDataset):
        return ds.flat[0]
    return ds._data.compressed()[0] if type(ds).__name__ == "TiledDataset" else ds


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("assets")


def plain(array: xr.DataArray) -> dict[str, xr.DataArray]:
    """The coordinates without the suffix of a mosaic's tile."""
    suffix = str(array.name).removeprefix("data")
    return {str(name).removesuffix(suffix): value for name, value in array.coords.items()}


# Pixels and names ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_the_array_is_the_datasets(name: str, datasets: Any, simulated: Any) -> None:
    ds = datasets(name)
    array = ds.to_xarray()
    stored = ds.provenance.array.metadata.attributes["_ARRAY_DIMENSIONS"]
    assert list(array.dims) == stored
    assert array.data.name == ds.data.name
    theirs = first(load(simulated(name)))
    assert np.array_equal(array.values, theirs.data.compute(), equal_nan=True)
    assert array.attrs["units"] == str(theirs.unit)
    assert array.attrs["dataset_id"] == theirs.inventory["datasetId"]
    for attrs in (array.attrs, *(coord.attrs for coord in array.coords.values())):
        assert json.loads(json.dumps(attrs)) == attrs


@pytest.mark.parametrize("name", mostly_slow(["visp", "vtf", "cryonirsp"], "visp"))
def test_nothing_is_read(name: str, converted: Any) -> None:
    ds, reads = counted(converted(name))
    array = ds.to_xarray()
    part = array[0, ..., 3]
    assert not reads
    part.compute()
    assert reads


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(MOSAICS, *QUICK))
def test_a_mosaic_is_a_dataset_named_as_the_store(name: str, converted: Any) -> None:
    mosaic = dv.open_dataset(converted(name))
    assert isinstance(mosaic, dv.TiledDataset)
    ours = mosaic.to_xarray()
    place = converted(name) / "references.json"
    theirs = xr.open_dataset(str(place), engine="kerchunk", chunks={})
    assert set(ours.data_vars) == set(theirs.data_vars)
    for variable, array in theirs.data_vars.items():
        assert ours[variable].dims == array.dims
        assert np.array_equal(ours[variable], array, equal_nan=True)
    for tile in mosaic.flat:
        alone = tile.to_xarray()
        xr.testing.assert_identical(ours[alone.name], alone)
    row = mosaic.slice_tiles[0, ..., 2:9]
    assert all(array.shape == t.shape for array, t in zip(row.to_xarray().values(), row.flat))  # noqa: B905


# Coordinates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow([*NAMES, *REAL], *QUICK, "croppable_visp"))
def test_coordinates_are_those_of_dkists_wcs(
    name: str, datasets: Any, simulated: Any, assets: Path
) -> None:
    ds = datasets(name)
    theirs = first(load(unpacked(f"{name}.asdf.gz", assets) if name in REAL else simulated(name)))
    if name in REAL:  # of large ones a part
        cut = tuple(slice(n // 3, n // 3 + 7) for n in ds.shape)
        ds, start = ds[cut], [n // 3 for n in ds.shape]
    else:
        start = [0] * len(ds.shape)
    array = ds.to_xarray()
    coords = plain(array)
    rng = np.random.default_rng(7)
    for _ in range(8):
        pixel = [int(rng.integers(n)) for n in ds.shape]
        there = [p + s for p, s in zip(pixel, start, strict=True)]
        at = dict(zip(array.dims, pixel, strict=True))
        world = theirs.wcs.pixel_to_world(*there[::-1])
        for one in world if isinstance(world, (list, tuple)) else [world]:
            got = {
                key: value.isel({dim: at[dim] for dim in value.dims}).values[()]
                for key, value in coords.items()
            }
            if isinstance(one, SkyCoord):
                assert got["longitude"] == pytest.approx(one.Tx.to_value(u.arcsec), abs=1e-8)
                assert got["latitude"] == pytest.approx(one.Ty.to_value(u.arcsec), abs=1e-8)
            elif isinstance(one, Time):
                assert abs(Time(got["time"], scale="utc") - one).to_value(u.us) < 1
            elif isinstance(one, SpectralCoord):
                assert got["wavelength"] == pytest.approx(one.to_value(u.nm), rel=1e-14)
            else:
                assert isinstance(one, StokesCoord)
                assert got["stokes"] == one.symbol
    separable = {key for key in coords if key in ("stokes", "wavelength")}
    assert all(coords[key].ndim == 1 for key in separable)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(NAMES), data=st.data())
@pytest.mark.slow
def test_a_slice_is_what_xarray_slices(name: str, data: st.DataObject, datasets: Any) -> None:
    ds = datasets(name)
    index = data.draw(
        st.tuples(
            *(
                st.one_of(
                    st.integers(0, n - 1),
                    st.builds(slice, st.integers(0, n - 1), st.none(), st.integers(1, 3)),
                )
                for n in ds.shape
            )
        ).filter(lambda index: any(isinstance(part, slice) for part in index))
    )
    ours, theirs = ds[index].to_xarray(), ds.to_xarray()[index]
    assert ours.dims == theirs.dims
    assert set(ours.coords) == set(theirs.coords)
    assert ours.attrs == theirs.attrs
    for key, coord in theirs.coords.items():
        got = ours.coords[key]
        assert got.dims == coord.dims
        assert got.attrs == coord.attrs
        if coord.dtype.kind == "f":
            np.testing.assert_allclose(got, coord, rtol=1e-12, atol=1e-9)
        else:
            np.testing.assert_array_equal(got, coord)


@pytest.mark.parametrize("name", mostly_slow(["visp", "vtf", "cryonirsp", "dlnirsp"], "visp"))
def test_selecting_by_value_needs_no_name_of_an_axis(name: str, datasets: Any) -> None:
    ds = datasets(name)
    array = ds.to_xarray()
    suffix = str(array.name).removeprefix("data")
    wavelengths = array[f"wavelength{suffix}"].values
    steps, how = np.diff(wavelengths), "nearest"
    wanted = float(wavelengths[1] + 0.1 * steps[1])
    if steps.min() < 0:  # the simulator's VTF draws them at random
        wanted, how = float(wavelengths[1]), None
    plane = array.sel({f"wavelength{suffix}": wanted}, method=how).sel({f"stokes{suffix}": "U"})
    expected = ds.at(wavelength=wanted * u.nm, stokes="U")
    assert np.array_equal(plane.values, expected.data.compute(), equal_nan=True)


@pytest.mark.parametrize("name", mostly_slow(["visp", "vbi_mosaic", "croppable_cryo"], "visp"))
def test_the_frame_of_the_sky_can_be_made_again(name: str, datasets: Any) -> None:
    ds = datasets(name)
    attrs = plain(ds.to_xarray())["longitude"].attrs
    assert (attrs["frame"], attrs["observer"]) == ("helioprojective", "heliographic_stonyhurst")
    again = Helioprojective(
        obstime=attrs["obstime"],
        rsun=attrs["rsun_m"] * u.m,
        observer=HeliographicStonyhurst(
            attrs["observer_lon_deg"] * u.deg,
            attrs["observer_lat_deg"] * u.deg,
            attrs["observer_radius_m"] * u.m,
            obstime=attrs["obstime"],
        ),
    )
    world = ds.wcs.pixel_to_world(*[0] * len(ds.shape))
    (sky,) = (one for one in np.atleast_1d(world) if isinstance(one, SkyCoord))
    there = SkyCoord(sky.Tx, sky.Ty, frame=again)
    assert there.observer.separation_3d(sky.observer) < 1 * u.m
    assert abs(there.obstime - sky.obstime) < 1 * u.us


def test_large_grids_are_evaluated_when_needed(datasets: Any) -> None:
    ds = datasets("croppable_visp")
    array = ds.to_xarray()
    assert array.longitude.shape == (688, 2555)
    for coord in (array.longitude, array.latitude):
        assert isinstance(coord.data, da.Array)
        assert coord.data.chunks == (ds.data.chunks[1], ds.data.chunks[3])
    part = array[2, 100:120, 3, 1000:1010]
    low = ds.wcs.low_level_wcs
    step, slit = np.meshgrid(np.arange(100, 120), np.arange(1000, 1010), indexing="ij")
    values = low.pixel_to_world_values(slit, np.full_like(step, 3), step, np.full_like(step, 2))
    for name, kind in (("longitude", ".lon"), ("latitude", ".lat")):
        (which,) = (
            i for i, physical in enumerate(low.world_axis_physical_types) if physical.endswith(kind)
        )
        expected = (values[which] + 648000) % 1296000 - 648000
        np.testing.assert_allclose(part[name].compute(), expected, rtol=0, atol=1e-8)
    single = array.latitude[5, 7].compute()
    assert single == pytest.approx(array.latitude[5:6, 7:8].compute().item(), abs=0)


@pytest.mark.slow
def test_the_same_large_grid_has_the_same_name(datasets: Any) -> None:
    """Arithmetic in xarray compares coordinates, and evaluates those whose names differ."""
    ds = datasets("croppable_visp")
    grids = [
        ds[index].to_xarray().longitude.data.name
        for index in (np.s_[0], np.s_[1], np.s_[0, ::2], np.s_[0, 1:], np.s_[0, ..., 1:])
    ]
    assert grids[0] == grids[1]
    assert len(set(grids)) == 4
    quotient = ds[3].to_xarray() / ds[0].to_xarray()
    assert quotient.longitude.data.name == grids[0]


def test_a_dimension_keeps_its_name_from_other_coordinates() -> None:
    """Early ViSP datasets have labels exchanged: an axis called wavelength that lies on the sky."""
    spectral = cf.SpectralFrame(unit=u.nm, axes_order=(0,), axes_names=["wavelength"])
    along = cf.CoordinateFrame(
        1, "SPATIAL", (1,), unit=u.arcsec,
        axes_names=["along slit"], axis_physical_types=["custom:x"],
    )  # fmt: skip
    pixels = cf.CoordinateFrame(
        2, ["PIXEL"] * 2, (0, 1), unit=[u.pix] * 2, axes_names=["slit", "wavelength"]
    )
    model = (models.Shift(630) & models.Shift(5)) | models.Identity(2)
    wcs = gwcs.WCS([(pixels, model), (cf.CompositeFrame([spectral, along]), None)])
    ds = dv.Dataset(np.zeros((3, 4)), wcs=wcs)
    array = ds.to_xarray()
    assert array.dims == ("wavelength", "slit")
    assert array.wavelength_coordinate.dims == ("slit",)
    np.testing.assert_array_equal(array.wavelength_coordinate, [630, 631, 632, 633])
    np.testing.assert_array_equal(array.along_slit, [5, 6, 7])
    assert array.sel(wavelength_coordinate=632).shape == (3,)


# Headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow([*NAMES, "croppable_visp"], *QUICK))
def test_header_columns_lie_along_the_axes_of_the_files(name: str, datasets: Any) -> None:
    ds = datasets(name)
    shape = ds.provenance.array.frame_shape
    coords = plain(ds.to_xarray())
    assert {"DATE-AVG", "LINEWAV", "XPOSURE"} <= set(coords)
    assert coords["DATE-AVG"].shape == shape
    expected = [np.datetime64(str(date), "ns") for date in ds.headers["DATE-AVG"]]
    np.testing.assert_array_equal(coords["DATE-AVG"].values.ravel(), expected)
    np.testing.assert_array_equal(coords["LINEWAV"].values.ravel(), ds.headers["LINEWAV"])
    every = plain(ds.to_xarray(headers=ds.headers.colnames))
    assert set(ds.headers.colnames) <= set(every)
    assert "DATE-AVG" not in plain(ds.to_xarray(headers=()))
    frame = ds[(0,) * len(shape)].to_xarray(headers=["DATE-BEG", "INSTRUME"])
    assert plain(frame)["DATE-BEG"].values == np.datetime64(str(ds.headers["DATE-BEG"][0]), "ns")
    assert plain(frame)["INSTRUME"].item() == ds.headers["INSTRUME"][0]


def test_cards_that_a_frame_did_not_have(assets: Path, tmp_path: Path) -> None:
    ds = dv.open_dataset(with_files(tmp_path / "d.asdf", assets, lambda node: None))
    assert isinstance(ds, dv.Dataset)
    table = ds.headers
    assert table is not None
    n = len(table)
    hidden = np.arange(n) % 3 == 1
    table["DATE-HID"] = np.ma.MaskedArray(np.array(table["DATE-AVG"]), mask=hidden)
    table["AFLOAT"] = np.ma.MaskedArray(np.arange(n, dtype="f4"), mask=hidden)
    table["ANINT"] = np.ma.MaskedArray(np.arange(n), mask=hidden)
    table["ATEXT"] = np.ma.MaskedArray(np.arange(n).astype(str), mask=hidden)
    table["ABOOL"] = np.ma.MaskedArray(np.arange(n) % 2 == 0, mask=hidden)
    table["DATETEXT"] = ["no date"] * n
    table["ACELL"] = np.zeros((n, 2))
    names = ["DATE-HID", "AFLOAT", "ANINT", "ATEXT", "ABOOL", "DATETEXT"]
    array = ds.to_xarray(headers=names)
    got = {name: array[name].values.ravel() for name in names}
    np.testing.assert_array_equal(np.isnat(got["DATE-HID"]), hidden)
    for name in ("AFLOAT", "ANINT"):
        np.testing.assert_array_equal(np.isnan(got[name]), hidden)
        np.testing.assert_array_equal(got[name][~hidden], np.arange(n)[~hidden])
    for name in ("ATEXT", "ABOOL"):
        np.testing.assert_array_equal(pd.isnull(got[name]), hidden)
        np.testing.assert_array_equal(got[name][~hidden], np.asarray(table[name])[~hidden])
    assert set(got["DATETEXT"]) == {"no date"}
    with pytest.raises(DatasetError, match="ACELL"):
        ds.to_xarray(headers=["ACELL"])


def test_a_keyword_that_is_not_there(datasets: Any) -> None:
    with pytest.raises(DatasetError, match=r"'NOSUCH'.*colnames"):
        datasets("visp").to_xarray(headers=["DATE-AVG", "NOSUCH"])
    without = datasets("visp_no_headers")[:, :50]
    assert set(without.to_xarray().coords) == {"time", "wavelength", "longitude", "latitude"}
    with pytest.raises(DatasetError, match="no header table"):
        without.to_xarray(headers=["DATE-AVG"])


# What else there is --------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow(["visp", "vtf", "dlnirsp", "vbi_mosaic"], "visp"))
def test_what_xarray_writes_comes_back(name: str, datasets: Any, tmp_path: Path) -> None:
    array = datasets(name).to_xarray()
    array.to_dataset().to_zarr(tmp_path / "copy.zarr", zarr_format=2)
    again = xr.open_zarr(tmp_path / "copy.zarr", chunks={})[array.name]
    assert set(again.coords) == set(array.coords)
    xr.testing.assert_equal(again.compute(), array.compute())
    assert again.attrs == array.attrs


def test_computed_pixels_keep_their_coordinates(datasets: Any) -> None:
    ds = datasets("vtf")
    ours, theirs = (ds * 2).to_xarray(), ds.to_xarray() * 2
    assert ours.dims == theirs.dims
    assert set(ours.coords) == set(theirs.coords)
    xr.testing.assert_allclose(ours, theirs)


def test_a_mask_goes_along(assets: Path, tmp_path: Path) -> None:
    mask = np.zeros((4, 20, 50, 128), bool)
    mask[1, 2, 3:5] = True
    ds = dv.open_dataset(with_files(tmp_path / "d.asdf", assets, lambda node: None, mask=mask))
    assert isinstance(ds, dv.Dataset)
    np.testing.assert_array_equal(ds.to_xarray()["mask"], mask)
    np.testing.assert_array_equal(ds[1, 2, ::2].to_xarray()["mask"], mask[1, 2, ::2])
    assert "mask" not in dv.open_dataset(unpacked(VISP, assets)).to_xarray().coords  # type: ignore[union-attr]


@pytest.mark.slow
def test_without_xarray_it_says_what_to_install(simulated: Any) -> None:
    code = (
        "import sys; sys.modules['xarray'] = None\n"
        "import dkist_virtual as dv\n"
        "try:\n    dv.open_dataset(sys.argv[1]).to_xarray()\n"
        "except ImportError as error:\n    print(error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, simulated("visp")], capture_output=True, text=True, check=True
    )
    assert "pip install xarray" in run.stdout


# Computing them together ---------------------------------------------------------------------


def test_pixels_are_computed_together_with_lazy_coordinates_and_masks(
    tmp_path: Path, datasets: Any
) -> None:
    # A field whose coordinates are lazy, and masks and uncertainties that are dask arrays.
    import dask.array as da
    from astropy.nddata import StdDevUncertainty

    ds = datasets("vtf")[:, 0]
    ds.mask = ds > np.float32(0) * ds.unit
    ds.uncertainty = StdDevUncertainty(da.ones(ds.shape, chunks=(1, 1, -1, -1)))
    array = ds.to_xarray().assign_coords(
        lazily=(ds.to_xarray().dims, da.zeros(ds.shape, chunks=(1, 3, -1, -1)))
    )
    pixels = ds.data.compute()
    for part, expected in (
        (array, pixels),
        (array * 2, pixels * 2),
        (array.isel(stokes=1) + array.isel(stokes=0), pixels[1] + pixels[0]),
    ):
        np.testing.assert_array_equal(part.compute().values, expected)
    array.to_dataset(name="saved").to_zarr(tmp_path / "saved.zarr", zarr_format=2)
    saved = xr.open_zarr(tmp_path / "saved.zarr")
    np.testing.assert_array_equal(saved.saved.values, pixels)
    np.testing.assert_array_equal(saved.mask.values, pixels > 0)
