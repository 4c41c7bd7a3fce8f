"""Measure spectra of datasets with known ones: results, their WCS, and what is kept."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from spectra import absorption, on_real, real, wavelengths_of

import dkist_virtual as dv
from dkist_virtual.cube.sliced_wcs import published_wcs
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.spectral import results
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError
from dkist_virtual.store.zarr_store import FrameStore

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("x.fits", "x.asdf", "x.nc")]
STEPS, SLIT = 6, 5
DEPTH, SIGMA = 0.7, 0.008
WIDTH = DEPTH * SIGMA * np.sqrt(2 * np.pi)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A part of a raster of ViSP, with its real coordinates and headers."""
    whole = real("croppable_visp", tmp_path_factory.mktemp("visp"))
    return whole[0, 100 : 100 + STEPS, 400:460, 1000 : 1000 + SLIT]


@pytest.fixture(scope="module")
def raster(bare: Any) -> Any:
    """The same with a line that moves from step to step."""
    return on_real(bare, absorption(wavelengths_of(bare), centers(bare)))


@pytest.fixture
def scan(datasets: Any) -> Any:
    """Two scans of VTF, the wavelengths of which are neither sorted nor even."""
    return datasets("vtf")[0]


@pytest.fixture
def no_span() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "[^:]*: the points of a scan", DKISTVirtualWarning)
        yield


def centers(ds: Any) -> Any:
    middle = float(wavelengths_of(ds).mean())
    return middle + 0.004 * np.linspace(-1, 1, STEPS)[:, None, None]


def around(ds: Any, half: float) -> Any:
    middle = float(wavelengths_of(ds).mean())
    return [middle - half, middle + half] * u.nm


def kinds(ds: Any) -> list[str]:
    parts = World(ds.wcs, ds.shape).parts
    return sorted(axis.kind for part in parts for axis in part.axes)


# What is measured -----------------------------------------------------------------------------


def test_a_line_is_where_it_was_put(raster: Any) -> None:
    wanted = np.broadcast_to(centers(raster)[..., 0], (STEPS, SLIT))
    found = raster.spectral.moments(continuum=100).compute()
    np.testing.assert_allclose(found.centroid.data, wanted, atol=1e-6)
    np.testing.assert_allclose(found.width.data, SIGMA, rtol=1e-4)
    np.testing.assert_allclose(found.equivalent_width.data, WIDTH, rtol=1e-4)
    # A core, three samples of a Gaussian, is nearer to where it was put than a 500th of a pixel.
    core = raster.spectral.line_core(window=around(raster, 0.03), continuum=100).compute()
    np.testing.assert_allclose(core.wavelength.data, wanted, atol=3e-6)
    np.testing.assert_allclose(core.depth.data, DEPTH, rtol=1e-4)
    assert not core.wavelength.mask.any()
    half = raster.spectral.bisector([0.5], continuum=np.float32(100)).compute()
    np.testing.assert_allclose(half.middle_50.data, wanted, atol=3e-6)
    np.testing.assert_allclose(half.width_50.data, 2 * SIGMA * np.sqrt(2 * np.log(2)), rtol=2e-3)
    units = {name: str(one.unit) for name, one in {**found, **core}.items()}
    assert units == {
        "equivalent_width": "nm", "centroid": "nm", "width": "nm", "skewness": "",
        "wavelength": "nm", "intensity": "ct", "depth": "", "quality": "",
    }  # fmt: skip


