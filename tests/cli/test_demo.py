"""Check the demo: it paints physics, writes a dataset, and leaves other files alone."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import dkist
import numpy as np
import pytest
from astropy.io import fits
from matplotlib import image

import dkist_virtual as dv
from dkist_virtual.demo import sunspot as scenes
from dkist_virtual.demo import vbi as demo_mosaic
from dkist_virtual.demo import vtf as demo
from dkist_virtual.errors import StoreExistsError

SMALL = (4, 2, 3, 48, 48)


@pytest.fixture(scope="module")
def scene() -> scenes.Scene:
    return scenes.sunspot((256, 256))


@pytest.fixture(scope="module")
def fine() -> np.ndarray:
    return np.linspace(-40, 40, 161)


def quiet(scene: scenes.Scene) -> np.ndarray:
    return scene.spot < 1e-3


def test_granules_have_the_contrast_and_the_size_of_the_sun(scene: scenes.Scene) -> None:
    # 10 to 15 % at 630 nm, seen from space or by a large telescope (Danilovic et al. 2008)
    light = scene.continuum[quiet(scene)]
    assert light.mean() == pytest.approx(1, abs=0.02)
    assert 0.10 < light.std() / light.mean() < 0.15
    # The power of a strip without the spot peaks at cells of 1 to 2.5 arcsec.
    strip = scene.continuum[:40] - scene.continuum[:40].mean()
    power = (abs(np.fft.rfft(strip, axis=1)) ** 2).mean(axis=0)
    cycles = np.arange(len(power)) / scenes.FIELD
    power = np.convolve(power * cycles, np.ones(7) / 7, mode="same")
    assert 1.0 < 1 / cycles[power.argmax()] < 2.5


def test_granules_rise_and_lanes_sink(scene: scenes.Scene) -> None:
    outside = quiet(scene)
    assert np.corrcoef(scene.continuum[outside], scene.velocity[outside])[0, 1] < -0.9
    assert 0.5 < scene.velocity[outside].std() < 1.5


def test_the_spot_is_dark_and_the_umbra_darker(scene: scenes.Scene) -> None:
    y, x = (int(at * 256) for at in scenes.SPOT_CENTRE)
    row = scene.continuum[y]
    assert scene.continuum[y - 8 : y + 8, x - 8 : x + 8].mean() < 0.25
    penumbra = row[x + 44 : x + 56]  # 5.5 to 7 arcsec from the centre
    assert 0.6 < penumbra.mean() < 0.9
    assert scene.continuum.min() > 0


@pytest.mark.slow
def test_the_core_shifts_by_the_doppler_velocity(scene: scenes.Scene, fine: np.ndarray) -> None:
    outside = quiet(scene)
    absorbed = (scene.continuum - scenes.stokes(scene, fine)[0])[:, outside]
    shift = (fine[:, None] * absorbed).sum(axis=0) / absorbed.sum(axis=0)
    # c is 299,792.458 km/s, and the line lies at 630.25 nm: 2.1023 pm per km/s.
    np.testing.assert_allclose(shift, 2.1023 * scene.velocity[outside], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_v_is_antisymmetric_about_the_core_and_the_rest_symmetric(
    scene: scenes.Scene, fine: np.ndarray
) -> None:
    still = dataclasses.replace(scene, velocity=np.zeros_like(scene.velocity))
    i, q, u, v = scenes.stokes(still, fine)
    np.testing.assert_allclose(v, -v[::-1], atol=1e-12)
    for symmetric in (i, q, u):
        np.testing.assert_allclose(symmetric, symmetric[::-1], atol=1e-12)
    inside = scene.spot > 0.999
    assert (abs(v).max(axis=0)[inside] > 0.01).all()
    # The lobes have opposite signs: blue positive, the field towards us.
    blue = v[fine < 0].sum(axis=0)[inside]
    red = v[fine > 0].sum(axis=0)[inside]
    assert (blue > 0).all()
    assert (red < 0).all()


@pytest.mark.slow
def test_no_polarisation_outside_the_spot(scene: scenes.Scene, fine: np.ndarray) -> None:
    polarised = scenes.stokes(scene, fine)[1:, :, quiet(scene)]
    assert abs(polarised).max() < 1e-3
    assert abs(scenes.stokes(scene, fine)[1:3]).max() > 0.02


@pytest.mark.slow
def test_polarisation_never_exceeds_the_intensity(scene: scenes.Scene, fine: np.ndarray) -> None:
    i, q, u, v = scenes.stokes(scene, fine)
    assert (np.sqrt(q**2 + u**2 + v**2) <= i).all()


@pytest.mark.slow
def test_a_strong_field_splits_the_line(scene: scenes.Scene, fine: np.ndarray) -> None:
    y, x = (int(at * 256) for at in scenes.SPOT_CENTRE)
    v = scenes.stokes(scene, fine)[3, :, y, x]
    lobes = (fine[v.argmin()] - fine[v.argmax()]) / 2
    # 4.67e-13 g lambda^2 B, in Angstrom, for g = 2.5 at 6302.5 Angstrom: 4.637 pm per kG
    assert lobes == pytest.approx(4.637e-3 * scene.field[y, x], rel=0.1)


def test_the_same_seed_gives_the_same_scene_and_scans_differ_a_little() -> None:
    first, again, next_scan = (scenes.sunspot((64, 64), scan=scan) for scan in (0, 0, 1))
    for a, b in zip(vars(first).values(), vars(again).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    outside = quiet(first) & quiet(next_scan)
    alike = np.corrcoef(first.continuum[outside], next_scan.continuum[outside])[0, 1]
    assert 0.3 < alike < 0.999


def test_images_of_different_shapes_are_no_scene(scene: scenes.Scene) -> None:
    with pytest.raises(ValueError, match=r"differ in shape.*'field': \(2, 2\)"):
        dataclasses.replace(scene, field=np.zeros((2, 2)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.make_vtf(tmp_path_factory.mktemp("demo") / "frames", SMALL, echo=lambda _: None)


def test_dkist_reads_what_was_made(made: Path) -> None:
    ds = dkist.load_dataset(made)
    assert ds.data.shape == SMALL
    pixels = np.asarray(ds.data)
    assert pixels.dtype == np.float32
    offsets = np.linspace(-demo.SCAN_HALF_WIDTH, demo.SCAN_HALF_WIDTH, 3)
    painted = demo.COUNTS * scenes.stokes(scenes.sunspot((48, 48)), offsets)
    # Noise of 20 ct, and what compression rounds off.
    residual = pixels[:, 0] - painted
    assert demo.NOISE < residual.std() < 1.2 * demo.NOISE
    assert abs(residual).max() < 6.5 * demo.NOISE
    wavelengths = [
        float(ds.wcs.low_level_wcs.pixel_to_world_values(0, 0, w, 0, 0)[2]) for w in range(3)
    ]
    np.testing.assert_allclose(wavelengths, 630.25 + offsets * 1e-3, atol=1e-6)


def test_frames_are_rice_compressed(made: Path) -> None:
    with fits.open(made.with_name("VTF_demo_0000.fits"), disable_image_compression=True) as hdus:
        assert hdus[1].header["ZCMPTYPE"] == "RICE_1"
        assert hdus[1].header["EXTNAME"] == "OBSERVATION"


def test_complete_frames_are_used_again(made: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in made.parent.iterdir()}
    said: list[str] = []
    assert demo.make_vtf(made.parent, SMALL, echo=said.append) == made
    assert {path.name: path.stat().st_mtime_ns for path in made.parent.iterdir()} == before
    assert said == [f"{made.parent}: the 24 frames are there already"]


@pytest.mark.slow
def test_a_lost_frame_is_made_again_and_strangers_stay(made: Path, tmp_path: Path) -> None:
    directory = tmp_path / "frames"
    shutil.copytree(made.parent, directory)
    (directory / "VTF_demo_0005.fits").unlink()
    (directory / "VTF_demo_notes.txt").write_text("mine")
    smaller = (4, 1, 2, 16, 16)
    demo.make_vtf(directory, smaller, echo=lambda _: None)
    frames = [f"VTF_demo_{index:04d}.fits" for index in range(8)]
    assert sorted(path.name for path in directory.iterdir()) == sorted(
        [*frames, "VTF_demo.asdf", "VTF_demo_notes.txt", "demo.json"]
    )
    assert json.loads((directory / "demo.json").read_text())["shape"] == list(smaller)
    assert dkist.load_dataset(directory / "VTF_demo.asdf").data.shape == smaller


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        (1, 3, 1, 16, 20),
        *(
            pytest.param(shape, marks=pytest.mark.slow)
            for shape in ((1, 2, 3, 16, 20), (4, 2, 1, 16, 20))
        ),
    ],
)
def test_one_stokes_parameter_and_one_wavelength_are_no_axis(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    asdf = demo.make_vtf(str(tmp_path / "big"), shape, echo=lambda _: None)
    assert asdf == tmp_path / "big" / "VTF_demo.asdf"
    theirs, ours = dkist.load_dataset(asdf), dv.open_dataset(asdf)
    stokes, *scan, wavelength, y, x = shape
    kept = (*[n for n in (stokes,) if n > 1], *scan, *[n for n in (wavelength,) if n > 1], y, x)
    assert theirs.data.shape == ours.shape == kept
    pixels = ours.data.compute()
    np.testing.assert_array_equal(pixels, theirs.data.compute())
    assert pixels.std() > demo.NOISE
    kinds = {"phys.polarization.stokes": stokes > 1, "em.wl": wavelength > 1, "time": True}
    types = ours.wcs.world_axis_physical_types
    assert {kind: kind in types for kind in kinds} == kinds
    with pytest.raises(ValueError, match="expected four Stokes parameters, scans, wavelengths"):
        demo.draw(ours)


@pytest.mark.slow
def test_a_mosaic_in_a_directory_by_its_name(tmp_path: Path) -> None:
    assert str(demo_mosaic.make_vbi(str(tmp_path / "vbi"))) == str(tmp_path / "vbi" / "VBI.asdf")


def test_one_moment_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected several scans, or several wavelengths"):
        demo.make_vtf(tmp_path / "one", (4, 1, 1, 16, 20))
    assert not (tmp_path / "one").exists()


def test_files_of_someone_else_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "VTF_demo.asdf").write_text("mine")
    with pytest.raises(StoreExistsError, match=r"VTF_demo\.asdf is in the way"):
        demo.make_vtf(tmp_path, SMALL, echo=lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["VTF_demo.asdf"]
    assert (tmp_path / "VTF_demo.asdf").read_text() == "mine"


def test_a_picture_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "vtf.png").write_bytes(b"\x89PNG mine")
    with pytest.raises(StoreExistsError, match=r"vtf\.png is in the way"):
        demo.run_demo(tmp_path, echo=lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["vtf.png"]


@pytest.mark.slow
def test_without_the_simulator_the_error_says_what_to_install(tmp_path: Path) -> None:
    # A finder that knows no simulator, in an interpreter of its own: as if it were not installed.
    program = """
