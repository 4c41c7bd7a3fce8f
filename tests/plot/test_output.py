"""Contact sheets, and pictures for papers."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import dask.array as da
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import dkist_virtual as dv
from dkist_virtual.errors import SelectionError
from dkist_virtual.plot.planes import PlaneReader


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


@pytest.fixture
def ramp() -> Any:
    """Twenty planes of 6 x 8 pixels; plane k is k everywhere."""
    header = fits.Header(
        {"CTYPE1": "HPLN-TAN", "CUNIT1": "arcsec", "CDELT1": 2, "CRPIX1": 3, "CRVAL1": 100,
         "CTYPE2": "HPLT-TAN", "CUNIT2": "arcsec", "CDELT2": 2, "CRPIX2": 3, "CRVAL2": 50,
         "CTYPE3": "WAVE", "CUNIT3": "nm", "CDELT3": 0.01, "CRPIX3": 1, "CRVAL3": 630}
    )  # fmt: skip
    pixels = np.broadcast_to(np.arange(20, dtype="f4")[:, None, None], (20, 6, 8))
    return dv.Dataset(da.from_array(pixels, chunks=(1, 6, 8)), WCS(header), unit=u.ct)


@pytest.mark.slow
def test_a_contact_sheet_reads_each_plane_once(ramp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plot = ramp.plot()
    plot._reader._keep = 0
    read: list[int] = []
    once = PlaneReader._read

    def counting(self: PlaneReader, at: Any) -> Any:
        read.append(at[0])
        return once(self, at)

    monkeypatch.setattr(PlaneReader, "_read", counting)
    figure = plot.contact_sheet("wavelength", 4, steps=slice(0, 16))
    assert read == [0, 5, 10, 15] or read == [5, 10, 15]
    panels = [axes for axes in figure.axes if axes.images]
    shown = [float(axes.images[0].get_array().mean()) for axes in panels]
    assert shown == [0, 5, 10, 15]
    assert [axes.get_title() for axes in panels] == [
        "6.3e-07 m", "6.3005e-07 m", "6.301e-07 m", "6.3015e-07 m"
    ]  # fmt: skip
    assert {axes.images[0].get_clim() for axes in panels} == {(0, 15)}
    assert plot.position == [0, 0, 0]
    figure.canvas.draw()
    labels = [axes.coords[0].get_axislabel() for axes in panels]
    assert labels[-1] == "helioprojective longitude [deg]"
    assert labels[0] == ""
    own = ramp.plot(vmin=-3, vmax=9).contact_sheet(n=3, columns=3)
    assert own.axes[0].images[0].get_clim() == (-3, 9)


@pytest.mark.slow
def test_contact_sheets_that_are_refused(ramp: Any) -> None:
    plot = ramp.plot()
    with pytest.raises(ValueError, match="n = 0: expected at least 1"):
        plot.contact_sheet(n=0)
    with pytest.raises(TypeError, match=r"columns = 1\.5: expected a whole number"):
        plot.contact_sheet(columns=1.5)
    with pytest.raises(SelectionError, match="no slider is that"):
        plot.contact_sheet("time")
    with pytest.raises(SelectionError, match="not that of an image"):
        ramp.plot_profile().contact_sheet(1)


@pytest.mark.slow
def test_a_picture_has_the_size_contrast_and_place_of_the_plot(ramp: Any, tmp_path: Path) -> None:
    plot = ramp.plot(vmin=2, vmax=11, cmap="viridis").show({0: 7})
    figure = plot.picture([12, 9] * u.cm, title=True)
    np.testing.assert_allclose(figure.get_size_inches() * 2.54, [12, 9])
    axes = next(axes for axes in figure.axes if axes.images)
    np.testing.assert_array_equal(axes.images[0].pixels, np.full((6, 8), 7))
    assert axes.images[0].get_clim() == (2, 11)
    assert axes.images[0].get_cmap().name == "viridis"
    assert "6.3007e-07 m" in axes.get_title()
    assert not [axes for axes in figure.axes if axes.get_label().startswith("slider")]
    inside = figure.get_tightbbox()
    assert 0 < inside.x0 < inside.x1 < 12 / 2.54
    assert 0 < inside.y0 < inside.y1 < 9 / 2.54
    figure.savefig(tmp_path / "a.pdf")
    text = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontName" in text  # letters, not a picture of them
    column = plot.picture()
    assert column.get_figwidth() * 2.54 == pytest.approx(8.8)
    assert column.get_figheight() < column.get_figwidth()
    for given, error in [("wide", TypeError), (0.3, ValueError), ([1, 2, 3], TypeError)]:
        with pytest.raises(error, match="size = "):
            plot.picture(given)


@pytest.mark.slow
def test_a_pdf_has_as_many_pixels_as_its_resolution(tmp_path: Path) -> None:
    header = fits.Header({"CTYPE1": "WAVE", "CUNIT1": "nm", "CTYPE2": "LINEAR"})
    pixels = np.random.default_rng(1).random((500, 700), dtype="f4")
    ds = dv.Dataset(da.from_array(pixels), WCS(header))
    ds.plot(colorbar=False).picture([4, 3], dpi=300).savefig(tmp_path / "a.pdf")
    found = re.findall(rb"/Width (\d+)|/Height (\d+)", (tmp_path / "a.pdf").read_bytes())
    sides = sorted(int(one or other) for one, other in found)
    assert sides[-1] > 900  # of 4 inches but for labels
    # Blocks of one value each would compress well.
    assert len(zlib.compress((tmp_path / "a.pdf").read_bytes())) > 300_000


@pytest.mark.slow
def test_pictures_of_mosaics_and_lines(simulated: Any, datasets: Any) -> None:
    mosaic = dv.open_dataset(simulated("vbi_mosaic")).plot().show({0: 1})
    figure = mosaic.picture(4)
    (axes,) = [axes for axes in figure.axes if len(axes.images) == 4]
    np.testing.assert_array_equal(axes.images[2].pixels, mosaic.images[2].pixels)
    assert axes.images[0].get_clim() == mosaic.images[0].get_clim()
    plot = datasets("vtf").plot_profile((10, 20), color="red")
    lines = [line for axes in plot.picture(5).axes for line in axes.lines]
    assert [line.get_color() for line in lines] == ["red"] * 4
    np.testing.assert_array_equal(lines[2].get_ydata(), plot.lines[2].get_ydata())
