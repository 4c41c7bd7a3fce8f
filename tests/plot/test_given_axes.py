"""Compare plots in axes of the user's with those that ndcube draws of the same pixels and WCS."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from ndcube import NDCube
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import DatasetError, SelectionError


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


def cube_of(ds: dv.Dataset) -> NDCube:
    """The same pixels and coordinates, as ndcube has them."""
    mask = None if ds.mask is None else np.asarray(ds.mask)
    return NDCube(ds.data.compute(), ds.wcs, mask=mask, unit=ds.unit, uncertainty=ds.uncertainty)


def looks(axes: Any) -> dict[str, Any]:
    """What axes of astropy's show, once drawn: pixels, contrast, lines and all texts."""
    axes.get_figure().canvas.draw()
    found: dict[str, Any] = {
        "limits": (axes.get_xlim(), axes.get_ylim()),
        "title": axes.get_title(),
        "aspect": axes.get_aspect(),
        "labels": (axes.get_xlabel(), axes.get_ylabel()),
    }
    for number, image in enumerate(axes.images):
        found[f"pixels {number}"] = np.ma.filled(np.ma.asarray(image.get_array(), float), -1e30)
        found[f"image {number}"] = (image.get_extent(), image.get_clim(), image.get_cmap().name,
                                    image.get_interpolation(), image.get_alpha())  # fmt: skip
    for number, line in enumerate(axes.lines):
        found[f"line {number}"] = np.ma.filled(np.ma.asarray(line.get_xydata(), float), -1e30)
        found[f"look {number}"] = (line.get_linestyle(), line.get_marker(), line.get_color())
    for number, coordinate in enumerate(axes.coords):
        ticks = coordinate._ticklabels  # astropy gives their texts by no public name
        found[f"coordinate {number}"] = (
            coordinate.get_axislabel(), str(coordinate.get_format_unit()),
            coordinate.get_ticks_visible(), {side: list(t) for side, t in ticks.text.items()},
        )  # fmt: skip
    return found


def compare(ds: dv.Dataset, slices: Any = None, **options: Any) -> Any:
    """Draw both, compare all that they show, and the picture; return our axes."""
    drawn = []
    for one in (ds, cube_of(ds)):
        figure = plt.figure(figsize=(5, 4))
        axes = figure.add_subplot(111, projection=ds.wcs, slices=slices)
        assert one.plot(axes=axes, **options) is axes
        if one is not ds and ds.lineage.is_computed:
            axes.set_title("(computed)")  # which ndcube does not say
        drawn.append((looks(axes), np.asarray(figure.canvas.buffer_rgba()), axes))
    (ours, picture, axes), (theirs, their_picture, _) = drawn
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(ours[name], value)
        else:
            assert ours[name] == value, name
    np.testing.assert_array_equal(picture, their_picture)
    return axes


PLANES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "a ViSP spectrum": ("visp", np.s_[0, 1], {}),
    "a ViSP raster, whose slice drops a world axis": ("visp", np.s_[0, :, 5], {"cmap": "magma"}),
    "transposed": ("visp", np.s_[1, 2], {"plot_axes": ["x", "y"], "aspect": "auto"}),
    "VBI": ("vbi_mosaic", np.s_[1], {"axes_units": ["deg", "deg"]}),
    "VTF": ("vtf", np.s_[2, 1, 1], {"interpolation": "nearest", "alpha": 0.5}),
    "Cryo-NIRSP": ("cryonirsp", np.s_[0, 1, 1], {"norm": mpl.colors.LogNorm()}),
    "a wavelength in another unit": ("visp", np.s_[0, 1, :, 3], {"axes_units": ["pm"]}),
    "a line": ("visp", np.s_[0, 1, :, 7], {"linestyle": "--", "color": "k", "marker": "s"}),
    "a light curve": ("vtf", np.s_[0, :, 1, 3, 4], {"lw": 3}),
    "another unit": ("vtf", np.s_[0, 0, 0], {"data_unit": u.adu}),
}  # fmt: skip


@pytest.mark.parametrize("case", mostly_slow(PLANES, "a line"))
def test_as_ndcube_draws(case: str, datasets: Any) -> None:
    name, index, options = PLANES[case]
    ds = datasets(name)[index]
    if "data_unit" in options:
        ds = ds * (2 * u.adu / u.ct)
        options = {"data_unit": u.Unit("1000 adu")}
    compare(ds, **options)


@pytest.mark.slow
def test_a_mask_and_an_uncertainty(datasets: Any) -> None:
    plane = datasets("vtf")[0, 0, 0]
    mask = np.zeros(plane.shape, bool)
    mask[3:9, 5:20] = True
    spread = StdDevUncertainty(np.linspace(1, 2, mask.size).reshape(mask.shape))
    plane = plane.with_data(plane.data, unit=plane.unit, mask=mask, uncertainty=spread)
    compare(plane)
    axes = compare(plane[4])
    assert axes.containers, "error bars"
    compare(plane[4], data_unit=u.Unit("1000 ct"))


