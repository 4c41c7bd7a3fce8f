"""Check what derived datasets keep of a dataset's state: the tables of the docs, run.

``docs/explanation/state.md`` says it for each derivation and each thing that a user may set. Here
every cell is tried, and what the package offers is compared with the rows and columns.
"""

from __future__ import annotations

import copy
import inspect
import pickle
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from dkist_assets import load, save, unpacked
from matplotlib.figure import Figure
from ndcube import NDCube
from samples import mostly_slow
from sealed import sealed

import dkist_virtual as dv
from dkist_virtual.cube.computed_array import Computed
from dkist_virtual.cube.sliced_wcs import UnslicedWCS
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.arithmetic import LazyCube
from dkist_virtual.dataset.provenance import LazyMeta, LazyUnit
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.store.format import dataset_asdf
from dkist_virtual.store.handle import OpenStore

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "state.md"
SHAPE = (3, 48, 48)  # of a tile of vbi_mosaic: a frame for each pixel along the first axis

MASK = np.zeros(SHAPE, bool)
MASK[:, 4:8, 10:12] = True
MASK[1, 20, :] = True
SPREAD = np.random.default_rng(15).random(SHAPE) + 1
SEEING = np.array([0.07, 0.08, 0.09])
NUMBER = np.array([10, 11, 12])
STEP = np.array([1.0, 2.0, 4.0])
PSF = np.eye(3)
ONE = np.zeros(SHAPE[1:], bool)  # a region of one pixel
ONE[20, 30] = True


def tables() -> list[dict[str, dict[str, str]]]:
    """The tables of the page: row to column to word."""
    found: list[dict[str, dict[str, str]]] = []
    columns: list[str] | None = None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("|"):
            columns = None
        elif columns is None:
            columns = [cell.strip("| ") for cell in cells][1:]
            found.append({})
        elif not line.startswith("|---"):
            found[-1][cells[0].strip("| ")] = dict(
                zip(columns, (cell.strip("| ") for cell in cells[1:]), strict=True)
            )
    return found


# What is set ----------------------------------------------------------------------------------


def set_headers(ds: dv.Dataset) -> None:
    assert ds.headers is not None
    ds.headers["ATMOS_R0"][:] = SEEING
    ds.headers["NUMBER"] = NUMBER


def set_extra(ds: dv.Dataset) -> None:
    ds.extra_coords.add("step", (0,), STEP * u.s)
    ds.extra_coords.add("row", (1,), np.arange(48) * u.mm)


def setter(name: str, value: Any) -> Callable[[dv.Dataset], None]:
    return lambda ds: setattr(ds, name, copy.copy(value))


SET: dict[str, Callable[[dv.Dataset], Any]] = {
    "mask": setter("mask", MASK),
    "headers": set_headers,
    "meta": lambda ds: ds.meta.__setitem__("note", "mine"),
    "uncertainty": setter("uncertainty", StdDevUncertainty(SPREAD)),
    "unit": lambda ds: None,
    "psf": setter("psf", PSF),
    "global coordinates": lambda ds: ds.global_coords.add("room", "custom:room", 290 * u.K),
    "extra coordinates": set_extra,
    "read options": lambda ds: None,  # how it was opened
    "pointing": lambda ds: None,  # of another dataset, by ds.shift
}


# What is derived, and from what of each pixel, of each frame ------------------------------------


def same(array: Any) -> Any:
    return array


@dataclass(frozen=True)
class Derived:
    """A derivation, and what it makes of an array with a value for each pixel.

    Parameters
    ----------
    make : callable
    pixels : callable
        Of a mask.
    spread : callable, optional
        Of standard deviations; the same as of a mask if not given.
    kind : str
        Which of the readers below sees what is kept.
    public : str
        The names of the methods that are tried here.
    unit : str
    """

    make: Callable[[Any], Any]
    pixels: Callable[[Any], Any] = same
    spread: Callable[[Any], Any] | None = None
    kind: str = "dataset"
    public: str = ""
    unit: str = "ct"


def time_at(ds: dv.Dataset, frame: int) -> Any:
    return ds.wcs.pixel_to_world(0, 0, frame)[1]


def cropped_by_values(ds: dv.Dataset) -> dv.Dataset:
    low = ds.wcs.low_level_wcs
    ends = [low.pixel_to_world_values(*pixel) for pixel in ((2, 2, 1), (44, 44, 2))]
    limits = [[float(np.ravel(one)[0]) for one in end] for end in ends]
    return ds.crop_by_values(*limits, units=low.world_axis_units)  # type: ignore[no-any-return]


