"""Which axes are drawn, and what a plane reads, compared with numpy, astropy and the requests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import mostly_slow
from simulated import NAMES, QUICK

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import World
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import SelectionError
from dkist_virtual.plot.planes import PlaneReader, ShownAxes, context, labels_of, shown_axes

KINDS = ("stokes", "wavelength", "time", "longitude", "latitude", "other")


def world(ds: dv.Dataset) -> World:
    return World(ds.wcs, ds.shape)


# Axes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "index", "y", "x"),
    [
        ("vtf", (), 3, 4),
        ("visp", (), 3, 2),  # wavelength to the right
        ("cryonirsp", (), 3, 4),
        ("dlnirsp", (), 3, 4),
        ("vbi_mosaic", (), 1, 2),
        ("visp", (0, slice(None), 5), 1, 0),  # a map: along the longitude to the right
        ("croppable_visp", (), 3, 2),
        ("croppable_visp", (0, slice(None), 500), 1, 0),
        ("croppable_cryo", (), 4, 3),  # its longitude runs along the rows
    ],
)
def test_the_axes_of_a_frame_the_right_way_round(
    name: str, index: Any, y: int, x: int, datasets: Any
) -> None:
    ds = datasets(name)[index] if index else datasets(name)
    shown = shown_axes(world(ds))
    assert (shown.y, shown.x) == (y, x)
    assert shown.sliding == tuple(a for a in range(len(ds.shape)) if a not in (x, y))


def test_axes_as_ndcube_names_them(datasets: Any) -> None:
    vtf = world(datasets("vtf"))
    assert shown_axes(vtf, [None, None, "x", "y", None]) == ShownAxes(2, 3, (0, 1, 4), 5)
    assert shown_axes(vtf, [..., "y", "x"]) == ShownAxes(4, 3, (0, 1, 2), 5)
    assert shown_axes(vtf, ["y", ..., "x"]) == ShownAxes(4, 0, (1, 2, 3), 5)
    assert shown_axes(vtf, [None, None, "x", ...]) == ShownAxes(2, None, (0, 1, 3, 4), 5)


@pytest.mark.parametrize(
    "plot_axes", [["x", "y"], [..., "y"], ["x", "x", ...], ["x", "z", ...], [], [..., "x", ...]]
)
def test_axes_that_are_none(plot_axes: Any, datasets: Any) -> None:
    with pytest.raises(SelectionError, match="expected 5 entries"):
        shown_axes(world(datasets("vtf")), plot_axes)


def test_axes_of_one_pixel_need_no_slider(datasets: Any) -> None:
    assert shown_axes(world(datasets("vtf")[:1, :, 1:2])).sliding == (1,)


def test_a_coordinate_for_each_axis_by_what_it_is(datasets: Any) -> None:
    for name, expected in {
        "vtf": ["stokes", "time", "wavelength", "latitude", "longitude"],
        "visp": ["stokes", "time", "wavelength", "latitude"],
        "cryonirsp": ["stokes", "time", "time", "latitude", "wavelength"],
        "dlnirsp": ["stokes", "time", "wavelength", "latitude", "longitude"],
        "croppable_visp": ["stokes", "time", "wavelength", "latitude"],
    }.items():
        of = world(datasets(name))
        labels = labels_of(of, range(len(of.shape)))
        assert [of.axes[labels[a] or 0].kind for a in range(len(of.shape))] == expected, name


def test_what_a_slice_holds(datasets: Any) -> None:
    ds = datasets("vtf")
    sliced = ds[2, 1, 1]
    held = context(World(ds.wcs, ds.shape), sliced.provenance.cut.axes)
    low = ds.wcs.low_level_wcs
    values = dict(zip(low.world_axis_physical_types, low.pixel_to_world_values(0, 0, 1, 1, 2)))  # noqa: B905
    assert held["stokes"][1] == values["phys.polarization.stokes"] == 3
    assert held["wavelength"][1] == values["em.wl"]
    assert held["time"][1] == values["time"]
    # A repeat alone is no moment: the wavelengths were taken one after the other.
    held = context(World(ds.wcs, ds.shape), ds[2, 1].provenance.cut.axes)
    assert set(held) == {"stokes"}


# Reading -------------------------------------------------------------------------------------


@pytest.fixture
def served(simulated: Any, converted: Any) -> Iterator[Any]:
    """``served(name)``: a store of a simulated dataset, read from a server that counts."""
    with ExitStack() as servers:

        def dataset(name: str) -> tuple[dv.Dataset, FrameServer]:
            server = servers.enter_context(FrameServer(simulated(name)).running())
            ds = dv.open_dataset(converted(name), frames=server.url)
            server.forget()
            return ds.flat[0] if isinstance(ds, dv.TiledDataset) else ds, server

        yield dataset


def reader(ds: dv.Dataset, plot_axes: Any = None) -> PlaneReader:
    return PlaneReader(ds._data, ds.mask, shown_axes(world(ds), plot_axes))


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_a_plane_is_what_astropy_reads(name: str, datasets: Any, simulated: Any) -> None:
    ds = datasets(name)
    planes = reader(ds)
    first = fits.getdata(simulated(name) / ds.files.names[0], 1 if name != "visp_plain" else 0)
    first = np.squeeze(first)
    if first.ndim == 3:
        first = first[0]
    if planes.axes.y > planes.axes.x:  # type: ignore[operator]
        first = first.T
    plane = planes.read([0] * len(ds.shape))
    assert plane.absent is None
    np.testing.assert_array_equal(plane.pixels, first)


@pytest.mark.parametrize(
    "name", mostly_slow([name for name in NAMES if name != "visp_moving"], *QUICK)
)
@settings(deadline=None, max_examples=5)
@given(data=st.data())
def test_any_plane_of_any_axes(name: str, data: st.DataObject, datasets: Any) -> None:
    ds = datasets(name)
    order = data.draw(st.permutations(range(len(ds.shape))))
    axes: list[Any] = [None] * len(ds.shape)
    axes[order[0]], axes[order[1]] = "x", "y"
    at = [data.draw(st.integers(0, n - 1)) for n in ds.shape]
    plane = reader(ds, axes).read(at)
    everything = ds.data.compute()
    expected = np.moveaxis(everything, (order[1], order[0]), (0, 1))
    rest = tuple(at[a] for a in range(len(ds.shape)) if a not in order[:2])
    np.testing.assert_array_equal(plane.pixels, expected[(slice(None), slice(None), *rest)])


def test_a_plane_of_one_frame_reads_one_frame(served: Any) -> None:
    ds, server = served("vtf")
    planes = reader(ds)
    planes.read([1, 0, 2, 0, 0])
    # A whole frame is one request, of the bytes of its HDU.
    (get,) = [r for r in server.requests if r[0] == "GET"]
    assert get[1] == ds[1, 0, 2].files.names[0]
    server.forget()
    planes.read([1, 0, 2, 0, 0])
    assert server.requests == []


def test_a_map_reads_a_row_of_each_frame(served: Any) -> None:
    ds, server = served("visp")
    planes = reader(ds, [None, "x", None, "y"])
    planes.read([2, 0, 7, 0])
    names = {path for _, path, *_ in server.requests}
    assert names == set(ds[2].files.names)
    sizes = sum((server.directory / name).stat().st_size for name in names)
    # The header with the table of tiles, which is most of so small a frame, and one tile.
    heads = sum(_head(server.directory / name) for name in names)
    assert server.sent < heads + 0.1 * (sizes - heads)


def _head(path: Path) -> int:
    """Where a frame's first pixel bytes lie, by astropy: all before them is header and table."""
    with fits.open(path, disable_image_compression=True) as hdus:
        table = hdus[1]
        head: int = table._data_offset + table.header["NAXIS1"] * table.header["NAXIS2"]
    return head


