"""Functions refuse unknown keywords by name, also where they hand keywords on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.modeling.models import Gaussian1D
from inversions import make_inversion

import dkist_virtual as dv
from dkist_virtual.datacenter.results import Results
from dkist_virtual.dataset.files import Files
from dkist_virtual.dataset.spectral.spectral import Spectral
from dkist_virtual.plot.image import IMAGE_LOOK
from dkist_virtual.plot.image_plot import ImagePlot
from dkist_virtual.plot.line_plot import LINE_LOOK, LinePlot
from dkist_virtual.plot.mosaic_plot import MosaicPlot


@pytest.fixture(scope="module")
def vtf(simulated: Callable[[str], Path]) -> Any:
    return dv.open_dataset(simulated("vtf"))


@pytest.fixture(scope="module")
def mosaic(simulated: Callable[[str], Path]) -> Any:
    return dv.open_dataset(simulated("vbi_mosaic"))


@pytest.fixture(autouse=True)
def _no_figures() -> Iterator[None]:
    yield
    plt.close("all")


# Every public function that takes any keyword: what is called, with what, and a keyword it knows.
CALLS: dict[str, tuple[Callable[..., Any], str]] = {
    "Dataset": (lambda ds, **given: dv.Dataset(np.zeros(3), ds[0, 0, 0, 0].wcs, **given), "unit"),
    "Dataset.plot": (lambda ds, **given: ds.plot(**given), "vmin"),
    "Dataset.plot of a line": (lambda ds, **given: ds[0, 0, :, 0, 0].plot(**given), "color"),
    "Dataset.plot_profile": (lambda ds, **given: ds.plot_profile(**given), "marker"),
    "Dataset.doppler": (
        lambda ds, **given: ds[0].doppler(630 * u.nm, window=1 * u.nm, **given),
        "continuum",
    ),
    "Dataset.download": (lambda ds, **given: ds.download("x", **given), "dry_run"),
    "Dataset.rebin": (lambda ds, **given: ds.rebin((1, 1, 1, 2, 2), **given), "handle_mask"),
    "Dataset.reproject_to": (
        lambda ds, **given: ds[0, 0].reproject_to(ds[0, 0].wcs, **given),
        "block_size",
    ),
    "Dataset.to_nddata": (lambda ds, **given: ds.to_nddata(**given), "mask"),
    "Dataset.save": (lambda ds, **given: ds.save("x.asdf", **given), "overwrite"),
    "Spectral.moments": (lambda ds, **given: ds.spectral.moments(**given), "normalise"),
    "Spectral.equivalent_width": (
        lambda ds, **given: ds.spectral.equivalent_width(**given),
        "normalise",
    ),
    "Spectral.line_core": (lambda ds, **given: ds.spectral.line_core(**given), "normalise"),
    "Spectral.bisector": (lambda ds, **given: ds.spectral.bisector(**given), "normalise"),
    "Spectral.continuum": (lambda ds, **given: ds.spectral.continuum(**given), "normalise"),
    "Spectral.fit": (lambda ds, **given: ds.spectral.fit(Gaussian1D(), **given), "maxiter"),
    "Files.download": (lambda ds, **given: ds.files.download("x", **given), "workers"),
    "ImagePlot.at": (lambda ds, **given: ds.plot().at(**given), "wavelength"),
    "ImagePlot.save": (lambda ds, **given: ds.plot().save("x.png", **given), "dpi"),
    "ImagePlot.set_title": (lambda ds, **given: ds.plot().set_title("x", **given), "fontsize"),
    "ImagePlot.get_animation": (lambda ds, **given: ds.plot().get_animation(**given), "interval"),
    "LinePlot.set_title": (
        lambda ds, **given: ds.plot_profile().set_title("x", **given),
        "color",
    ),
    "LinePlot.get_animation": (
        lambda ds, **given: ds.plot_profile().get_animation(**given),
        "repeat",
    ),
    "LinePlot.at": (lambda ds, **given: ds[0, 0, :, 0].plot_profile().at(**given), "stokes"),
    "LinePlot.save": (lambda ds, **given: ds.plot_profile().save("x.pdf", **given), "dpi"),
}
OF_MOSAICS: dict[str, tuple[Callable[..., Any], str]] = {
    "TiledDataset.at": (lambda mosaic, **given: mosaic.at(**given), "stokes"),
    "TiledDataset.download": (lambda mosaic, **given: mosaic.download("x", **given), "verify"),
    "TiledDataset.save": (lambda mosaic, **given: mosaic.save("x.asdf", **given), "overwrite"),
    "TiledDataset.stitch": (lambda mosaic, **given: mosaic.stitch(**given), "combine"),
    "TiledDataset.plot": (lambda mosaic, **given: mosaic.plot(**given), "cmap"),
    "MosaicPlot.at": (lambda mosaic, **given: mosaic.plot().at(**given), "time"),
    "MosaicPlot.save": (lambda mosaic, **given: mosaic.plot().save("x.svg", **given), "dpi"),
    "MosaicPlot.set_title": (
        lambda mosaic, **given: mosaic.plot().set_title("x", **given),
        "loc",
    ),
    "MosaicPlot.get_animation": (
        lambda mosaic, **given: mosaic.plot().get_animation(**given),
        "interval",
    ),
}
OF_INVERSIONS: dict[str, tuple[Callable[..., Any], str]] = {
    "Inversion.download": (lambda inv, **given: inv.download("x", **given), "workers"),
    "Inversion.save": (lambda inv, **given: inv.save("x.asdf", **given), "overwrite"),
    "Inversion.plot": (lambda inv, **given: inv.plot(np.s_[:, :, 0], **given), "cmap"),
    "Profiles.plot": (lambda inv, **given: inv.profiles.plot(np.s_[0, 0], **given), "marker"),
}


def check(call: Callable[..., Any], of: Any, known: str) -> None:
    before = plt.get_fignums()
    with pytest.raises(TypeError, match="no such keyword: nonsense, more") as caught:
        call(of, nonsense=1, more=None)
    assert f" {known}" in str(caught.value)
    for inner in (
        "()",
        "__init__",
        "Screen",
        "Axes",
        "Canvas",
        "Line2D",
        "reproject_interp",
        "NDCube",
    ):
        assert inner not in str(caught.value)
    if "." not in str(caught.value).partition(":")[0]:
        assert len(plt.get_fignums()) <= len(before) + 1


@pytest.mark.parametrize("name", CALLS)
def test_an_unknown_keyword_is_refused_by_its_name(name: str, vtf: Any) -> None:
    check(CALLS[name][0], vtf, CALLS[name][1])


@pytest.mark.parametrize("name", OF_MOSAICS)
def test_mosaics_refuse_as_well(name: str, mosaic: Any) -> None:
    check(OF_MOSAICS[name][0], mosaic, OF_MOSAICS[name][1])


@pytest.mark.parametrize("name", OF_INVERSIONS)
def test_inversions_refuse_as_well(name: str, tmp_path: Path) -> None:
    made = make_inversion(tmp_path / "made", tmp_path)
    check(OF_INVERSIONS[name][0], dv.open_dataset(made.asdf), OF_INVERSIONS[name][1])


def test_every_public_function_that_takes_any_keyword_is_tested_here() -> None:
    """Python refuses an unknown keyword by its name where a function spells out its own."""
    ours = [getattr(dv, name) for name in dv.__all__ if callable(getattr(dv, name))]
    ours += [Files, ImagePlot, LinePlot, MosaicPlot, Results, Spectral]
    found = set()
    for one in ours:
        members = {one.__name__: one}
        if inspect.isclass(one):
            members = {
                f"{one.__name__}.{name}": member
                for name, member in inspect.getmembers(one)
                if not name.startswith("_")
                and callable(member)
                and str(getattr(member, "__module__", "")).startswith("dkist_virtual")
            }
        for name, member in members.items():
            parameters = inspect.signature(member).parameters.values()
            if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
                found.add(name)
    assert found <= {*CALLS, *OF_MOSAICS, *OF_INVERSIONS}


@pytest.mark.parametrize("name", ["open_dataset", "open_zarr", "convert", "update", "verify"])
def test_functions_with_keywords_of_their_own(name: str) -> None:
    function = getattr(dv, name)
    given = ["nowhere"] * (2 if name in ("convert", "update") else 1)
    with pytest.raises(
        TypeError, match=f"{name}\\(\\) got an unexpected keyword argument 'chunky'"
    ):
        function(*given, chunky=1)


IMAGE: dict[str, Any] = {
    "vmin": 0.0, "vmax": 1.0, "cmap": "viridis", "norm": None, "alpha": 0.5, "filternorm": False,
    "filterrad": 3.0, "gid": "g", "interpolation": "nearest", "interpolation_stage": "rgba",
    "label": "mine", "path_effects": [], "picker": True, "resample": True,
    "sketch_params": 1.0, "snap": True, "url": "u", "visible": True, "aspect": "auto",
    "clip_interval": None, "colorbar": False, "fig": None, "origin": "lower",
    "slider_labels": None, "title": "mine",
}  # fmt: skip


@pytest.mark.slow
def test_what_an_image_takes_is_drawn(vtf: Any) -> None:
    assert {*IMAGE, "figure"} == set(IMAGE_LOOK)
    for keyword, value in IMAGE.items():
        if value is not None:
            plot = vtf.plot(**{keyword: value})
            plot.figure.canvas.draw()
            plt.close(plot.figure)


def test_what_a_line_takes_is_drawn_under_each_of_its_names(vtf: Any) -> None:
    from matplotlib.artist import ArtistInspector
    from matplotlib.lines import Line2D

    inspector = ArtistInspector(Line2D)
    aliases = {short for names in inspector.aliasd.values() for short in names}
    of_the_plot = {"figure", "fig", "slider_labels", "title", "ylabel", "ylim"}
    assert set(LINE_LOOK) - of_the_plot <= {*inspector.get_setters(), *aliases}
    line = vtf[0, 0, :, 0, 0]
    for short, name in (("c", "color"), ("lw", "linewidth"), ("ms", "markersize")):
        value = "red" if short == "c" else 7
        (drawn,) = line.plot(**{short: value}).lines
        assert getattr(drawn, f"get_{name}")() == value
        with pytest.raises(TypeError, match="aliases"):
            line.plot(**{short: value, name: value})


def test_a_keyword_of_another_format_is_refused_by_its_name(vtf: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"x\.svg: this format takes no pil_kwargs$"):
        vtf.plot().save(tmp_path / "x.svg", pil_kwargs={})


def test_options_of_a_transfer_say_that_they_are_of_one(vtf: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="label, wait: for a transfer by Globus"):
        vtf.download(tmp_path, label="x", wait=False)
    with pytest.raises(ValueError, match="via = 'pigeon': expected 'globus', or None"):
        vtf.download(tmp_path, via="pigeon")


def test_a_function_for_uncertainties_takes_keywords_of_its_own(vtf: Any) -> None:
    from astropy.nddata import StdDevUncertainty

    frame = vtf[0, 0]
    frame.uncertainty = StdDevUncertainty(np.ones(frame.shape))
    given: dict[str, Any] = {}

    def propagate(uncertainty: Any, *_: Any, **keywords: Any) -> Any:
        given.update(keywords)
        return type(uncertainty)(uncertainty.array[0])

    frame.rebin((1, 2, 2), propagate_uncertainties=propagate, mine=3)
    assert given["mine"] == 3
