"""Compare plots of mosaics with the coordinates of each tile's pixels."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from samples import mostly_slow
from simulated import MOSAICS, QUICK

import dkist_virtual as dv
from dkist_virtual.errors import DKISTVirtualWarning, FrameCorruptError, SelectionError


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(MOSAICS, *QUICK))
def test_every_tile_lies_where_its_wcs_says(name: str, simulated: Any) -> None:
    mosaic = dv.open_dataset(simulated(name))
    assert isinstance(mosaic, dv.TiledDataset)
    plot = mosaic.plot()
    assert len(plot.images) == len(mosaic.flat)
    last = {axis: mosaic.flat[0].shape[axis] - 1 for axis in plot.shown.sliding}
    for at in ({}, last):
        plot.show(at)
        index = tuple(at.get(axis, 0) for axis in plot.shown.sliding)
        for image, tile in zip(plot.images, mosaic.flat, strict=True):
            frame = tile[index]
            np.testing.assert_array_equal(image.pixels, frame.data.compute())
            to_sky = image.get_transform() - plot.axes.transData
            y, x = np.indices(frame.shape)
            found = to_sky.transform(np.stack([x.ravel(), y.ravel()], axis=1)).T
            low = frame.wcs.low_level_wcs
            values = low.pixel_to_world_values(x.ravel(), y.ravel())[:2]
            assert low.world_axis_physical_types[0].endswith("lon")
            lon = (np.asarray(values[0]) + 648000) % 1296000 - 648000
            scale = np.abs(np.diff(values[1].reshape(y.shape), axis=0)).max()
            np.testing.assert_allclose(found, [lon, values[1]], atol=0.05 * scale)
    west, east = plot.axes.get_xlim()
    assert west < min(lon)
    assert max(lon) < east
    assert plot.axes.get_aspect() == 1


@pytest.mark.slow
def test_all_tiles_share_a_contrast(simulated: Any) -> None:
    mosaic = dv.open_dataset(simulated("dlnirsp"))
    plot = mosaic.plot()
    everything = np.concatenate([image.pixels.ravel() for image in plot.images])
    low, high = np.percentile(everything, (0.25, 99.75))
    assert plot.images[0].get_clim() == pytest.approx((low, high))
    assert {image.get_clim() for image in plot.images} == {plot.images[0].get_clim()}
    plot.at(stokes="U")
    low, high = plot.images[2].get_clim()
    assert low == -high
    assert {image.get_cmap().name for image in plot.images} == {"RdBu_r"}


def test_a_step_draws_the_tiles_alone(simulated: Any) -> None:
    plot = dv.open_dataset(simulated("dlnirsp")).plot()
    plot.figure.canvas.draw()
    n = plot._repainter.n_full
    plot.step(2)
    plot.step(0)
    assert plot._repainter.n_full == n
    repainted = np.asarray(plot.figure.canvas.buffer_rgba()).astype(int)
    plot.figure.canvas.draw()
    away = np.abs(repainted - np.asarray(plot.figure.canvas.buffer_rgba())).max(axis=-1)
    assert (away > 60).mean() < 1e-3
    assert (away > 0).mean() < 0.02


def test_slices_and_parts_of_mosaics(simulated: Any) -> None:
    mosaic = dv.open_dataset(simulated("vbi_mosaic"))
    plot = mosaic.slice_tiles[1, 10:30].plot()
    assert plot.sliders.widgets == []
    np.testing.assert_array_equal(plot.images[3].pixels, mosaic[1, 1][1, 10:30].data.compute())
    assert len(mosaic[0].plot().images) == 2
    missing = dv.open_dataset(simulated("vbi_mosaic_missing"))
    assert len(missing.plot().images) == 5


@pytest.mark.slow
def test_absent_frames_of_a_tile(simulated: Any, tmp_path: Path) -> None:
    shutil.copytree(simulated("vbi_mosaic"), tmp_path / "part")
    mosaic = dv.open_dataset(tmp_path / "part")
    (tmp_path / "part" / mosaic[0, 1].files.names[0]).unlink()
    mosaic = dv.open_dataset(tmp_path / "part")
    plot = mosaic.plot()
    (boxes,) = [c for c in plot.axes.collections if c.get_hatch()]
    extent = boxes.get_datalim(plot.axes.transData)
    low = mosaic[0, 1][0].wcs.low_level_wcs
    lon, lat = low.pixel_to_world_values([-0.5, 47.5], [-0.5, 47.5])[:2]
    lon = (lon + 648000) % 1296000 - 648000
    np.testing.assert_allclose([extent.x0, extent.x1], sorted(lon), atol=0.01)
    np.testing.assert_allclose([extent.y0, extent.y1], sorted(lat), atol=0.01)
    assert plot.axes.texts[0].get_text().startswith("1 of 4 tiles have frames that are not here")
    plot.step(0)
    assert len(plot.axes.texts) == 0


def test_a_broken_frame_of_a_tile(simulated: Any, tmp_path: Path) -> None:
    shutil.copytree(simulated("vbi_mosaic"), tmp_path / "part")
    mosaic = dv.open_dataset(tmp_path / "part")
    name = mosaic[1, 0].files.names[1]
    (tmp_path / "part" / name).write_bytes(b"SIMPLE  = " + bytes(2870))
    plot = mosaic.plot()
    with pytest.raises(FrameCorruptError, match=name):
        plot.step(0)
    assert name in plot.axes.texts[0].get_text()
    assert np.isnan(plot.images[0].pixels).all()


def test_tiles_that_are_not_of_the_sky(simulated: Any) -> None:
    mosaic = dv.open_dataset(simulated("dlnirsp"))
    with pytest.raises(SelectionError, match=r"mosaic\[i, j\].plot\(\) draws one tile"):
        mosaic.slice_tiles[..., 3].plot()


def test_tiles_whose_grid_is_bent_are_said_to_be(simulated: Any) -> None:
    from dkist_virtual.plot.mosaic_plot import MosaicPlot

    tile = dv.open_dataset(simulated("vbi_mosaic")).flat[0]
    subject = tile.subject()
    values = subject.world.values

    def bent(*positions: Any) -> Any:
        lon, lat, time = values(*positions)
        return [lon + 0.002 * np.asarray(positions[1]) ** 2, lat, time]

    subject.world.values = bent
    with pytest.warns(DKISTVirtualWarning, match="pixels off their coordinates"):
        MosaicPlot([subject])