def test_the_next_plane_is_read_ahead_once(served: Any) -> None:
    ds, server = served("vtf")
    planes = reader(ds)
    planes.read([0, 0, 0, 0, 0])
    planes.read_ahead([0, 0, 1, 0, 0])
    planes.read_ahead([0, 0, 1, 0, 0])
    pixels = planes.read([0, 0, 1, 0, 0]).pixels
    np.testing.assert_array_equal(pixels, ds[0, 0, 1].data.compute())
    paths = [path for method, path, *_ in server.requests if method == "GET"]
    assert paths.count(ds[0, 0, 1].files.names[0]) == 2  # once by this test itself
    planes.close()


def test_what_waits_ahead_gives_way(datasets: Any) -> None:
    """Reads ahead that were overtaken are dropped, not queued."""
    from threading import Event

    ds = datasets("vtf")
    planes = reader(ds)
    hold, began = Event(), Event()
    read = planes._read

    def slow(at: tuple[int, ...]) -> Any:
        if at == (0, 0, 1, 0, 0):
            began.set()
            hold.wait()
        return read(at)

    planes._read = slow  # type: ignore[method-assign]
    planes.read_ahead([0, 0, 1, 0, 0])
    began.wait()
    planes.read_ahead([1, 0, 1, 0, 0])
    planes.read_ahead([2, 0, 1, 0, 0])
    assert set(planes._coming) == {(0, 0, 1, 0, 0), (2, 0, 1, 0, 0)}
    # One that waits for its turn is read at once by who wants to see it.
    pixels = planes.read([2, 0, 1, 0, 0]).pixels
    np.testing.assert_array_equal(pixels, ds[2, 0, 1].data.compute())
    hold.set()
    np.testing.assert_array_equal(planes.read([0, 0, 1, 0, 0]).pixels, ds[0, 0, 1].data.compute())
    planes.close()