def saved(ds: Any) -> Any:
    """Save, and open again: without its frames."""
    with TemporaryDirectory() as directory:
        dv.save_dataset(ds, f"{directory}/saved.asdf")
        opened = dv.open_dataset(f"{directory}/saved.asdf")
        for tile in opened.flat if isinstance(opened, dv.TiledDataset) else [opened]:
            tile.headers.columns  # noqa: B018  # reads them now
        return opened


def kept_as(form: str) -> Callable[[Any], Any]:
    """Save in a form, and open again."""

    def make(ds: Any) -> Any:
        with TemporaryDirectory() as directory, warnings.catch_warnings():
            # The frames are elsewhere, and no pixel is read.
            warnings.filterwarnings("ignore", "[^ ]* names frames that are in")
            ds.save(f"{directory}/saved{form}")
            opened = dv.open_dataset(f"{directory}/saved{form}", chunks="frame")
            for tile in opened.flat if isinstance(opened, dv.TiledDataset) else [opened]:
                tile.headers.columns, tile.unit, tile.wcs  # noqa: B018  # reads them now
                if form == ".zarr" and tile.mask is not None:
                    tile.mask = np.asarray(tile.mask)
                if form == ".zarr" and tile.uncertainty is not None:
                    tile.uncertainty = StdDevUncertainty(np.asarray(tile.uncertainty.array))
            return opened

    return make


FILES = TemporaryDirectory()  # in which the pixels stay


def kept_in(name: str, **options: Any) -> Callable[[Any], Any]:
    """Save with the pixels, in a file, and open it again."""

    def make(ds: Any) -> Any:
        ds.save(f"{FILES.name}/{name}", overwrite=True, progress=False, **options)
        return dv.open_dataset(f"{FILES.name}/{name}", chunks="frame")

    return make


def bins(array: Any) -> Any:
    return array.reshape(3, 24, 2, 24, 2)


def aligned(ds: Any) -> Any:
    """Aligned with what it shows itself, which are random pixels."""
    random = np.random.default_rng(5).normal(size=ds.shape[1:])
    image = ds.with_data(np.broadcast_to(random, ds.shape), mask=False)
    pixel = ds[0].wcs.pixel_to_world(0, 0).separation(ds[0].wcs.pixel_to_world(1, 0))
    return ds.align(image, image=image, search=4 * pixel)


def reprojected(ds: dv.Dataset) -> Any:
    return ds[0].reproject_to(ds[0].wcs, shape_out=SHAPE[1:])


OPERATORS = {
    "+": "__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__",
    "//": "__floordiv__ __rfloordiv__ __mod__ __rmod__ __pow__ __rpow__",
    ">": "__gt__ __ge__ __lt__ __le__",
    "-": "__neg__ __pos__ __abs__",
    "&": "__and__ __rand__ __or__ __ror__ __xor__ __rxor__ __invert__",
}