def test_lines_are_taken_by_name_and_in_a_medium(raster: Any) -> None:
    from dkist_virtual.science.spectra.medium import air_to_vacuum

    center = float(centers(raster)[0, 0, 0])
    how = {"window": 0.02 * u.nm, "continuum": 1000 * u.ct}
    in_air = raster.spectral.moments(line=center * u.nm, **how)
    there = air_to_vacuum(center * u.nm)
    in_vacuum = raster.spectral.moments(line=there, medium="vacuum", **how)
    found = air_to_vacuum(in_air.centroid.data.compute() * u.nm).value
    np.testing.assert_allclose(in_vacuum.centroid.data.compute(), found, atol=1e-6)
    assert in_vacuum.centroid.meta["result"]["medium"] == "vacuum"
    with pytest.raises(SelectionError, match="no wavelength is from 630"):
        raster.spectral.moments(line="Fe I 630.15", window=0.02 * u.nm)
    for wrong, said in (
        ({"line": center * u.nm}, "say how far the line reaches"),
        ({"window": 0.1 * u.nm}, "give line="),
        ({"window": 3 * u.s}, "expected a length"),
        ({"continuum": "high"}, "expected a percentile, windows"),
        ({"continuum": 3 * u.K}, "expected wavelengths, or a level in ct"),
        ({"kind": "both"}, "'absorption' or 'emission'"),
        ({"wavelength_offset": 3}, "wavelength_offset: expected a length"),
        ({"wavelength_offset": np.zeros(3) * u.pm}, "expected a shape that broadcasts"),
        ({"normalise": "frame mean"}, "at one time"),
        ({"most_of_cadence": -1}, "expected a positive number"),
    ):
        with pytest.raises((DatasetError, SelectionError), match=said):
            raster.spectral.moments(**wrong)
    with pytest.raises(TypeError, match="no such keyword: windows"):
        raster.spectral.moments(windows=3)
    with pytest.raises(TypeError, match="no such keyword: continuum"):
        raster.spectral.continuum(continuum=95)
    with pytest.raises(SelectionError, match=r"at = 630\.2: expected the name of a line"):
        raster.spectral.continuum(at=630.2)


def test_a_continuum_is_a_dataset_that_measurements_take(raster: Any) -> None:
    middle = float(wavelengths_of(raster).mean())
    pairs = [[middle - 0.05, middle - 0.04], [middle + 0.04, middle + 0.05]] * u.nm
    level = raster.spectral.continuum(pairs, degree=1)
    np.testing.assert_allclose(level.data.compute(), 1000, rtol=1e-4)
    assert level.unit == u.ct
    assert "polynomial of degree 1 through 630.8" in level.meta["result"]["continuum"]
    window = around(raster, 0.03)
    found = [
        raster.spectral.equivalent_width(window=window, continuum=one).data.compute()
        for one in (level, {"windows": pairs, "degree": 1}, pairs, 1000 * u.ct, 100)
    ]
    for one in found:
        np.testing.assert_allclose(one, WIDTH, rtol=2e-3)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_an_offset_of_wavelengths_moves_the_line_by_as_much(raster: Any) -> None:
    how = {"window": around(raster, 0.03), "continuum": 1000 * u.ct}
    before = raster.spectral.line_core(**how).compute().wavelength.data
    along_slit = np.arange(SLIT) * u.pm  # one value for each pixel of the slit
    cavity = raster[:, 0].with_data(np.arange(STEPS * SLIT).reshape(STEPS, SLIT) * 0.1, unit="pm")
    for offset, added in ((2 * u.pm, 2), (along_slit, np.arange(SLIT)), (cavity, cavity.data)):
        found = raster.spectral.line_core(wavelength_offset=offset, **how).compute()
        moved = np.broadcast_to(np.asarray(added) * 1e-3, (STEPS, SLIT))
        np.testing.assert_allclose(found.wavelength.data - before, moved, atol=1e-9)
        moments = raster.spectral.moments(wavelength_offset=offset, **how).compute()
        np.testing.assert_allclose(moments.centroid.data - before, moved, atol=1e-4)


def test_a_plotted_spectrum_has_the_offset_of_its_pixel(raster: Any) -> None:
    from matplotlib.figure import Figure

    drawn = [
        raster.plot_profile((2, 3), figure=Figure(), **how).axes[0].lines[0]
        for how in ({}, {"wavelength_offset": np.arange(SLIT) * u.pm})
    ]
    before, after = (np.asarray(line.get_xdata(), float) for line in drawn)
    np.testing.assert_allclose(after - before, 0.003, atol=1e-9)
    np.testing.assert_array_equal(drawn[0].get_ydata(), drawn[1].get_ydata())


def test_masked_and_unknown_pixels_count_for_nothing(raster: Any) -> None:
    mask = np.zeros(raster.shape, bool)
    mask[0, :, 0] = True  # a whole spectrum
    mask[1, 30:33, 1] = True  # the core of one
    unknown = np.array(raster.data)
    unknown[mask] = 1e9
    masked = raster.with_data(unknown, unit="ct", mask=mask)
    unknown[mask] = np.nan
    for one in (masked, raster.with_data(unknown, unit="ct")):
        found = one.spectral.moments(continuum=100)
        assert [*np.argwhere(np.asarray(found.centroid.mask)).tolist()] == [[0, 0]]
        got = found.compute().centroid
        assert np.isnan(got.data[0, 0])
        assert got.mask[0, 0]
        np.testing.assert_allclose(
            got.data[2:], centers(raster)[2:, :, 0] + np.zeros(SLIT), atol=1e-6
        )
        assert got.data[1, 1] == pytest.approx(float(centers(raster)[1, 0, 0]), abs=3e-3)


