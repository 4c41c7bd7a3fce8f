"""Write Stokes profiles for inversion codes, and read what they found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import h5py
import numpy as np
import pytest
from spectra import on_real, wavelengths_of

import dkist_virtual as dv
from dkist_virtual.dataset.export.inversion import region as regions
from dkist_virtual.errors import DatasetError, SelectionError, StoreExistsError
from dkist_virtual.science.inversion_files import sir
from dkist_virtual.science.inversion_files.geometry import line_of_sight

LINE = 630.25 * u.nm
LEVEL = 2000.0
N_STEPS, N_SLIT = 3, 5


@pytest.fixture(scope="module")
def part(datasets: Callable[[str], Any]) -> Any:
    """A region of BKEWK, 3 steps and 5 pixels of the slit, with a number of its own in each."""
    ds = datasets("croppable_visp")[:, 10:13, 0:40, 100:105]
    stokes, step, wave, slit = np.indices(ds.shape)
    pixels = 1000 + 100 * step + 10 * slit + wave * 0.5 - 300 * stokes
    made = on_real(ds, pixels)
    mask = np.zeros(ds.shape, bool)
    mask[:, 2, :, 1] = True  # nothing of this pixel was observed
    mask[3, 1, 7, 3] = True
    made.mask = mask
    return made


def expected(step: int, slit: int) -> Any:
    """(wavelength, 4)"""
    wave, stokes = np.indices((40, 4))
    return (1000 + 100 * step + 10 * slit + wave * 0.5 - 300 * stokes) / LEVEL


def read_pixels(directory: Path) -> dict[tuple[int, ...], Path]:
    """Which directory has which pixel, as its table says."""
    rows = [line.split() for line in (directory / "pixels.txt").read_text().splitlines()[1:]]
    return {(int(row[1]), int(row[2])): directory / row[-1] for row in rows}


# What is written for SIR --------------------------------------------------------------------------


def test_profiles_for_sir_have_the_pixels_of_their_place(part: Any, tmp_path: Path) -> None:
    part.to_sir(tmp_path, lines={23: LINE}, continuum=LEVEL, progress=False)
    places = read_pixels(tmp_path)
    assert sorted(places) == [(i, j) for i in range(N_STEPS) for j in range(N_SLIT)]
    table = np.loadtxt(places[1, 3] / "observed.per")
    assert (table[:, 0] == 23).all()
    away = (wavelengths_of(part).ravel() - LINE.value) * 1e4  # from nm to mA
    np.testing.assert_allclose(table[:, 1], away, atol=1e-3)
    assert table[0, 1] == pytest.approx(-75.2, abs=0.1)  # 630.24248 nm, by hand
    wanted = expected(1, 3)
    wanted[7, 3] = -10  # masked
    np.testing.assert_allclose(table[:, 2:], wanted, rtol=1e-6)
    assert not (places[2, 1]).exists()
    assert len(list(tmp_path.glob("*/*/observed.per"))) == N_STEPS * N_SLIT - 1
    record = json.loads((tmp_path / "region.json").read_text())
    assert (record["shape"], record["continuum"]) == ([4, 3, 40, 5], LEVEL)
    assert record["positive_q"].startswith("0 deg")
    grid = (tmp_path / "wave.grid").read_text().splitlines()[-1]
    numbers = [float(n) for n in grid.partition(":")[2].split(",")]
    np.testing.assert_allclose(numbers, [away[0], away[1] - away[0], away[-1]], atol=1e-3)
    with pytest.raises(StoreExistsError, match="overwrite=True"):
        part.to_sir(tmp_path, lines=LINE, continuum=LEVEL)


def test_the_table_says_where_pixels_are_on_the_sun(part: Any, tmp_path: Path) -> None:
    part.to_sir(tmp_path, lines=LINE, continuum=LEVEL, code="desire", sigma=0.001, progress=False)
    (row,) = [
        line.split()
        for line in (tmp_path / "pixels.txt").read_text().splitlines()
        if line.startswith(f"{1 * N_SLIT + 3} 1 3 ")
    ]
    sky = next(c for c in part[0].wcs.pixel_to_world(3, 0, 1) if hasattr(c, "Tx"))
    tx, ty, mu = (float(one) for one in row[3:6])
    np.testing.assert_allclose([tx, ty], [sky.Tx.value, sky.Ty.value], atol=2e-4)
    x, y, *rest = (float(n) for n in (tmp_path / row[-1] / "pos.coor").read_text().split(","))
    assert rest == [0, 0]
    # As drawn: the sine of the heliocentric angle is the distance from the centre in radii.
    assert np.sqrt(1 - x**2 - y**2) == pytest.approx(mu, abs=2e-5)
    assert (x > 0) == (tx > 0)
    weights = np.loadtxt(tmp_path / row[-1] / "observed.wht")
    assert (weights[:, 2:] == 1).all()


def test_wavelengths_belong_to_the_nearest_line(part: Any, tmp_path: Path) -> None:
    lines = tmp_path / "LINES"
    lines.write_text(
        " 5=FE 1  6302.6000  1.0  3.654  -0.718  5P 2.0- 5D 2.0  0.242  2.33543e-14\n"
        " 9=FE 1  6302.9000  1.0  3.686  -1.131  5P 1.0- 5D 0.0  0.239  2.38024e-14\n"
    )
    sigma = np.linspace(1, 2, 40)
    part.to_sir(
        tmp_path / "out", lines=[9, 5], lines_file=lines, blends={9: [1]}, continuum=LEVEL,
        window=0.009 * u.nm, code="desire", sigma=sigma, progress=False,
    )  # fmt: skip
    pixel = read_pixels(tmp_path / "out")[0, 0]
    index, away, stokes = sir.parse_profile((pixel / "observed.per").read_text())
    angstrom = wavelengths_of(part).ravel() * 10
    near = [np.abs(angstrom - at) <= 0.09 for at in (6302.6, 6302.9)]
    assert index.tolist() == [5] * near[0].sum() + [9] * near[1].sum()
    np.testing.assert_allclose(away[index == 9], (angstrom[near[1]] - 6302.9) * 1e3, atol=1e-3)
    np.testing.assert_allclose(stokes[index == 9], expected(0, 0)[near[1]], rtol=1e-6)
    weights = np.loadtxt(pixel / "observed.wht")[:, 2]
    window = (angstrom >= 6302.51) & (angstrom <= 6302.99)  # from the first line to the second
    used = sigma[near[0] | near[1]]
    np.testing.assert_allclose(weights, sigma[window][0] / used, rtol=1e-5)
    assert (tmp_path / "out" / "LINES").read_text() == lines.read_text().rstrip("\n") + "\n"
    assert "9,1" in (tmp_path / "out" / "wave.grid").read_text()


def test_wavelengths_in_vacuum_are_converted(part: Any, tmp_path: Path) -> None:
    for medium in ("air", "vacuum"):
        named = part[:, :1]
        named.meta["wavelength_medium"] = medium
        named.to_sir(tmp_path / medium, lines=LINE, continuum=LEVEL, progress=False)
    air, vacuum = (
        np.loadtxt(read_pixels(tmp_path / one)[0, 0] / "observed.per")[:, 1]
        for one in ("air", "vacuum")
    )
    # The refractive index of air at 630 nm is 1.0002763 (Peck & Reeder 1972).
    np.testing.assert_allclose(vacuum - air, -630.3e4 * 2.763e-4, rtol=1e-3)


def test_the_continuum_of_a_quiet_region_is_that_at_the_centre(part: Any, tmp_path: Path) -> None:
    quiet = part[:, 0:1, 5:6, 0:1]
    part.to_sir(
        tmp_path, lines=LINE, continuum=quiet, limb_darkening=0.8, progress=False
    )  # fmt: skip
    local = 1000 + 5 * 0.5
    table = np.loadtxt(read_pixels(tmp_path)[0, 0] / "observed.per")
    # The local continuum is 0.8 of that at the centre of the disk.
    assert table[5, 2] == pytest.approx(0.8)
    assert json.loads((tmp_path / "region.json").read_text())["continuum"] == local / 0.8
    part.to_sir(tmp_path, lines=LINE, continuum=quiet, overwrite=True, progress=False)
    by_law = json.loads((tmp_path / "region.json").read_text())
    assert 0.3 < by_law["limb_darkening"] < 1
    assert by_law["limb_darkening_from"] == "neckel 2005"


# What is written for hazel ------------------------------------------------------------------------


def test_the_angles_are_those_of_hazels_own_example() -> None:
    """Two of its manual, with +Q to solar north; a mirrored position has the other angle."""
    mu = np.sqrt(1 - (300**2 + 200**2) / 960**2)
    theta, chi, gamma = line_of_sight(-300, -200, mu, 90)
    assert [theta, chi, gamma] == pytest.approx([22.1, 0, 56.3], abs=0.05)
    assert line_of_sight(750, 600, np.nan, 90) == pytest.approx([90, 0, 51.3], abs=0.05)
    assert line_of_sight(-300, 200, mu, 90)[2] == pytest.approx(180 - 56.3, abs=0.05)
    # +Q to solar west, at the west limb along the radius, at the north limb across it; and in the
    # north-west, where the radius is 45 degrees counterclockwise of it, +Q is 45 clockwise of that.
    assert line_of_sight(900, 0, 0.1, 0)[2] == pytest.approx(0)
    assert line_of_sight(0, 900, 0.1, 0)[2] == pytest.approx(90)
    assert line_of_sight(500, 500, 0.1, 0)[2] == pytest.approx(135)


def test_profiles_for_hazel(part: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sigma = np.full((40, 4), 1e-3)
    sigma[:, 3] = 2e-3
    part.to_hazel(tmp_path / "a.h5", continuum=LEVEL, sigma=sigma, progress=False)
    # Some pixels at a time give the same.
    monkeypatch.setattr(regions, "_BLOCK", 8 * 4 * 40 * 2)
    part.to_hazel(tmp_path / "b.h5", continuum=LEVEL, sigma=sigma, progress=False)
    with h5py.File(tmp_path / "a.h5") as one, h5py.File(tmp_path / "b.h5") as other:
        for name in ("stokes", "sigma", "LOS", "boundary", "pixel_index"):
            np.testing.assert_allclose(one[name][...], other[name][...], rtol=1e-7)
        assert one["stokes"].shape == (15, 40, 4)
        index = one["pixel_index"][...].tolist()
        assert index == [[i, j] for i in range(N_STEPS) for j in range(N_SLIT)]
        number = index.index([1, 3])
        wanted = expected(1, 3)
        wanted[7, 3] = 0
        np.testing.assert_allclose(one["stokes"][number], wanted)
        noise = sigma.copy()
        noise[7, 3] = 1e10
        np.testing.assert_array_equal(one["sigma"][number], noise)
        theta, chi, gamma = one["LOS"][number]
        sky = next(c for c in part[0].wcs.pixel_to_world(3, 0, 1) if hasattr(c, "Tx"))
        # The radius of the Sun, 695,700 km, is 959.23 arcsec at one astronomical unit.
        disk = 959.23 / sky.observer.radius.to_value("AU")
        sine = np.hypot(sky.Tx.value, sky.Ty.value) / disk
        assert np.sin(np.radians(theta)) == pytest.approx(sine, rel=1e-4)
        assert chi == 0
        north = np.degrees(np.arctan2(sky.Ty.value, sky.Tx.value))
        assert gamma == pytest.approx(-north % 180, abs=0.01)
        assert (one["boundary"][...] == [1, 0, 0, 0]).all()
    np.testing.assert_allclose(
        np.loadtxt(tmp_path / "a.wavelength", skiprows=1), wavelengths_of(part).ravel() * 10
    )
    assert np.loadtxt(tmp_path / "a.weights", skiprows=1).tolist() == [[1] * 4] * 40
    with h5py.File(tmp_path / "a_mask.h5") as file:
        assert file["mask"][...].tolist() == [int(k != 2 * N_SLIT + 1) for k in range(15)]


def test_a_single_pixel_for_hazel(part: Any, tmp_path: Path) -> None:
    one = part[:, 1:2, :, 3:4]
    one.to_hazel(tmp_path / "one.1d", continuum=LEVEL, sigma=1e-3, boundary=0.9)
    lines = (tmp_path / "one.1d").read_text().splitlines()
    assert len(lines[1].split()) == 3
    assert [float(n) for n in lines[4].split()] == [0.9, 0, 0, 0]
    table = np.loadtxt(tmp_path / "one.1d", skiprows=7)
    wanted = expected(1, 3)
    wanted[7, 3] = 0
    np.testing.assert_allclose(table[:, :4], wanted)
    assert table[7, 7] == 1e10


def test_scanned_wavelengths_and_one_stokes_parameter(simulated: Any, tmp_path: Path) -> None:
    """VTF: a frame for each wavelength; its Stokes frame is not documented."""
    ds = dv.open_dataset(simulated("vtf"))
    assert isinstance(ds, dv.Dataset)
    part = ds[0:1, 1, :, 3:7, 5:8]
    given = {"continuum": 10.0, "sigma": 0.1, "progress": False}
    with pytest.raises(DatasetError, match="give positive_q="):
        part.to_hazel(tmp_path / "vtf.h5", **given)
    part.to_hazel(tmp_path / "vtf.h5", positive_q=90 * u.deg, **given)
    pixels = np.asarray(part.data)[0]
    order = np.argsort(wavelengths_of(part).ravel())
    with h5py.File(tmp_path / "vtf.h5") as file:
        stokes, sigma = file["stokes"][...], file["sigma"][...]
    np.testing.assert_allclose(stokes[4, :, 0], pixels[order, 1, 1] / 10, rtol=1e-6)
    assert (stokes[..., 1:] == 0).all()
    assert (sigma[..., 1:] == 1e10).all()
    assert np.loadtxt(tmp_path / "vtf.weights", skiprows=1)[0].tolist() == [1, 0, 0, 0]


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "kind", "said"),
    [
        ({"lines": [7]}, DatasetError, "line 7: expected its index in lines_file"),
        ({"lines": "Fe I 9999"}, SelectionError, "Fe I 9999"),
        ({"lines": 500 * u.nm, "window": 1 * u.nm}, SelectionError, "no wavelength is from"),
        ({"continuum": -1.0}, DatasetError, "an intensity above 0"),
        ({"continuum": "quiet"}, DatasetError, "a part of the dataset that is quiet"),
        ({"continuum": 3 * u.K}, DatasetError, "expected one value in ct"),
        ({"code": "nicole"}, DatasetError, "'sir' or 'desire'"),
        ({"sigma": 0.001}, DatasetError, "which DeSIRe reads and SIR does"),
        ({"sigma": [1, 2], "code": "desire"}, DatasetError, r"\(40,\) or \(40, 4\)"),
        ({"blends": {3: [4]}}, DatasetError, "no such line"),
        ({"positive_q": 3}, DatasetError, "90 \\* u.deg for solar north"),
    ],
)
def test_what_does_not_fit_is_refused(
    part: Any, tmp_path: Path, keywords: Any, kind: Any, said: str
) -> None:
    with pytest.raises(kind, match=said):
        part.to_sir(tmp_path / "x", **({"lines": LINE, "continuum": LEVEL} | keywords))
    assert not (tmp_path / "x").exists()


# What is read back --------------------------------------------------------------------------------


def model(step: int, slit: int) -> str:
    """A model atmosphere in SIR's format whose numbers say which pixel it is of."""
    rows = [f"  {0.5 + 10 * step + slit}  0.8  0.0"]
    for depth in np.arange(1.0, -3.1, -0.5):
        value = 5000 + 1000 * step + 100 * slit + 10 * depth
        rows.append(
            f" {depth:8.4f} {value:9.1f} 1.0E+03 2.0E+05 {100 * depth + 500:.4E} -3.0E+05 "
            f"30.0 {170 - 20 * depth:.3f} 1.5E+02 2.0E+05 4.0E-07"
        )
    return "\n".join(rows) + "\n"