DATASETS: dict[str, Derived] = {
    "`ds[...]`": Derived(
        lambda ds: ds[1:, 2:, ::2], lambda a: a[1:, 2:, ::2], public="__getitem__ __iter__"
    ),
    "`ds.crop(...)`": Derived(
        lambda ds: ds.crop(time_at(ds, 1), time_at(ds, 2)), lambda a: a[1:], public="crop"
    ),
    "`ds.crop_by_values(...)`": Derived(
        cropped_by_values, lambda a: a[1:, 2:45, 2:45], public="crop_by_values"
    ),
    "`ds.at(...)`": Derived(lambda ds: ds.at(time=time_at(ds, 1)), lambda a: a[1], public="at"),
    "`ds.shift(...)`, `ds.unshifted()`": Derived(
        lambda ds: ds.shift(1 * u.deg).unshifted().shift(dy=2 * u.arcsec), public="shift unshifted"
    ),
    "`ds.align(...)`": Derived(aligned, public="align"),
    "`ds.squeeze()`": Derived(lambda ds: ds[1:2].squeeze(), lambda a: a[1], public="squeeze"),
    "`ds.explode_along_axis(...)`": Derived(
        lambda ds: ds.explode_along_axis(-1)[5], lambda a: a[..., 5], public="explode_along_axis"
    ),
    "`ds + x`, `-`, `*`, `/`": Derived(lambda ds: 1 * u.ct + ds - 1 * u.ct, public=OPERATORS["+"]),
    "`ds // x`, `%`, `**`": Derived(lambda ds: ds**2, public=OPERATORS["//"], unit="ct2"),
    "`ds > x`, `>=`, `<`, `<=`": Derived(lambda ds: ds > 1 * u.ct, public=OPERATORS[">"], unit=""),
    "`~ds`, `ds & x` and others": Derived(
        lambda ds: ~(ds > 1 * u.ct) & True, public=OPERATORS["&"], unit=""
    ),
    "`-ds`, `+ds`, `abs(ds)`": Derived(lambda ds: abs(-ds), public=OPERATORS["-"]),
    "`np.sqrt(ds)` and others": Derived(np.sqrt, public="__array_ufunc__", unit="ct(1/2)"),
    "`np.clip(ds, ...)`, `np.where(...)`": Derived(
        lambda ds: np.where(np.full(SHAPE, True), np.clip(np.nan_to_num(ds), 0 * u.ct, None), 0),
        public="__array_function__",
    ),
    "`round(ds)`, `np.round(ds)`": Derived(lambda ds: round(ds, 1), public="__round__"),
    "`np.asarray(ds)`, `ds.to_numpy()`": Derived(
        np.asarray, kind="array", public="__array__ to_numpy"
    ),
    "`ds.to_dask_array()`": Derived(
        lambda ds: ds.to_dask_array(), kind="array", public="to_dask_array"
    ),
    "`np.mean(ds)` and others": Derived(np.mean, kind="array"),
    "`ds.to(...)`": Derived(
        lambda ds: ds.to("kct"), spread=lambda a: a / 1000, public="to", unit="kct"
    ),
    "`ds.fill_masked(...)`": Derived(lambda ds: ds.fill_masked(0), public="fill_masked"),
    "`ds.with_data(...)`": Derived(
        lambda ds: ds.with_data(
            ds.data.map_blocks(np.log), unit="km/s", uncertainty=StdDevUncertainty(SPREAD * 3)
        ),
        spread=lambda a: a * 3,
        public="with_data",
        unit="km/s",
    ),
    "`ds.along_frames(...)`": Derived(
        lambda ds: ds.along_frames("ATMOS_R0"),
        lambda a: a[:, :1, :1],
        public="along_frames",
        unit="",
    ),
    "`ds.mu`, `ds.limb_darkening(...)`": Derived(
        lambda ds: ds.limb_darkening(wavelength=450.3 * u.nm),
        lambda a: a[:1],  # one value for all frames of a pointing
        public="mu limb_darkening",
        unit="",
    ),
    "`ds.rebin(...)`": Derived(
        lambda ds: ds.rebin((1, 2, 2)),
        lambda a: bins(a).all(axis=(2, 4)),
        lambda a: np.sqrt((bins(a) ** 2).sum(axis=(2, 4))) / 4,
        public="rebin",
    ),
    "`ds.reproject_to(...)`": Derived(reprojected, lambda a: a[0], public="reproject_to"),
    "`ds.slit(...)`": Derived(
        lambda ds: ds.slit([(20, 5), (20, 41)], order="nearest")[:, :36],
        lambda a: a[:, 20, 5:41],
        public="slit",
    ),
    "`ds.light_curve(...)`": Derived(
        lambda ds: ds.light_curve(ONE), lambda a: a[:, 20, 30], public="light_curve"
    ),
    "`copy.copy(ds)`": Derived(copy.copy),
    "`copy.deepcopy(ds)`": Derived(copy.deepcopy),
    "`pickle`": Derived(
        lambda ds: pickle.loads(pickle.dumps(ds)), public="__getstate__ __setstate__"
    ),
    "`dv.Dataset(ds)`": Derived(dv.Dataset, public="__init__"),
    "`ds.to_xarray()`": Derived(
        lambda ds: ds[1:].to_xarray(), lambda a: a[1:], kind="xarray", public="to_xarray"
    ),
    "`ds.to_map()`": Derived(
        lambda ds: ds[1].to_map(), lambda a: a[1], kind="map", public="to_map"
    ),
    "`ds.to_nddata()`": Derived(lambda ds: ds.to_nddata(), public="to_nddata"),
    "`dv.save_dataset(ds, ...)`": Derived(saved),
    '`ds.save("x.asdf")`': Derived(kept_as(".asdf"), public="save"),
    '`ds.save("x.virtual")`': Derived(kept_as(".virtual")),
    '`ds.save("x.fits")`': Derived(kept_in("x.fits")),
    '`ds.save("x.nc")`': Derived(kept_in("x.nc")),
    '`ds.save("x.asdf", pixels=True)`': Derived(kept_in("x.asdf", pixels=True)),
    '`ds.save("x.zarr")`': Derived(kept_as(".zarr")),
    "`ds.plot()`": Derived(lambda ds: ds.plot(figure=Figure()), kind="plot", public="plot"),
    "`ds.plot_profile()`": Derived(
        lambda ds: ds.plot_profile((20, 30), figure=Figure()), kind="line", public="plot_profile"
    ),
}