# The dataset that it gives ----------------------------------------------------------------------


def test_a_result_has_no_wavelength(raster: Any) -> None:
    centroid = raster.spectral.moments().centroid
    copied = pickle.loads(pickle.dumps(centroid))
    for one in (centroid, centroid[2], copied[:, 1:]):
        assert kinds(one) == ["latitude", "longitude", "stokes", "time"]
        plain = published_wcs(one.wcs).low_level_wcs
        assert "em.wl" not in plain.world_axis_physical_types
    before = World(raster.wcs, raster.shape).values(3, 0, 2)
    after = World(centroid.wcs, centroid.shape).values(3, 2)
    np.testing.assert_array_equal([before[0], before[2], before[3]], after)
    # There is a way back, to 0.01 pixel.
    low = centroid.wcs.low_level_wcs
    pixel = low.world_to_pixel_values(*low.pixel_to_world_values(2, 3))
    np.testing.assert_allclose(pixel, [2, 3], atol=0.01)
    assert list(centroid[2:4].headers["DATE-AVG"]) == list(raster.headers["DATE-AVG"][2:4])
    assert centroid.lineage.is_computed
    np.testing.assert_array_equal(copied.data.compute(), centroid.data.compute())
    assert centroid.subject().unit == "nm"


def test_results_of_corrected_and_sliced_coordinates_have_these(raster: Any) -> None:
    moved = raster.shift(3 * u.arcsec)
    ours = World(moved.spectral.moments().centroid.wcs, (STEPS, SLIT)).values(1, 2)
    theirs = World(moved.wcs, moved.shape).values(1, 0, 2)
    np.testing.assert_allclose(ours, [theirs[0], theirs[2], theirs[3]])
    steps = raster[1::2, ::2]
    ours = World(steps.spectral.moments().centroid.wcs, (3, SLIT)).values(1, 2)
    theirs = World(steps.wcs, steps.shape).values(1, 0, 2)
    np.testing.assert_allclose(ours, [theirs[0], theirs[2], theirs[3]])
    assert "wavelength" not in kinds(steps.spectral.moments().centroid[0])


def test_state_is_kept_as_the_docs_say(raster: Any, scan: Any, no_span: None) -> None:
    for ds, rows in ((raster[...], STEPS), (on_real(scan, 1.0), None)):
        ds.meta["note"] = "mine"
        ds.global_coords.add("room", "custom:room", 290 * u.K)
        ds.extra_coords.add("step", (0,), np.arange(ds.shape[0]) * u.s)
        got = ds.spectral.moments().centroid
        assert got.meta["note"] == "mine"
        assert got.global_coords["room"] == 290 * u.K
        (step,) = got.axis_world_coords(wcs=got.extra_coords["step"])
        assert step.to_value(u.s).tolist() == list(range(ds.shape[0]))
        assert (None if got.headers is None else len(got.headers)) == rows
        assert got.inventory == ds.inventory
        ds.extra_coords.add("wave", (1,), np.arange(ds.shape[1]) * u.mm)
        with pytest.warns(DKISTVirtualWarning, match="along the wavelength are left behind"):
            assert "wave" not in ds.spectral.equivalent_width().global_coords
    for name, value in (
        ("uncertainty", StdDevUncertainty(np.ones(raster.shape))),
        ("psf", np.ones((3, 3, 3))),
    ):
        ds = raster[...]
        setattr(ds, name, value)
        with pytest.raises(DatasetError, match=f"ds.{name} = None leaves it behind"):
            ds.spectral.moments()