def test_planes_beyond_what_is_kept_are_forgotten(served: Any) -> None:
    ds, server = served("vtf")
    frame = 30 * 44 * 4
    planes = PlaneReader(ds._data, None, shown_axes(world(ds)), keep=2 * frame)
    for stokes in range(3):
        planes.read([stokes, 0, 0, 0, 0])
    server.forget()
    planes.read([2, 0, 0, 0, 0])
    planes.read([1, 0, 0, 0, 0])
    assert server.requests == []
    planes.read([0, 0, 0, 0, 0])
    assert len(server.requests) == 1


# Absent frames and masks ------------------------------------------------------------------------


def without(simulated: Any, name: str, tmp_path: Path, *gone: int) -> dv.Dataset:
    """A dataset some of whose frames are not there, reads of which raise."""
    directory = tmp_path / "part"
    shutil.copytree(simulated(name), directory)
    ds = dv.open_dataset(directory)
    assert isinstance(ds, dv.Dataset)
    for number in gone:
        (directory / str(ds.files.names[number])).unlink()
    return dv.open_dataset(directory)  # type: ignore[return-value]


def test_absent_frames_are_marked_where_they_would_be(simulated: Any, tmp_path: Path) -> None:
    ds = without(simulated, "visp", tmp_path, 1, 6)
    assert ds.provenance is not None
    planes = reader(ds, [None, "x", None, "y"])
    plane = planes.read([0, 0, 3, 0])
    assert plane.absent is not None
    expected = np.zeros(plane.pixels.shape, bool)
    expected[:, 1] = True
    np.testing.assert_array_equal(plane.absent, expected)
    assert np.isnan(plane.pixels[:, 1]).all()
    whole = dv.open_dataset(simulated("visp"))[0, :, 3].data.compute().T
    np.testing.assert_array_equal(plane.pixels[:, [0, 2, 3]], whole[:, [0, 2, 3]])
    plane = planes.read([1, 0, 3, 0])
    assert plane.absent is not None
    assert plane.absent[:, 2].all()
    assert not plane.absent[:, [0, 1, 3]].any()
    assert planes.read([2, 0, 3, 0]).absent is None


@pytest.mark.slow
def test_what_was_computed_from_absent_frames_is_absent(simulated: Any, tmp_path: Path) -> None:
    directory = tmp_path / "part"
    without(simulated, "vtf", tmp_path, 1)
    ds = dv.open_dataset(directory, chunks="frame")
    planes = PlaneReader((ds.data + 1), None, shown_axes(world(ds)))
    plane = planes.read([0, 0, 1, 0, 0])
    assert plane.absent is not None
    assert plane.absent.all()
    assert plane.absent.shape == (30, 44)
    np.testing.assert_array_equal(
        planes.read([0, 0, 0, 0, 0]).pixels, ds[0, 0, 0].data.compute() + 1
    )


def test_masked_pixels_are_no_numbers(datasets: Any) -> None:
    ds = datasets("vtf")
    mask = np.zeros(ds.shape, bool)
    mask[0, 1, 2, 3:5, 7] = True
    planes = PlaneReader(ds._data, mask, shown_axes(world(ds)))
    shown = planes.read([0, 1, 2, 0, 0]).pixels
    np.testing.assert_array_equal(np.isnan(shown), mask[0, 1, 2])
    assert not np.isnan(planes.read([0, 1, 1, 0, 0]).pixels).any()