NOT_DERIVED = {
    "from_asdf from_directory from_opened": "opens",
    "array_axis_physical_types axis_world_coords axis_world_coords_values combined_wcs wcs": "WCS",
    "data pixels quantity shape dimensions dtype": "pixels without anything",
    "files download inventory provenance lineage": "what it is made of",
    "quality_report preview_movie": "fetched from the Data Center",
    "headers mask meta uncertainty unit psf global_coords extra_coords": "state itself",
    "stitching": "what it is made of",
    "pointing alignment plot_alignment footprint": "of the WCS",
    "calibrate_wavelength uncalibrated wavelength_scale": "in test_calibrate_wavelength.py",
    "overview subject plotter view": "shown",
    "seeing plot_seeing": "of the headers, shown; a mask is set by hand from it",
    "spectral polarimetry": "its results have a table of their own",
    "doppler": "a measurement, as those of spectral are: see test_doppler.py",
    "to_sir to_hazel": "pixels for inversion codes: masked ones are left out",
    "read_sir read_hazel": "results of others, on the WCS as those of spectral are",
    "to_spectrum": "of datasets with wavelengths: tests/dataset/test_specutils.py",
}


# How each kind of result shows it ---------------------------------------------------------------


def read_dataset(got: Any, state: str) -> Any:
    if state == "headers":
        return list(got.meta["headers"]["ATMOS_R0"]), list(got.meta["headers"]["NUMBER"])
    if state == "meta":
        return got.meta["note"]
    if state == "global coordinates":
        return got.global_coords["room"]
    if state == "extra coordinates":
        if "step" not in got.extra_coords.keys():  # noqa: SIM118  # no mapping
            return got.global_coords["step"].to_value(u.s)
        return got.axis_world_coords(wcs=got.extra_coords["step"])[0].to_value(u.s)
    if state == "read options":
        chunks = got.data.chunks
        return set(chunks[0]) if len(chunks) == 3 else {1}
    value = getattr(got, state)
    return value.array if state == "uncertainty" else value


def read_xarray(got: Any, state: str) -> Any:
    suffix = str(got.name).removeprefix("data")
    names = {
        "global coordinates": "room", "extra coordinates": "step", "meta": "note",
        "read options": "",
    }  # fmt: skip
    name = names.get(state, state)
    if state == "headers":
        return [list(got[f"{key}{suffix}"].values) for key in ("ATMOS_R0", "NUMBER")]
    if state == "meta":
        return got.attrs[name]
    if state == "unit":
        return got.attrs["units"]
    if state == "read options":
        return set(got.chunks[0])
    if state == "global coordinates":
        return got[f"{name}{suffix}"].item() * u.Unit(got[f"{name}{suffix}"].attrs["units"])
    return got[f"{name}{suffix}"].values


def read_map(got: Any, state: str) -> Any:
    if state == "headers":
        return [got.meta["atmos_r0"]], [got.meta["number"]]
    if state == "meta":
        return got.meta["note"]
    value = getattr(got, state)
    return value.array if state == "uncertainty" else value


def read_plot(got: Any, state: str) -> Any:
    if state == "unit":
        return got.colorbar.ax.get_ylabel()
    return np.isnan(np.asarray(got.image.get_array(), float))


def read_array(got: Any, state: str) -> Any:
    if state == "unit":
        return got.unit
    return set(got.chunks[0]) if state == "read options" else np.isnan(np.asarray(got))


def read_line(got: Any, state: str) -> Any:
    (axes,) = got.axes
    if state == "unit":
        return axes.get_ylabel()
    return np.isnan(axes.lines[0].get_ydata())


READERS = {
    "dataset": read_dataset,
    "xarray": read_xarray,
    "map": read_map,
    "plot": read_plot,
    "line": read_line,
    "array": read_array,
}