@pytest.fixture
def inverted(part: Any, tmp_path: Path) -> Path:
    part.to_sir(tmp_path / "sir", lines=LINE, continuum=LEVEL, progress=False)
    for (step, slit), directory in read_pixels(tmp_path / "sir").items():
        if directory.exists():
            (directory / "guess_2.mod").write_text(model(step, slit))
    return tmp_path / "sir"


def test_models_are_read_onto_their_pixels(part: Any, inverted: Path) -> None:
    found = part.read_sir(inverted, log_tau=-1.25, progress=False)
    temperature = found.temperature
    assert temperature.shape == (N_STEPS, N_SLIT)
    step, slit = np.indices((N_STEPS, N_SLIT))
    wanted = 5000.0 + 1000 * step + 100 * slit - 12.5
    mask = (step == 2) & (slit == 1)
    np.testing.assert_array_equal(temperature.mask, mask)
    np.testing.assert_allclose(np.asarray(temperature.data)[~mask], wanted[~mask])
    assert temperature.unit == u.K
    # Of -3 km/s: towards the observer.
    assert np.asarray(found.velocity.data)[0, 0] == pytest.approx(-3)
    assert found.velocity.unit == u.km / u.s
    assert np.asarray(found.magnetic_field.data)[1, 3] == pytest.approx(375)
    assert np.asarray(found.azimuth.data)[0, 0] == pytest.approx(195)
    assert np.asarray(found.macroturbulence.data)[1, 3] == pytest.approx(13.5)
    here, there = (
        next(c for c in wcs.pixel_to_world(*pixel) if hasattr(c, "Tx"))
        for wcs, pixel in ((temperature.wcs, (3, 1)), (part[0].wcs, (3, 0, 1)))
    )
    assert here.separation(there) < 1e-6 * u.arcsec
    result = temperature.meta["result"]
    assert (result["method"], result["n_pixels_inverted"]) == ("inversion with sir", 14)
    assert temperature.lineage.is_computed
    assert str(temperature.lineage.past).startswith("inversion with sir of ")
    assert not temperature.lineage.common().keys() & {"stokes", "wavelength"}
    assert temperature[1].shape == (N_SLIT,)
    several = part.read_sir(inverted, log_tau=(0, -1), progress=False)
    assert np.asarray(several["temperature_at_-1"].data)[0, 0] == pytest.approx(4990)
    with pytest.raises(DatasetError, match=r"expected that of this dataset, \[4, 2, 40, 5\]"):
        part[:, :2].read_sir(inverted, log_tau=0)
    with pytest.raises(DatasetError, match=r"no pixel has a file 'guess_7\.mod'"):
        part.read_sir(inverted, log_tau=0, model="guess_7.mod", progress=False)
    next(iter(inverted.glob("*/*/guess_2.mod"))).with_name("guess_1.mod").write_text(model(0, 0))
    with pytest.raises(DatasetError, match=r"model= names one of them, such as 'guess_2\.mod'"):
        part.read_sir(inverted, log_tau=0, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("end", [".zarr", ".fits", ".asdf", ".nc"])
def test_what_was_read_is_saved_and_mapped(
    part: Any, inverted: Path, tmp_path: Path, end: str
) -> None:
    found = part.read_sir(inverted, log_tau=-1, progress=False)
    velocity = found.velocity
    options = {"pixels": True} if end == ".asdf" else {}
    velocity.save(tmp_path / f"v{end}", progress=False, **options)
    opened = dv.open_dataset(tmp_path / f"v{end}")
    assert isinstance(opened, dv.Dataset)
    assert opened.meta["result"] == velocity.meta["result"]
    np.testing.assert_allclose(opened.to_numpy(), velocity.to_numpy())
    assert velocity.to_map().unit == u.km / u.s


def test_outputs_of_hazel_are_read_onto_their_pixels(part: Any, tmp_path: Path) -> None:
    part.to_hazel(tmp_path / "obs.h5", continuum=LEVEL, sigma=1e-3, progress=False)
    step, slit = (one.ravel() for one in np.indices((N_STEPS, N_SLIT)))
    tau = 0.1 + step + 0.01 * slit
    tau[2 * N_SLIT + 1] = 0  # not inverted: hazel leaves zeros
    depths = np.array([1.0, 0.0, -1.0, -2.0])
    with h5py.File(tmp_path / "out.h5", "w") as file:
        slab, photosphere, spectrum = (file.create_group(n) for n in ("ch1", "ph1", "spec1"))
        slab["tau"] = np.stack([0 * tau, tau], 1)[:, None, :, None]  # pixel, random, cycle, depth
        slab["v"] = np.where(tau, -2.0, 0)[:, None, None, None].repeat(2, 2)
        slab["tau_nodes"] = np.zeros(15)
        photosphere["log_tau"] = depths
        own = np.where(tau[:, None], 5000 + 100 * depths + tau[:, None], 0)
        photosphere["T"] = own[:, None, None, :].repeat(2, 2)
        spectrum["chi2"] = np.stack([tau, 2 * tau], 1)[:, None, :]
        spectrum["stokes"] = np.zeros((15, 1, 2, 4, 40))
    given = {"observations": tmp_path / "obs.h5"}
    found = part.read_hazel(tmp_path / "out.h5", log_tau=-0.5, **given)
    assert sorted(found) == ["ch1_tau", "ch1_v", "ph1_T", "spec1_chi2"]
    image = np.asarray(found.ch1_tau.data)
    assert image[1, 3] == pytest.approx(1.13)
    assert np.argwhere(found.ch1_tau.mask).tolist() == [[2, 1]]
    assert np.asarray(found.ph1_T.data)[1, 3] == pytest.approx(4950 + 1.13)
    assert np.asarray(found.spec1_chi2.data)[1, 3] == pytest.approx(2.26)
    assert (found.ch1_v.unit, found.ph1_T.unit) == (u.km / u.s, u.K)
    assert found.ch1_v.meta["result"]["method"] == "inversion with hazel"
    with pytest.raises(DatasetError, match="log_tau=-1 chooses one"):
        part.read_hazel(tmp_path / "out.h5", **given)
    with pytest.raises(DatasetError, match="expected a file that to_hazel wrote"):
        part.read_hazel(tmp_path / "out.h5", observations=tmp_path / "out.h5")