@pytest.mark.parametrize(
    "name",
    [
        "x.zarr",
        *(pytest.param(f"x.{end}", marks=pytest.mark.slow) for end in ("fits", "asdf", "nc")),
    ],
)
def test_a_result_is_saved(
    raster: Any, scan: Any, no_span: None, tmp_path: Path, name: str
) -> None:
    for number, ds in enumerate(
        (raster, on_real(scan, absorption(wavelengths_of(scan), 629.7, sigma=1)))
    ):
        centroid = ds.spectral.moments(continuum=1000 * u.ct).centroid
        place = tmp_path / f"{number}{name}"
        options = {"pixels": True} if name.endswith("asdf") else {}
        centroid.save(place, progress=False, **options)
        opened: Any = dv.open_dataset(place)
        np.testing.assert_array_equal(np.asarray(opened.data), np.asarray(centroid.data))
        assert dict(opened.meta["result"]) == centroid.meta["result"]
        assert "wavelength" not in kinds(opened)
        at = [0] * centroid.data.ndim
        np.testing.assert_allclose(
            World(opened.wcs, opened.shape).values(*at),
            World(centroid.wcs, centroid.shape).values(*at),
        )
        assert opened.unit == u.nm


@pytest.mark.parametrize("name", ["x.zarr", *SLOW])
def test_spectra_that_were_saved_are_measured_alike(raster: Any, tmp_path: Path, name: str) -> None:
    options = {"pixels": True} if name.endswith("asdf") else {}
    raster.save(tmp_path / name, progress=False, **options)
    opened: Any = dv.open_dataset(tmp_path / name)
    ours, theirs = (one.spectral.moments(continuum=100).centroid for one in (opened, raster))
    np.testing.assert_array_equal(np.asarray(ours.data), np.asarray(theirs.data))
    assert kinds(ours) == kinds(theirs)
    assert list(ours[1:3].headers["DATE-AVG"]) == list(theirs[1:3].headers["DATE-AVG"])
    calibrated = raster.calibrate_wavelength((raster.spectral.axis.values + 0.01) * u.nm)
    moved = calibrated.spectral.moments(continuum=100).centroid
    np.testing.assert_allclose(np.asarray(moved.data) - np.asarray(theirs.data), 0.01, atol=1e-9)
    assert kinds(moved) == kinds(theirs)


def test_a_map_of_sunpy_is_made_of_a_result(raster: Any) -> None:
    found = raster.spectral.moments().centroid.to_map()
    np.testing.assert_array_equal(found.data.T, np.asarray(raster.spectral.moments().centroid.data))
    assert found.unit == u.nm


def test_what_has_no_spectra_is_refused(bare: Any, datasets: Any) -> None:
    with pytest.raises(SelectionError, match="select a range of wavelengths"):
        bare[:, 3].spectral  # noqa: B018
    with pytest.raises(SelectionError, match="keep an axis of one pixel"):
        bare[1, :, 2].spectral.moments()
    with pytest.raises(SelectionError, match="Stokes I, Q, U, V, and depth"):
        datasets("croppable_visp")[:, :3, :9, :3].spectral.moments()
    with pytest.raises(SelectionError, match="has Stokes V"):
        datasets("croppable_visp")[3, :3, :9, :3].spectral.moments()


# Scans ----------------------------------------------------------------------------------------


def parabola(ds: Any, center: Any) -> Any:
    """A line of which three samples, whatever they are, have the core exactly."""
    return 300 + 100 * (wavelengths_of(ds) - center) ** 2


def moments_of_frames(ds: Any) -> Any:
    """When each frame was taken, in seconds, in a shape that broadcasts."""
    world = World(ds.wcs, ds.shape)
    (times,) = world.along([world.of_kind("time")])
    return times[:, :, None, None]


def test_a_scan_of_unsorted_wavelengths_is_measured_at_its_mean_time(scan: Any) -> None:
    assert np.argsort(scan.spectral.axis.values).tolist() == [1, 0, 2]
    center = 629.8 + 0.2 * np.sin(np.arange(44) / 7)
    ds = on_real(scan, parabola(scan, center))
    with pytest.warns(DKISTVirtualWarning, match="20 s apart, which is 67% of the 30 s"):
        core = ds.spectral.line_core(continuum=1e4 * u.ct).wavelength
    np.testing.assert_allclose(core.data.compute(), np.broadcast_to(center, core.shape))
    world = World(core.wcs, core.shape)
    (times,) = world.along([world.of_kind("time")])
    assert times.tolist() == pytest.approx([10, 40])  # of 0, 10, 20 and 30, 40, 50
    assert core.meta["result"]["time_span_s"] == pytest.approx(20)
    assert core.headers is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = ds[1:, :, 2].spectral.line_core(continuum=1e4 * u.ct, most_of_cadence=0.8).wavelength
    assert kinds(one) == ["latitude", "longitude", "stokes", "time"]
    two = ds[:, ::2].spectral  # of two points the time is that of their middle
    with pytest.warns(DKISTVirtualWarning, match="20 s apart"):
        level = two.continuum(percentile=50)
    world = World(level.wcs, level.shape)
    assert world.along([world.of_kind("time")])[0].tolist() == pytest.approx([10, 40])