import sys, importlib.abc, pathlib

class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "dkist_data_simulator":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
import dkist_virtual as dv
from dkist_virtual.demo import vtf as demo
from dkist_virtual.demo import vbi as demo_mosaic
try:
    demo.make_vtf(pathlib.Path(sys.argv[1]) / "frames")
except demo.DemoExtraError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "pip install dkist-data-simulator dkist-inventory" in run.stdout
    assert "No module named 'dkist_data_simulator'" in run.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_picture_has_its_axes_named(made: Path) -> None:
    figure = demo.draw(dkist.load_dataset(made))
    labels = [axes.get_xlabel() for axes in figure.axes] + [a.get_ylabel() for a in figure.axes]
    for label in (
        "helioprojective longitude [arcsec]",
        "helioprojective latitude [arcsec]",
        "wavelength [nm]",
        "Stokes I [ct]",
        "Stokes V [ct]",
    ):
        assert label in labels
    west, east = figure.axes[0].get_xlim()
    # 48 pixels across 32 arcsec, around 310 arcsec east of the disk centre
    assert (west, east) == pytest.approx((-326, -294), abs=0.05)
    low, high = next(a for a in figure.axes if "Stokes V" in a.get_title()).images[0].get_clim()
    assert low == -high


@pytest.mark.slow
def test_the_whole_demo(tmp_path: Path) -> None:
    said: list[str] = []
    picture = demo.run_demo(tmp_path, echo=said.append)
    assert picture == tmp_path / "vtf.png"
    assert image.imread(picture).shape[2] == 4
    text = "\n".join(said)
    assert "11 values from 11 of 88 files" in text
    assert "65,536 values from 1 of 88 files" in text
    # What the store counts is the compressed HDU of each frame; the files hold a header more.
    in_files = sum(path.stat().st_size for path in (tmp_path / "frames").glob("*.fits"))
    counted = float(re.search(r"of ([\d.]+) MB", text)[1]) * 1e6
    assert in_files - 88 * 2880 - 1e4 < counted < in_files + 1e4

    # A second time nothing is made anew, and the store and the picture are replaced.
    frames = {path: path.stat().st_mtime_ns for path in (tmp_path / "frames").iterdir()}
    assert demo.run_demo(tmp_path, echo=lambda _: None) == picture
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "frames").iterdir()} == frames
