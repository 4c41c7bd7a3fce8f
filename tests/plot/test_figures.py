"""Compare pictures of every instrument with pictures that were looked at.

Make them anew, and look at each, with
``pytest tests/plot/test_figures.py --mpl-generate-path=tests/plot/figures``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from samples import mostly_slow
from simulated import QUICK

import dkist_virtual as dv


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


def compared(function: Any) -> Any:
    # Two versions of freetype and of the gridding of text differ by less than this.
    return pytest.mark.mpl_image_compare(
        baseline_dir="figures", tolerance=12, style="default", savefig_kwargs={"dpi": 60}
    )(function)


@compared
@pytest.mark.parametrize(
    "name", mostly_slow(["vtf", "visp", "cryonirsp", "dlnirsp", "vbi_mosaic"], "vtf", "visp")
)
def test_frame(name: str, datasets: Any) -> Any:
    plot = datasets(name).plot()
    for axis in plot.shown.sliding:
        plot.step(axis)
    return plot.figure


@compared
@pytest.mark.parametrize(
    "name", mostly_slow(["vbi_mosaic", "vbi_mosaic_missing", "dlnirsp"], *QUICK)
)
def test_mosaic(name: str, simulated: Any) -> Any:
    return dv.open_dataset(simulated(name)).plot().figure


@compared
def test_raster_map(datasets: Any) -> Any:
    return datasets("visp")[:, :, 5].plot().figure


@compared
def test_profiles(datasets: Any) -> Any:
    return datasets("visp").plot_profile((2, 30)).figure


@compared
def test_light_curve(datasets: Any) -> Any:
    return datasets("visp")[0, :, 7, 30].plot().figure


@compared
def test_profile_beside_an_image(datasets: Any) -> Any:
    plot = datasets("vtf")[:, 0].plot()
    plot.profile((12, 33))
    return plot.figure


@compared
def test_frames_that_are_not_here(simulated: Any, tmp_path: Path) -> Any:
    shutil.copytree(simulated("visp"), tmp_path / "part")
    for number in (1, 2):
        (tmp_path / "part" / dv.open_dataset(simulated("visp")).files.names[number]).unlink()
    return dv.open_dataset(tmp_path / "part")[0].plot(["x", None, "y"]).figure