def test_a_moving_brightening_pattern_sampled_one_wavelength_at_a_time(
    scan: Any, no_span: None
) -> None:
    # It moves to the right, a period is 44 pixels and 100 s, and brightens by 2 % each second.
    times, x = moments_of_frames(scan), np.arange(44)
    center = 629.8 + 0.2 * np.sin(2 * np.pi * (x / 44 - times / 100))
    steady = parabola(scan, center)
    bright = np.exp(0.02 * times)
    # What three samples of each pixel say, each at its own time, by numpy.
    offsets = wavelengths_of(scan)[0, :, 0, 0] - 629.8

    def core_of(pixels: Any) -> Any:
        wanted = np.empty((2, 44))
        for one, column in np.ndindex(2, 44):
            a, b, _ = np.polyfit(offsets, pixels[one, :, 0, column], 2)
            wanted[one, column] = 629.8 - b / (2 * a)
        return wanted

    shape = (2, 3, 30, 44)
    seen = on_real(scan, np.broadcast_to(steady * bright, shape))
    how = {"continuum": 1e6 * u.ct}
    raw = seen.spectral.line_core(**how).wavelength.data.compute()
    np.testing.assert_allclose(
        raw[:, 3], core_of(np.broadcast_to(steady * bright, shape)), rtol=1e-9
    )
    corrected = seen.spectral.line_core(normalise="frame mean", **how).wavelength
    wanted = core_of(np.broadcast_to(steady, shape))
    assert np.abs(raw[:, 3] - wanted).max() > 0.02
    np.testing.assert_allclose(corrected.data.compute()[:, 3], wanted, rtol=1e-9)
    # The broadband level says the same, where it is given.
    broadband = on_real(scan, np.broadcast_to(bright, shape))
    by_level = seen.spectral.line_core(normalise=broadband, **how).wavelength
    np.testing.assert_allclose(by_level.data.compute()[:, 3], wanted, rtol=1e-9)
    assert "broadband" in by_level.meta["result"]["normalise"]
    with pytest.raises(DatasetError, match="VTFOUTCH names"):
        seen.spectral.moments(normalise="broadband")
    with pytest.raises(DatasetError, match="one scan, of which the brightness"):
        seen[:1].spectral.moments(normalise="frame mean")


def test_the_share_of_the_cadence_is_the_one_that_the_docs_say() -> None:
    assert results.MOST_OF_CADENCE == 0.5


# What is read ---------------------------------------------------------------------------------


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Any]]:
    """The frames that are read, and of each the window."""
    seen: list[tuple[int, Any]] = []
    read = FrameStore.pixels

    def counted(self: Any, name: str, position: int, window: Any, out: Any) -> Any:
        seen.append((position, tuple(map(len, window))))
        return read(self, name, position, window, out)

    monkeypatch.setattr(FrameStore, "pixels", counted)
    return seen