def expected(how: Derived, state: str) -> Any:
    """What a reader has to find."""
    marks = how.pixels(np.arange(3 * 48 * 48).reshape(SHAPE))
    frames = np.unique(marks // (48 * 48)) if marks.dtype != bool else np.arange(3)
    if state == "mask":
        if how.kind == "plot":
            return MASK[0]
        return MASK[:, 20, 30] if how.kind == "line" else how.pixels(MASK)
    if state == "uncertainty":
        return (how.spread or how.pixels)(SPREAD)
    if state == "headers":
        return list(SEEING[frames]), list(NUMBER[frames])
    if state == "extra coordinates":
        return STEP[frames] if len(frames) > 1 or marks.ndim == 3 else STEP[frames[0]]
    plain = {"meta": "mine", "psf": PSF, "global coordinates": 290 * u.K, "read options": {1}}
    return plain.get(state, how.unit)


def check(got: Any, how: Derived, state: str) -> None:
    found, wanted = READERS[how.kind](got, state), expected(how, state)
    if state == "unit":
        assert u.Unit(str(found or "").split("[")[-1].strip("] ")) == u.Unit(wanted)
    elif isinstance(wanted, (str, set, u.Quantity)):
        assert found == wanted
    else:
        np.testing.assert_allclose(np.squeeze(np.asarray(found, float)),
                                   np.squeeze(np.asarray(wanted, float)), rtol=1e-6)  # fmt: skip


@pytest.fixture(scope="module")
def mosaic(simulated: Any) -> dv.TiledDataset:
    opened = dv.open_dataset(simulated("vbi_mosaic"), chunks="frame")
    assert isinstance(opened, dv.TiledDataset)
    return opened


def fresh(mosaic: dv.TiledDataset) -> dv.TiledDataset:
    """The same mosaic, with nothing set."""
    return mosaic.slice_tiles[...]


ALONE = ("mask", "uncertainty", "pointing")
"""States that change others: a masked pixel counts for nothing in the spread of a bin."""


def cells(table: dict[str, dict[str, str]]) -> list[Any]:
    """The cells that are tried together: those of a row that do not touch each other."""
    found = []
    for row, columns in table.items():
        quiet = [name for name, word in columns.items() if word in ("kept", "new", "none")]
        together = [name for name in quiet if name not in ALONE and name in SET]
        groups = [[name] for name in columns if name not in together] + [together] * bool(together)
        found += [
            pytest.param(
                row, {name: columns[name] for name in names}, id=f"{row}-{', '.join(names)}"
            )
            for names in groups
        ]
    return found


def first_longitude(got: Any, kind: str) -> Any:
    """Tx of the first pixel, in arcsec."""
    if kind == "xarray":
        longitude = got[next(name for name in got.coords if name.startswith("longitude"))]
        return float(longitude.values.flat[0]) * u.Unit(longitude.attrs["units"]).to(u.arcsec)
    if kind == "map":
        return got.pixel_to_world(0 * u.pix, 0 * u.pix).Tx.to_value(u.arcsec)
    shown = kind in ("plot", "mosaic")
    world = got.subject.world if shown else World(got.wcs, got.data.shape)
    for part in world.parts:
        if (axis := part.of_kind("longitude")) is not None:
            values = part.values(*([0.0] * len(part.shape) or [0.0]))
            return float(values[axis.index]) * u.Unit(axis.unit).to(u.arcsec)
    raise AssertionError("no longitude")


def try_pointing(make: Callable[[Any], Any], whole: Any, kind: str, word: str) -> None:
    """Compare coordinates of what is made of the same with and without a correction."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DKISTVirtualWarning)
        moved = make(whole.shift(36 * u.arcsec))
        if word == "kept":
            away = first_longitude(moved, kind) - first_longitude(make(whole), kind)
            assert away == pytest.approx(36, abs=0.01)
        elif word == "new":
            assert moved.pointing.dx == 0 * u.arcsec
            assert moved.pointing.dy == 2 * u.arcsec
        else:
            assert word == "no"


def try_cells(make: Callable[[], Any], how: Derived, words: dict[str, str]) -> None:
    if "refused" in words.values():
        with pytest.raises(DatasetError, match=r"leaves it behind|says what becomes of it"):
            make()
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DKISTVirtualWarning)
        got = make()
    said = [str(one.message) for one in caught if one.category is DKISTVirtualWarning]
    assert bool(said) == ("warned" in words.values()), said
    for state, word in words.items():
        if word in ("kept", "new"):
            check(got, how, state)
        elif word == "none" and state == "headers":
            assert got.headers is None
            assert "headers" not in got.meta
        else:
            assert word in ("warned", "no", "none")


@pytest.mark.parametrize(("row", "words"), mostly_slow(cells(tables()[0]), every=13))
def test_what_a_derived_dataset_keeps(
    row: str, words: dict[str, str], mosaic: dv.TiledDataset
) -> None:
    ds = fresh(mosaic)[0, 0]
    how = DATASETS[row]
    if "pointing" in words:
        try_pointing(how.make, ds, how.kind, words["pointing"])
        return
    for state in words:
        SET[state](ds)
    try_cells(lambda: how.make(ds), how, words)


# Mosaics ----------------------------------------------------------------------------------------


def read_time(mosaic: dv.TiledDataset) -> Any:
    return time_at(mosaic[0, 0], 0)


def stitched(whole: dv.TiledDataset) -> dv.Dataset:
    """The field, and of it the pixels of the first tile, which are its own."""
    ds = whole.stitch(resample="shift", orientation="tiles")
    (y, x) = ds.stitching._field.tiles[0].lattice.boxes[0][:, 0]
    return ds[:, y : y + 48, x : x + 48]


PARTS: dict[str, Derived] = {
    "`mosaic[...]`": Derived(lambda m: m[:1], public="__getitem__ __iter__"),
    "`mosaic.flat`": Derived(lambda m: m.flat, public="flat"),
    "`mosaic.slice_tiles[...]`": Derived(
        lambda m: m.slice_tiles[1:, ::2], lambda a: a[1:, ::2], public="slice_tiles"
    ),
    "`mosaic.shift(...)`, `mosaic.unshifted()`": Derived(
        lambda m: m.shift(1 * u.deg).unshifted().shift(dy=2 * u.arcsec), public="shift unshifted"
    ),
    "`mosaic.crop(...)`": Derived(
        lambda m: m.crop(read_time(m), time_at(m[0, 0], 1)), lambda a: a[:2], public="crop"
    ),
    "`mosaic.at(...)`": Derived(lambda m: m.at(time=read_time(m)), lambda a: a[0], public="at"),
    "`copy.deepcopy(mosaic)`": Derived(copy.deepcopy),
    "`pickle` of a mosaic": Derived(lambda m: pickle.loads(pickle.dumps(m))),
    "`dv.save_dataset(mosaic, ...)`": Derived(saved),
    '`mosaic.save("x.asdf")`': Derived(kept_as(".asdf"), public="save"),
    "`mosaic.stitch()`": Derived(stitched, kind="stitched", public="stitch"),
    '`mosaic.save("x.virtual")`': Derived(kept_as(".virtual")),
    '`mosaic.save("x.fits")`': Derived(kept_in("mosaic.fits")),
    '`mosaic.save("x.zarr")`': Derived(kept_as(".zarr")),
    "`mosaic.to_xarray()`": Derived(lambda m: m.to_xarray(), kind="xarray", public="to_xarray"),
    "`mosaic.plot()`": Derived(lambda m: m.plot(figure=Figure()), kind="mosaic", public="plot"),
}

NOT_PARTS = {
    "from_asdf from_opened": "opens",
    "combined_headers headers mask meta": "state itself",
    "pointing": "of the WCS",
    "files download inventory tile_of_row": "what it is made of",
    "quality_report preview_movie": "fetched from the Data Center",
    "overview shape tiles_shape": "shown",
    "seeing plot_seeing": "of the headers, shown",
    "view": "shown",
    "slit light_curve": "refused: stitch first",
}


READERS["stitched"] = read_dataset


def read_mosaic(got: Any, state: str) -> Any:
    if state == "unit":
        return got.colorbar.ax.get_ylabel()
    return np.isnan(np.asarray(got.images[0].pixels, float))


READERS["mosaic"] = read_mosaic


@pytest.mark.parametrize(("row", "words"), mostly_slow(cells(tables()[1]), every=12))
def test_what_a_part_of_a_mosaic_keeps_of_its_tiles(
    row: str, words: dict[str, str], mosaic: dv.TiledDataset
) -> None:
    whole, how = fresh(mosaic), PARTS[row]
    for state in words:
        SET[state](whole[0, 0])

    def make(whole: dv.TiledDataset = whole) -> Any:
        got = how.make(whole)
        if isinstance(got, dv.TiledDataset):
            return got.flat[0]
        return got["data_0_0"] if how.kind == "xarray" else got

    if "pointing" in words:
        try_pointing(make, whole, how.kind, words["pointing"])
    elif how.kind == "mosaic" and "mask" in words:
        np.testing.assert_array_equal(read_mosaic(make(), "mask"), MASK[0])
    else:
        try_cells(make, how, words)


@pytest.mark.parametrize(("row", "words"), mostly_slow(cells(tables()[2]), every=7))
def test_what_a_part_of_a_mosaic_keeps_of_the_whole(
    row: str, words: dict[str, str], mosaic: dv.TiledDataset
) -> None:
    whole = fresh(mosaic)
    ((state, word),) = words.items()
    if state == "hidden tiles":
        whole.mask[0, 1] = True
    elif state == "meta of the mosaic":
        whole.meta["note"] = "mine"
    else:
        whole.combined_headers["ATMOS_R0"] = 0.05
        whole.combined_headers["NUMBER"] = np.arange(12)
    got = PARTS[row].make(whole)
    if word == "no":
        return
    assert word == "kept"
    if PARTS[row].kind == "stitched" and state != "meta of the mosaic":
        record = whole.stitch().stitching
        if state == "hidden tiles":
            assert record.tiles == ((0, 0), (1, 0), (1, 1))
        else:
            assert list(record.headers[1, 0]["NUMBER"]) == [6, 7, 8]
    elif state == "hidden tiles":
        n = {"xarray": lambda: len(got), "mosaic": lambda: len(got.images)}
        shown = n.get(PARTS[row].kind, lambda: len(got.flat))()
        assert shown == (1 if "[...]" in row and "slice" not in row else 3)
    elif state == "meta of the mosaic":
        assert (got.attrs if PARTS[row].kind == "xarray" else got.meta)["note"] == "mine"
    elif PARTS[row].kind == "xarray":
        np.testing.assert_array_equal(got["NUMBER_1_0"], [6, 7, 8])
        np.testing.assert_array_equal(got["ATMOS_R0_1_1"], [0.05] * 3)
    else:
        assert set(got.combined_headers["ATMOS_R0"]) == {0.05}
        assert (
            list(got.flat[0].headers["NUMBER"])
            == list(got.combined_headers["NUMBER"])[: len(got.flat[0].headers)]
        )
        assert got.combined_headers["NUMBER"][-1] >= 3


# Nothing is left out of the tables ----------------------------------------------------------------


def words_of(names: Any) -> list[str]:
    return [word for name in names for word in name.split()]


@pytest.mark.parametrize(
    ("cls", "derivations", "others"),
    [(dv.Dataset, DATASETS, NOT_DERIVED), (dv.TiledDataset, PARTS, NOT_PARTS)],
)
def test_every_public_name_is_a_derivation_or_known_to_be_none(
    cls: type, derivations: dict[str, Derived], others: dict[str, str]
) -> None:
    named = words_of([*(how.public for how in derivations.values()), *others])
    public = {name for name in dir(cls) if not name.startswith("_")}
    assert public - set(named) == set(), "say in state.md what these keep"
    assert {name for name in named if not name.startswith("_")} - public == set()
    assert len(named) == len(set(named))


def test_every_operator_is_in_a_row() -> None:
    named = set(words_of(how.public for how in DATASETS.values()))
    known = {"__bool__", "__len__", "__str__", "__repr__", "__copy__"}
    classes = [one for one in dv.Dataset.__mro__ if one.__module__.startswith("dkist_virtual")]
    assert LazyCube in classes
    ours = {
        name
        for one in classes
        for name, value in vars(one).items()
        if name.startswith("__") and inspect.isfunction(value)
    }
    assert ours - named - known == set(), "say in state.md what these keep"
    # None of ndcube's own arithmetic is left.
    theirs = {name for name in dir(NDCube) if name.startswith("__")}
    assert theirs & set(words_of(OPERATORS.values())) <= ours


COLUMNS_OF = {
    "mask": "_masked",
    "headers": "_headers",
    "meta": "_meta _opened_with",
    "uncertainty": "_uncertainty",
    "unit": "_unit",
    "psf": "_psf",
    "global coordinates": "__global_coords",
    "extra coordinates": "__extra_coords",
    "read options": "_headers",
    "pointing": "_headers",
}


def test_every_piece_of_state_is_a_column(mosaic: dv.TiledDataset) -> None:
    table = tables()
    assert set(table[0]) == set(DATASETS)
    assert set(table[1]) == set(table[2]) == set(PARTS)
    for row in (*table[0].values(), *table[1].values()):
        assert set(row) == set(SET) == set(COLUMNS_OF)
    # What a dataset holds: pixels, WCS and what it remembers of them; the rest is in a column.
    known = {
        "_data",
        "_wcs",
        "_past",
        "_combined",
        "_columns",
        "_dask",
        "_stitching",
        "_alignment",
        *words_of(COLUMNS_OF.values()),
    }
    assert set(vars(fresh(mosaic)[0, 0])) == known
    of_mosaic = {"_grid", "_places", "_hidden", "_meta"}
    assert set(vars(fresh(mosaic))) == of_mosaic
    # What it is made with, and what may be set.
    given = set(inspect.signature(NDCube.__init__).parameters) - {"self", "data", "wcs", "copy"}
    named = {"global_coords", "extra_coords", "kwargs", *SET}
    assert given <= named
    settable = {
        name
        for name in dir(dv.Dataset)
        if isinstance(inspect.getattr_static(dv.Dataset, name), property)
        and inspect.getattr_static(dv.Dataset, name).fset
    }
    assert settable <= {"data", "wcs", *SET}


def test_where_pixels_come_from_follows_them(mosaic: dv.TiledDataset) -> None:
    ds = fresh(mosaic)[0, 0][1:]
    twice = ds * 2
    for one in (ds, twice, twice[0:2]):
        assert one.provenance is not None
        assert one.provenance.n_frames == 2
        assert str(one.provenance) == one.lineage.source
        assert one.lineage.opened_with >= {"inventory", "headers"}
        with pytest.raises(AttributeError):
            one.provenance = None  # type: ignore[misc]
    assert type(ds.pixels) is VirtualArray
    assert type(twice.pixels) is Computed
    assert [ds.lineage.is_computed, twice.lineage.is_computed] == [False, True]
    (part,) = twice.lineage.parts
    assert part.wcs is ds.provenance.wcs
    assert ds.rebin((2, 1, 1)).provenance is None


# When it is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["compressed.json", "mosaic.parquet"])
def test_wcs_unit_meta_and_headers_are_read_when_they_are_used(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, read = sealed(name, tmp_path), []
    parse, headers = dataset_asdf._parse, OpenStore.header_file.fget

    def parsed(*given: Any) -> Any:
        read.append("description")
        return parse(*given)

    def opened(store: OpenStore) -> Any:
        read.append("headers")
        return headers(store)

    monkeypatch.setattr(dataset_asdf, "_parse", parsed)
    monkeypatch.setattr(OpenStore, "header_file", property(opened))
    ds: Any = dv.open_dataset(store)
    tile = ds if isinstance(ds, dv.Dataset) else ds[:1, :1].flat[0]
    cut = pickle.loads(pickle.dumps(copy.copy(tile[1:, 2:5])))
    assert cut.data.shape == cut[:].data.shape == cut.shape
    assert read == []
    again = cut[0]
    assert again.wcs.low_level_wcs.pixel_n_dim == again.data.ndim
    assert read == ["description"]
    assert again.unit == tile.unit == "ct"
    assert (cut[0].unit, cut.unit) == (tile.unit, tile.unit)
    assert cut.inventory == tile.inventory == ds.inventory
    assert copy.copy(tile.meta).keys() == tile.meta.keys() == cut.meta.keys()
    assert read == ["description"] * 2  # once here, once for what came back from a pickle
    assert len(again.headers) == len(again.files)
    assert "headers" in read


def test_threads_share_what_is_read_later(
    converted: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(kind: type, name: str) -> None:
        original = getattr(kind, name)

        def slow(self: Any) -> Any:
            time.sleep(0.02)
            return original(self)

        monkeypatch.setattr(kind, name, slow)

    slowly(UnslicedWCS, "slice")
    slowly(LazyMeta, "read")
    slowly(LazyUnit, "read")
    ds = dv.open_dataset(converted("visp_moving"))[0]

    def use(number: int) -> int:
        ds.meta[f"note {number}"] = number
        assert ds.unit == "ct"
        return id(ds.wcs)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(use, range(8)))) == 1
    assert {f"note {number}" for number in range(8)} <= ds.meta.keys()


def test_what_a_wcs_remembers_of_a_slice_is_not_pickled(
    converted: Callable[[str], Path], tmp_path: Path
) -> None:
    whole = dv.open_dataset(converted("visp_moving"))
    # With a WCS of the user's own.
    own = dv.Dataset(whole[0], dv.open_dataset(converted("visp_moving"))[0].wcs)
    assert own.provenance is None
    # Saved from a cut by dkist.
    original = load(unpacked("croppable_visp.asdf.gz", tmp_path))
    dv.convert(save(tmp_path / "cut.asdf", original[0, 1:3, 2]), tmp_path / "store", scan="never")
    for ds in (own, dv.open_dataset(tmp_path / "store")):
        _, part = list(ds.global_coords.values()), ds[0]
        expected = list(part.global_coords.values())
        assert len(expected) > 0
        for one in (part, ds[0], ds):
            for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
                assert again.wcs.low_level_wcs.pixel_n_dim == one.wcs.low_level_wcs.pixel_n_dim
