"""Select, list files and download on datasets of every instrument, one tile of each mosaic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, SpectralCoord, StokesCoord
from astropy.io import fits
from astropy.time import Time
from astropy.wcs.wcsapi import BaseWCSWrapper
from dkist_assets import load, unpacked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import mostly_slow
from simulated import MOSAICS, NAMES, QUICK

import dkist_virtual as dv
from dkist_virtual.cube.crop import crop_index, nearest_index
from dkist_virtual.cube.world_axes import World
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import SelectionError

REAL = ("croppable_visp.asdf.gz", "croppable_cryo.asdf.gz", "large_vbi.asdf.gz")


@pytest.fixture(scope="module")
def served(simulated: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """``served(name)``: a store whose frames are on a server, scanned."""
    stores = tmp_path_factory.mktemp("stores")
    with FrameServer(simulated(NAMES[0]).parent).running() as server:

        def store(name: str) -> Path:
            place: Path = simulated(name)
            if not (stores / name).exists():
                base = f"{server.url}/{place.name}"
                dv.convert(place, stores / name, frames=place, base=base, scan="always")
            return stores / name

        store.server = server  # type: ignore[attr-defined]
        yield store


@pytest.fixture(scope="module")
def pixels(simulated: Any) -> Any:
    """``pixels(name)``: our dataset read from its frames' directory, and dkist's array."""
    opened: dict[str, tuple[dv.Dataset, Any]] = {}

    def dataset(name: str) -> tuple[dv.Dataset, Any]:
        if name not in opened:
            ours, theirs = dv.open_dataset(simulated(name)), load(simulated(name))
            if isinstance(ours, dv.TiledDataset):
                ours, theirs = ours.flat[-1], theirs.flat[len(ours.flat) - 1]
            opened[name] = ours, theirs.data.compute()
        return opened[name]

    return dataset


@st.composite
def indices(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """For each axis an integer or a slice, steps included; never an integer for all."""
    entries: list[Any] = []
    for n in shape:
        if draw(st.booleans()) and any(m > 1 for m in shape):
            entries.append(draw(st.integers(-n, n - 1)))
        else:
            start = draw(st.integers(0, n - 1))
            stop = draw(st.integers(start + 1, n))
            entries.append(slice(start, stop, draw(st.none() | st.integers(1, 5))))
    if all(isinstance(entry, int) for entry in entries):
        entries[draw(st.integers(0, len(shape) - 1))] = slice(None, None, 2)
    return tuple(entries)


def assert_world_follows(whole: dv.Dataset, cut: dv.Dataset, index: tuple[Any, ...]) -> None:
    """Pixel i of a slice lies where pixel start + i * step of the whole lies."""
    before, after = whole.wcs.low_level_wcs, cut.wcs.low_level_wcs
    assert after.pixel_n_dim == len(cut.shape)
    ranges = [
        range(n)[part] if isinstance(part, slice) else range(n)[part : part + 1 or None]
        for n, part in zip(whole.shape, index, strict=True)
    ]
    for end in (0, -1):
        place = [pixels[end] for pixels in ranges]
        pixel = [(len(pixels) - 1) * (end == -1) for pixels in ranges]
        kept = [p for p, part in zip(pixel, index, strict=True) if isinstance(part, slice)]
        expected = np.atleast_1d(before.pixel_to_world_values(*place[::-1]))
        found = np.atleast_1d(after.pixel_to_world_values(*kept[::-1]))
        names = list(before.world_axis_names)
        for name, value in zip(after.world_axis_names, found, strict=True):
            np.testing.assert_allclose(value, expected[names.index(name)], rtol=1e-12, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_data_wcs_headers_and_files_follow(
    name: str, pixels: Any, simulated: Any, data: st.DataObject
) -> None:
    ds, expected = pixels(name)
    index = data.draw(indices(ds.shape))
    cut = ds[index]
    np.testing.assert_array_equal(cut.data.compute(), expected[index])
    assert_world_follows(ds, cut, index)
    # Which frames those pixels are in, by their place among all.
    n_frames = len(ds.files)
    n = next(n for n in range(1, len(ds.shape)) if np.prod(ds.shape[:n]) == n_frames)
    rows = np.arange(n_frames).reshape(ds.shape[:n])[index[:n]].ravel()
    assert cut.files.names == [ds.files.names[row] for row in rows]
    assert cut.files.keys == [ds.files.keys[row] for row in rows]
    assert [row["DATE-AVG"] for row in cut.headers] == [
        fits.getheader(simulated(name) / file, 1 if name != "visp_plain" else 0)["DATE-AVG"]
        for file in cut.files.names
    ]


@pytest.mark.parametrize("name", mostly_slow(REAL, "croppable_visp"))
@settings(
    deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_the_wcs_of_the_data_centers_datasets_follows(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = tmp_path_factory.getbasetemp() / "real"
    place.mkdir(exist_ok=True)
    ds = dv.open_dataset(unpacked(name, place))
    ds = ds.flat[-1] if isinstance(ds, dv.TiledDataset) else ds
    index = data.draw(indices(ds.shape))
    cut = ds[index]
    assert_world_follows(ds, cut, index)
    assert len(cut.headers) == len(cut.files)


@pytest.mark.parametrize("name", mostly_slow(NAMES, "visp"))
def test_what_forms_no_rectangle_points_to_the_files(name: str, pixels: Any) -> None:
    ds, _ = pixels(name)
    for index in ([0, 1], (slice(None, None, -1),), np.ones(ds.shape, bool)):
        with pytest.raises(SelectionError, match=r"ds\.files"):
            ds[index]


# By coordinates ---------------------------------------------------------------------------------


def coordinates(ds: dv.Dataset, pixel: tuple[int, ...]) -> list[Any]:
    found = ds.wcs.pixel_to_world(*pixel[::-1])
    return list(found) if isinstance(found, (list, tuple)) else [found]


def in_words(coordinate: Any) -> Any:
    """The same as somebody writes it: a letter, a plain quantity in another unit."""
    if isinstance(coordinate, StokesCoord):
        return str(coordinate.symbol)
    if isinstance(coordinate, SpectralCoord):
        return u.Quantity(coordinate).to(u.AA)
    return coordinate


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_every_coordinate_alone_in_words(name: str, pixels: Any) -> None:
    ds, expected = pixels(name)
    middle = tuple(n // 2 for n in ds.shape)
    kinds = set()
    for coordinate in coordinates(ds, middle):
        kinds.add(type(coordinate))
        cropped = ds.crop(in_words(coordinate), keepdims=True)
        assert cropped.shape == ds.crop(coordinate, keepdims=True).shape
        assert len(cropped.headers) == len(cropped.files)
        # In it are pixels that have this coordinate: the pixel that was asked for is one.
        assert np.isin(expected[middle], cropped.data.compute()) or np.isnan(expected[middle])
        if isinstance(coordinate, StokesCoord):
            assert ds.crop(str(coordinate.symbol).lower(), keepdims=True).shape == cropped.shape
    assert {SkyCoord, Time} <= kinds
    assert (StokesCoord in kinds) == (name.partition("_")[0] != "vbi" and name != "visp_moving")


class OtherLabels(BaseWCSWrapper):  # type: ignore[misc]  # astropy comes without types
    """A WCS in which every axis has another's name, as two axes of early ViSP have."""

    @property
    def world_axis_names(self) -> list[str]:
        names = list(self._wcs.world_axis_names)
        return names[1:] + names[:1]

    @property
    def pixel_axis_names(self) -> list[str]:
        return list(self._wcs.pixel_axis_names)[::-1]

    @property
    def pixel_n_dim(self) -> int:
        return int(self._wcs.pixel_n_dim)

    @property
    def world_n_dim(self) -> int:
        return int(self._wcs.world_n_dim)

    @property
    def world_axis_physical_types(self) -> Any:
        return self._wcs.world_axis_physical_types

    @property
    def world_axis_units(self) -> Any:
        return self._wcs.world_axis_units

    @property
    def axis_correlation_matrix(self) -> Any:
        return self._wcs.axis_correlation_matrix

    def pixel_to_world_values(self, *pixel_arrays: Any) -> Any:
        return self._wcs.pixel_to_world_values(*pixel_arrays)

    def world_to_pixel_values(self, *world_arrays: Any) -> Any:
        return self._wcs.world_to_pixel_values(*world_arrays)


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_labels_decide_nothing(name: str, pixels: Any) -> None:
    ds, _ = pixels(name)
    right = World(ds.wcs, ds.shape)
    wrong = World(OtherLabels(ds.wcs.low_level_wcs), ds.shape)
    assert [axis.name for axis in right.axes] != [axis.name for axis in wrong.axes]
    kinds = {SkyCoord: "longitude", SpectralCoord: "wavelength", Time: "time"}
    for coordinate in coordinates(ds, tuple(n // 2 for n in ds.shape)):
        assert crop_index(wrong, [coordinate]) == crop_index(right, [coordinate])
        at = {kinds.get(type(coordinate), "stokes"): coordinate}
        assert nearest_index(wrong, at) == nearest_index(right, at)  # type: ignore[arg-type]


# By headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_frames_in_good_seeing(name: str, served: Any, simulated: Any) -> None:
    """Held against each frame's own header and length."""
    ds = dv.open_dataset(served(name))
    headers = ds.combined_headers if isinstance(ds, dv.TiledDataset) else ds.headers
    r0 = {}
    for path in simulated(name).glob("*.fits"):
        r0[path.name] = fits.getheader(path, 1 if name != "visp_plain" else 0)["ATMOS_R0"]
    good = ds.files[headers["ATMOS_R0"] > 0.08]
    expected = [file for file in ds.files.names if r0[file] > 0.08]
    assert 0 < len(expected) < len(ds.files)
    assert good.names == expected
    assert good.keys == [
        key for key, file in zip(ds.files.keys, ds.files.names, strict=True) if file in expected
    ]
    sizes = [(simulated(name) / file).stat().st_size for file in expected]
    assert good.sizes.tolist() == sizes
    assert good.nbytes == sum(sizes)
    assert str(good).startswith(f"{len(good)} of {len(ds.files)} files, ")


# Downloads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_a_download_is_read_here_afterwards(
    name: str, served: Any, simulated: Any, tmp_path: Path
) -> None:
    ds, theirs = dv.open_dataset(served(name)), load(simulated(name))
    server: FrameServer = served.server
    mosaic = isinstance(ds, dv.TiledDataset)
    part = ds.slice_tiles[1] if mosaic else ds[1]
    done = part.download(tmp_path / "here", verify=True)
    assert len(done.items) == len(part.files) < len(ds.files)
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == sorted(part.files.names)
    for file in part.files.names:
        assert (tmp_path / "here" / file).read_bytes() == (simulated(name) / file).read_bytes()
    server.forget()
    ours = list(ds.flat) if mosaic else [ds]
    others = list(theirs.flat) if mosaic else [theirs]
    for one, other in zip(ours, others, strict=True):
        np.testing.assert_array_equal(one[1].data.compute(), other[1].data.compute())
    assert server.requests == []
    assert f", {len(part.files)} here already" in str(ds.files)
    assert ds.files.places == [str(tmp_path / "here"), f"{server.url}/{simulated(name).name}"]
    # The others still come from the server.
    assert ours[0][0].data.shape == others[0][0].data.shape
    np.testing.assert_array_equal(ours[0][0].data.compute(), others[0][0].data.compute())
    assert server.requests


def test_the_instruments() -> None:
    """Five, two of them with mosaics."""
    assert {name.partition("_")[0] for name in NAMES} == {
        "visp", "vtf", "vbi", "cryonirsp", "dlnirsp",
    }  # fmt: skip
    assert {name.partition("_")[0] for name in MOSAICS} == {"vbi", "dlnirsp"}