@pytest.mark.slow
def test_limits_with_a_unit(datasets: Any) -> None:
    ds = datasets("vtf")[0, 0, 0]
    axes = plt.subplot(projection=ds.wcs)
    limits = {"vmin": 0.1 * u.Unit("1000 ct"), "vmax": 900 * u.ct}
    assert ds.plot(axes=axes, **limits) is axes
    assert axes.images[0].get_clim() == (100, 900)
    ds.plot(axes=axes, data_unit=u.Unit("1000 ct"), **limits)
    assert axes.images[1].get_clim() == pytest.approx((0.1, 0.9))
    with pytest.raises(
        u.UnitConversionError, match=r"vmin = 3.0 m: the pixels drawn are in \[ct\]"
    ):
        ds.plot(axes=axes, vmin=3 * u.m)
    bar = plt.colorbar()
    assert bar.mappable is axes.images[1]
    assert plt.gca() is axes


def test_two_datasets_side_by_side(datasets: Any) -> None:
    one, other = datasets("visp")[0, 0], datasets("vtf")[0, 0, 0]
    figure = plt.figure(figsize=(9, 4))
    left = figure.add_subplot(121, projection=one.wcs)
    right = figure.add_subplot(122, projection=other.wcs)
    one.plot(axes=left, aspect="auto", title="one")
    other.plot(right)  # in ndcube's place
    figure.canvas.draw()
    np.testing.assert_array_equal(left.images[0].get_array(), one.data.compute())
    np.testing.assert_array_equal(right.images[0].get_array(), other.data.compute())
    assert (left.get_title(), right.get_title()) == ("one", "")


def test_plain_axes_get_world_coordinates(datasets: Any) -> None:
    ds = datasets("visp")[0, 1]
    _, (left, right) = plt.subplots(1, 2)
    assert ds.plot(axes=left) is left
    np.testing.assert_array_equal(left.images[0].get_array(), ds.data.compute())
    assert left.get_ylabel() == "wavelength [nm]"
    line = ds[:, 3]
    line.plot(axes=right, linestyle=":")
    wavelengths = line.wcs.low_level_wcs.pixel_to_world_values(np.arange(line.shape[0]))
    found = right.lines[0].get_xydata()
    order = np.argsort(wavelengths)
    np.testing.assert_allclose(found[:, 0], wavelengths[order])
    np.testing.assert_array_equal(found[:, 1], line.data.compute()[order])
    assert right.get_xlabel() == "wavelength [nm]"
    assert right.get_ylabel() == "data [ct]"
    with pytest.raises(TypeError, match=r"axes_units in axes without a WCS"):
        ds.plot(axes=left, axes_units=["nm", None, None])


def test_refusals_in_given_axes(datasets: Any) -> None:
    ds = datasets("visp")[0, 1]
    axes = plt.subplot(projection=ds.wcs)
    for keyword in ("colour", "extent", "clip_interval"):
        with pytest.raises(TypeError, match=f"plot of an image in given axes: no such .*{keyword}"):
            ds.plot(axes=axes, **{keyword: 1})
    with pytest.raises(TypeError, match="no such keyword: cmap"):
        ds[3].plot(axes=axes, cmap="gray")
    with pytest.raises(TypeError, match="axes = 3: expected axes of matplotlib"):
        ds.plot(axes=3)
    with pytest.raises(TypeError, match="these axes are in another figure"):
        ds.plot(axes=axes, figure=plt.figure())
    with pytest.raises(SelectionError, match="plot_axes"):
        ds.plot(axes=axes, plot_axes=["z", "x"])
    with pytest.raises(u.UnitConversionError, match=r"in \[ct\], which does not convert"):
        ds.plot(axes=axes, data_unit="m")
    with pytest.raises(TypeError, match="the pixels have no unit"):
        (ds / (1 * u.ct)).with_data(ds.data).plot(axes=axes, data_unit="m")
    with pytest.raises(DatasetError, match="complex numbers"):
        (ds * 1j).plot(axes=axes)
    assert not axes.images


def test_only_the_frames_drawn_are_read(simulated: Any, converted: Any) -> None:
    with FrameServer(simulated("vtf")).running() as server:
        ds = dv.open_dataset(converted("vtf"), frames=server.url)
        assert isinstance(ds, dv.Dataset)
        plane = ds[1, 0, 2]
        axes = plt.subplot(projection=plane.wcs)
        server.forget()
        plane.plot(axes=axes)
        assert {path for _, path, *_ in server.requests} == set(plane.files.names)


def test_absent_frames_in_given_axes(simulated: Any, tmp_path: Path) -> None:
    shutil.copytree(simulated("visp"), tmp_path / "part")
    names = dv.open_dataset(tmp_path / "part").files.names
    (tmp_path / "part" / names[2]).unlink()
    ds = dv.open_dataset(tmp_path / "part")
    plane = ds[0, :, :, 5]
    axes = plt.subplot(projection=plane.wcs)
    plane.plot(axes=axes, aspect="auto")
    assert np.isnan(np.ma.filled(axes.images[0].get_array(), np.nan)[2]).all()
    (boxes,) = [c for c in axes.collections if c.get_hatch()]
    extent = boxes.get_paths()[0].get_extents()
    assert (extent.y0, extent.y1) == (1.5, 2.5)
    assert "ds.files.missing()" in axes.texts[0].get_text()


def test_computed_pixels_say_so_in_axes_of_the_user(datasets: Any) -> None:
    plane = datasets("visp")[0, 0]
    for ds, title in ((plane, ""), (plane * 2, "(computed)")):
        axes = plt.figure().add_subplot(projection=ds.wcs)
        ds.plot(axes=axes)
        assert axes.get_title() == title
    axes = plt.figure().add_subplot(projection=plane.wcs)
    axes.set_title("mine")
    (plane * 2).plot(axes=axes)
    assert axes.get_title() == "mine"