def test_each_frame_is_read_once_for_all_quantities(
    datasets: Any, scan: Any, no_span: None, reads: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    visp = datasets("visp")[0]
    for ds, frames in ((visp, 4), (scan, 6)):
        reads.clear()
        together = ds.spectral.moments(continuum=100)
        assert reads == []
        found = together.compute()
        assert len(reads) == frames
        assert len({position for position, _ in reads}) == frames
        for name in ("centroid", "width"):
            np.testing.assert_array_equal(together[name].data.compute(), found[name].data)
    reads.clear()
    one = visp.spectral.moments(continuum=100).centroid[2, 5:9]
    assert reads == []
    alone = one.data.compute()
    assert [window[-1] for _, window in reads] == [4]  # of one frame, what the slice needs
    whole = visp.spectral.moments(continuum=100).centroid.data.compute()
    np.testing.assert_array_equal(alone, whole[2, 5:9])


def test_blocks_of_scans_are_bands_of_tiles(
    scan: Any, no_span: None, reads: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.cube.spectral import reduced_array

    monkeypatch.setattr(reduced_array, "_TILE", 8)
    monkeypatch.setattr(reduced_array, "_BLOCK", 16 * 44 * 3 * 4)
    part = scan[:, :, 3:29]
    centroid = part.spectral.moments(continuum=100).centroid
    found = centroid.data.compute()
    # Rows 3 to 29 in bands that end at rows 16 and 32, of all three wavelengths of a scan.
    assert centroid.data.chunks == ((1, 1), (13, 13), (44,))
    assert sorted({window[-2] for _, window in reads}) == [13]
    assert len(reads) == 12
    monkeypatch.undo()
    np.testing.assert_array_equal(
        found, part.spectral.moments(continuum=100).centroid.data.compute()
    )


def test_absent_frames_are_unknown(simulated: Any, tmp_path: Path, no_span: None) -> None:
    import shutil

    place = tmp_path / "frames"
    shutil.copytree(simulated("visp_plain"), place)
    ds: Any = dv.open_dataset(place, missing="nan")[0]
    (place / Path(ds.files.filenames[1]).name).unlink()
    found = ds.spectral.moments(continuum=100).compute().centroid
    assert np.isnan(found.data[1]).all()
    assert found.mask[1].all()
    assert np.isfinite(found.data[0]).any()


def test_results_of_computed_and_of_dask_pixels_are_alike(datasets: Any) -> None:
    visp = datasets("visp")[0]
    plain = visp.spectral.moments(continuum=100).centroid.data.compute()
    for ds in (visp * 2, visp.with_data(visp.data.rechunk((2, 9, 20)), unit="ct")):
        centroid = ds.spectral.moments(continuum=100).centroid
        np.testing.assert_allclose(centroid.data.compute(), plain, atol=1e-9)
        np.testing.assert_allclose(centroid[1:, ::2].data.compute(), plain[1:, ::2], atol=1e-9)


@pytest.mark.slow
def test_a_cluster_computes_the_same(datasets: Any) -> None:
    from distributed import Client, LocalCluster

    visp = datasets("visp")[0]
    alone = visp.spectral.moments(continuum=100).compute()
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        for ds in (visp, visp * 1.0):
            there = ds.spectral.moments(continuum=100).compute()
            np.testing.assert_array_equal(there.centroid.data, alone.centroid.data)


def test_a_gap_in_the_core_gives_no_core(bare: Any) -> None:
    """One unknown sample beside the lowest is bridged; of more the vertex may be anywhere."""
    ds = bare[:1, :, :3]
    pixels = absorption(wavelengths_of(ds), 630.94) * np.ones(ds.shape)
    lowest = int(np.argmin(pixels[0, :, 0]))
    pixels[:, lowest + 1, 1] = np.nan
    pixels[:, lowest - 5 : lowest + 15, 2] = np.nan
    core = on_real(ds, pixels).spectral.line_core(window=[630.895, 630.985] * u.nm)
    assert core.quality.data.compute().tolist() == [[0, 0, 1]]
    np.testing.assert_allclose(core.wavelength.data[0, :2], 630.94, atol=2e-5)
    assert core.wavelength.mask.compute().tolist() == [[False, False, True]]
    pixels[0, lowest + 2 : lowest + 12, 0] = np.nan  # a side that reaches half of the depth
    middle = on_real(ds, pixels).spectral.bisector(window=[630.895, 630.985] * u.nm).middle_50
    assert middle.mask.compute().tolist() == [[True, False, True]]
    np.testing.assert_allclose(middle.data[0, 1], 630.94, atol=5e-5)


def test_an_unknown_offset_is_of_its_own_spectrum_alone(bare: Any) -> None:
    ds = bare[:1, :, :3]
    ds = on_real(ds, absorption(wavelengths_of(ds), 630.94))
    offset = [0.002, np.nan, 0.002] * u.nm
    edges = [[630.893, 630.91], [630.97, 630.99]] * u.nm
    how = {"continuum": {"windows": edges, "degree": 1}, "wavelength_offset": offset}
    found = ds.spectral.line_core(window=[630.895, 630.985] * u.nm, **how).wavelength.data.compute()
    np.testing.assert_allclose(found, [[630.942, np.nan, 630.942]], atol=2e-5)
