"""Make, convert, read and draw a small VTF dataset of a sunspot.

`make_vtf` writes what a download from the DKIST Data Center would be: RICE-compressed FITS
frames with headers from the data center's own simulator, and an ASDF from its own inventory
package. What the frames show is painted by `sunspot` and `stokes`: enough physics for a
picture that a solar physicist recognises, and no more. It needs the extra ``demo``.
"""

from __future__ import annotations

import io
import json
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dkist_virtual.errors import DKISTVirtualError, StoreExistsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "DemoExtraError",
    "Scene",
    "draw",
    "make_vtf",
    "quiet",
    "run_demo",
    "stokes",
    "sunspot",
]

Image = npt.NDArray[np.float64]

SHAPE = (4, 2, 11, 256, 256)
FIELD = 32.0  # arcsec across the shorter side of a frame
LINE = 630.25  # nm: Fe I, Landé factor 2.5
LINE_WIDTH = 5.0  # pm, standard deviation, the instrument's own width included
SCAN_HALF_WIDTH = 24.0  # pm to both sides of the line
ZEEMAN = 4.67e-9 * 2.5 * LINE**2  # pm per gauss; 4.67e-13 g lambda**2 B is in Angstrom
DOPPLER = LINE * 1e3 / 299_792.458  # pm per km/s
COUNTS = 10_000.0  # ct, the quiet Sun's continuum
NOISE = 20.0  # ct, standard deviation, in every frame
SPOT_CENTRE = (0.54, 0.47)  # in fractions of a frame's height and width
SPOT_RADIUS, UMBRA_RADIUS = 8.6, 3.7  # arcsec, mean

_SOFTWARE = "dkist_virtual demo"


class DemoExtraError(DKISTVirtualError, ImportError):
    """The packages that make a simulated dataset are not installed."""


@dataclass(frozen=True)
class Scene:
    """What there is to see at one time. All arrays are images (y, x), float64.

    Parameters
    ----------
    continuum
        Intensity beside the line, in units of the quiet Sun's mean.
    depth
        Central depth of the line where it is not split, 0 to 1.
    velocity
        Along the line of sight in km/s, positive away from us (redshift).
    field
        Magnetic field strength in gauss.
    inclination, azimuth
        Of the field against the line of sight and in the image's plane, in radians.
    spot
        From 0 outside the spot to 1 inside.
    """

    continuum: Image
    depth: Image
    velocity: Image
    field: Image
    inclination: Image
    azimuth: Image
    spot: Image

    def __post_init__(self) -> None:
        shapes = {name: image.shape for name, image in vars(self).items()}
        if len(set(shapes.values())) != 1:
            raise ValueError(f"the images of a scene differ in shape: {shapes}")


def sunspot(shape: tuple[int, int], *, scan: int = 0, seed: int = 6302) -> Scene:
    """Paint granulation with a round sunspot in it.

    Parameters
    ----------
    shape
        (y, x). The shorter side is `FIELD` arcsec, whatever the number of pixels.
    scan
        The granules drift and the spot does not, a little from one scan to the next.
    seed
        The same seed gives the same scene.

    Returns
    -------
    Scene
        With a granulation contrast of 12 per cent, granules rising and lanes sinking, an umbra
        of 0.2, and a field that is vertical and 2.6 kG strong in the spot's centre, nearly
        horizontal at its border, and none outside.
    """
    rng = np.random.default_rng(seed)
    arcsec = FIELD / min(shape)
    granules = _granulation(rng, shape, cell=1.45 / arcsec, scan=scan)
    y, x = np.indices(shape, dtype=np.float64)
    dy, dx = y - SPOT_CENTRE[0] * shape[0], x - SPOT_CENTRE[1] * shape[1]
    radius = np.hypot(dy, dx) * arcsec
    angle = np.arctan2(dy, dx)
    fibres = _filaments(rng, angle, radius / SPOT_RADIUS)
    outline = _smooth(rng, shape, 2.8 / arcsec)

    # The filaments reach into the umbra and out into the granules, each for itself.
    spot = _step(SPOT_RADIUS + 0.40 * outline + 0.40 * fibres - radius, 0.20)
    umbra = _step(UMBRA_RADIUS + 0.40 * outline - 0.30 * fibres - radius, 0.35)
    outward = np.clip((radius - UMBRA_RADIUS) / (SPOT_RADIUS - UMBRA_RADIUS), 0, 1)
    penumbra_light = 0.70 + 0.12 * fibres + 0.10 * outward
    dots = np.clip(_smooth(rng, shape, 0.16 / arcsec) - 1.2, 0, 2)
    umbra_light = 0.17 + 0.025 * outline + 0.07 * dots
    spot_light = umbra * umbra_light + (1 - umbra) * penumbra_light
    continuum = (1 - spot) * (1 + 0.12 * granules) + spot * spot_light

    # The outward flow, seen away from the disk centre: a blue and a red half of the penumbra.
    outflow = 1.6 * spot * (1 - umbra) * np.cos(angle - 0.4) * (1 + 0.3 * fibres)
    waves = 0.25 * _smooth(rng, shape, 3.5 / arcsec)
    velocity = -(1 - spot) * 0.9 * granules + outflow + waves
    reach = np.clip(radius / SPOT_RADIUS, 0, 1)
    return Scene(
        continuum=np.clip(continuum, 0.05, None),
        depth=0.62 - 0.17 * spot * umbra,
        velocity=velocity,
        field=2600 * spot / (1 + 1.4 * reach**2),
        inclination=np.radians(8 + 68 * reach),
        azimuth=angle,
        spot=spot,
    )


def stokes(scene: Scene, offsets: npt.ArrayLike) -> Image:
    """The Stokes profiles of a scene: a Zeeman triplet of Gaussian lines, weakly polarised.

    Parameters
    ----------
    scene
        What is there.
    offsets
        Wavelengths in pm from `LINE`, one-dimensional.

    Returns
    -------
    array
        Shape (stokes, wavelength, y, x), Stokes as I, Q, U, V, in units of the quiet continuum.
        About the Doppler-shifted core I, Q and U are symmetric and V is antisymmetric.

    Notes
    -----
    A thin layer: the absorption coefficients of the Unno equations (del Toro Iniesta 2003,
    Introduction to Spectropolarimetry) taken off the continuum to first order.
    """
    from_core = np.asarray(offsets, dtype=np.float64)[:, None, None] - DOPPLER * scene.velocity
    split = ZEEMAN * scene.field

    def line(centre: Image | float) -> Image:
        profile: Image = np.exp(-0.5 * ((from_core - centre) / LINE_WIDTH) ** 2)
        return profile

    blue, pi, red = line(-split), line(0.0), line(split)
    sigma = (blue + red) / 2
    sin2, cos = np.sin(scene.inclination) ** 2, np.cos(scene.inclination)
    linear = (pi - sigma) / 2 * sin2
    strength = scene.continuum * scene.depth
    return np.stack(
        [
            scene.continuum - strength * (pi * sin2 + sigma * (1 + cos**2)) / 2,
            -strength * linear * np.cos(2 * scene.azimuth),
            -strength * linear * np.sin(2 * scene.azimuth),
            strength * (blue - red) / 2 * cos,
        ]
    )


def _smooth(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Image:
    """Noise of mean 0 and standard deviation 1, smooth on `scale` pixels."""
    from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]  # no stubs

    noise: Image = gaussian_filter(rng.normal(size=shape), scale, mode="wrap")
    noise -= noise.mean()
    noise /= noise.std()
    return noise


def _step(distance: Image, width: float) -> Image:
    """From 0 to 1 where `distance` changes sign, over about `width`."""
    soft: Image = 0.5 * (1 + np.tanh(distance / width))
    return soft


def _granulation(
    rng: np.random.Generator, shape: tuple[int, int], *, cell: float, scan: int
) -> Image:
    """Granules about `cell` pixels apart: mean 0, standard deviation 1."""
    # Cells tile the plane like the regions nearest to scattered points; a pixel that is as near
    # to a second point as to its first lies in a lane.
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import cKDTree  # type: ignore[import-untyped]  # no stubs

    grid = np.mgrid[tuple(slice(-2, size / cell + 2) for size in shape)]
    points = grid.reshape(2, -1).T * cell
    points += rng.uniform(-0.55, 0.55, points.shape) * cell
    points += scan * rng.normal(0, 0.12, points.shape) * cell
    brightness = np.clip(rng.normal(0, 1, len(points)), -1.7, 1.7)

    # Borders of real granules are not straight.
    warp = np.stack([_smooth(rng, shape, 0.25 * cell) for _ in shape])
    pixels = np.indices(shape) + 0.12 * cell * warp
    distance, nearest = cKDTree(points).query(np.moveaxis(pixels, 0, -1), k=2)
    to_lane = (distance[..., 1] - distance[..., 0]) / cell
    body = 1 - np.exp(-((to_lane / 0.22) ** 1.6))
    light = body * (1 + 0.22 * brightness[nearest[..., 0]])
    light += 0.13 * body * _smooth(rng, shape, 0.13 * cell) + 0.08 * _smooth(rng, shape, 2 * cell)
    blurred: Image = gaussian_filter(light, 0.08 * cell)
    blurred -= blurred.mean()
    blurred /= blurred.std()
    return blurred


def _filaments(rng: np.random.Generator, angle: Image, radius: Image) -> Image:
    """Noise drawn out along the radius: about mean 0, standard deviation 1.

    `angle` and `radius` are each pixel's polar coordinates, in radians and spot radii.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    spokes, rings = 720, 80
    fibres = gaussian_filter(rng.normal(size=(spokes, rings)), (2.2, 9), mode=("wrap", "nearest"))
    fibres = np.clip(fibres / fibres.std(), -2.2, 2.2)
    # A slight curl, growing outward: filaments are not the spokes of a wheel.
    turned = (angle + 0.10 * radius**2) / (2 * np.pi) % 1
    at = [turned * spokes, np.clip(radius, 0, 1.3) / 1.3 * (rings - 1)]
    drawn: Image = map_coordinates(fibres, at, order=1, mode="grid-wrap")
    return drawn


def _offsets(count: int) -> Image:
    """`count` wavelengths of a scan, in pm from the line; one is its centre."""
    return np.linspace(-SCAN_HALF_WIDTH, SCAN_HALF_WIDTH, count) if count > 1 else np.zeros(1)


def _spot_pixel(shape: tuple[int, ...]) -> tuple[int, int]:
    """The pixel in the middle of the spot, for images of shape (y, x)."""
    return int(SPOT_CENTRE[0] * shape[0]), int(SPOT_CENTRE[1] * shape[1])


def _simulator(shape: tuple[int, ...]) -> Any:
    """The simulator's VTF dataset, showing the sunspot; without an axis for one Stokes parameter.

    Nor is there one for one wavelength: a real dataset of either has none.
    """
    import astropy.units as u
    from astropy.wcs import WCS
    from dkist_data_simulator.dataset import key_function
    from dkist_data_simulator.spec214.core import Spec214Dataset
    from dkist_data_simulator.spec214.vtf import SimpleVTFDataset

    n_stokes, n_scans, n_wave, *image = shape
    offsets = _offsets(n_wave)
    base: Any = SimpleVTFDataset  # says that it is typed, and is in parts
    lengths = {"stokes": n_stokes, "scan": n_scans, "wavelength": n_wave}
    # The frame axes, the slowest first.
    frame_axes = [name for name, n in lengths.items() if n > 1 or name == "scan"]
    words = {
        "stokes": ("STOKES", "stokes", "stokes", ""),
        "scan": ("TEMPORAL", "scan repeat number", "time", "s"),
        "wavelength": ("SPECTRAL", "scan position", "wavelength", "nm"),
        "y": ("SPATIAL", "spatial y", "helioprojective latitude", "arcsec"),
        "x": ("SPATIAL", "spatial x", "helioprojective longitude", "arcsec"),
    }

    class SunspotVTF(base):
        def __init__(self) -> None:
            self._observers: dict[int, Any] = {}
            self._scans: dict[int, Image] = {}
            # Not the simulator's own for VTF, which has an axis for one wavelength.
            shape = (*(lengths[name] for name in frame_axes), *image)
            Spec214Dataset.__init__(self, shape, tuple(image), time_delta=3, instrument="vtf")
            for number, name in enumerate(["x", "y", *reversed(frame_axes)], 1):
                keys = ("DTYPE", "DPNAME", "DWNAME", "DUNIT")
                for key, word in zip(keys, words[name], strict=True):
                    self.add_constant_key(f"{key}{number}", word)
            if n_stokes > 1:
                self.stokes_file_axis = 0
            self.n_stokes, self.linewave = n_stokes, LINE * u.nm
            self.add_constant_key("LINEWAV", LINE)
            self.add_constant_key("OBJECT", "sunspot")
            self.add_constant_key("DSETID", "VTFDEMO")

        @property
        def observer(self) -> Any:
            # Asked for four times a frame, and most of the simulator's time.
            if self.time_index not in self._observers:
                self._observers[self.time_index] = super().observer
            return self._observers[self.time_index]

        @key_function("FRAMEWAV")
        def framewav(self, _key: str) -> float:
            return float(LINE + offsets[self.place["wavelength"]] * 1e-3)

        @property
        def place(self) -> dict[str, int]:
            """Which Stokes parameter, scan and wavelength the frame is of."""
            own = dict(zip(frame_axes, map(int, self.file_index), strict=True))
            return {name: own.get(name, 0) for name in lengths}

        def header(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            # The simulator holds the seeing constant, and a constant goes before a key_function.
            seeing = 0.08 + 0.03 * math.sin(2.4 * self.time_index)
            self.add_constant_key("ATMOS_R0", round(seeing, 4))
            made: dict[str, Any] = super().header(*args, **kwargs)
            return made

        @property
        def fits_wcs(self) -> WCS:
            wcs = WCS(naxis=2)
            wcs.wcs.crpix = (image[1] + 1) / 2, (image[0] + 1) / 2
            wcs.wcs.crval = -310, 145
            wcs.wcs.cdelt = [FIELD / min(image)] * 2
            wcs.wcs.cunit = "arcsec", "arcsec"
            wcs.wcs.ctype = "HPLN-TAN", "HPLT-TAN"
            return wcs

        @property
        def data(self) -> npt.NDArray[np.float32]:
            polarisation, scan, wave = self.place.values()
            if scan not in self._scans:
                self._scans[scan] = stokes(sunspot((image[0], image[1]), scan=scan), offsets)
            noise = np.random.default_rng(self.index).normal(0, NOISE, image)
            frame: Image = COUNTS * self._scans[scan][polarisation, wave] + noise
            return frame.astype(np.float32)

    return SunspotVTF()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the simulator and the inventory package, and keep astropy from downloading tables."""
    from astropy.utils import iers

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # what the simulator's header schemas do not know
    try:
        with (
            warnings.catch_warnings(),
            iers.conf.set_temp("auto_download", False),
            redirect_stdout(io.StringIO()),  # the schemas print, too
        ):
            # About units and dates that the simulator draws at random, and deprecations between
            # the packages it stands on.
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def make_vtf(
    directory: str | os.PathLike[str],
    shape: tuple[int, ...] = SHAPE,
    *,
    echo: Callable[[str], None] = print,
) -> Path:
    """Make the VTF dataset: FITS frames and an ASDF, in one directory.

    Parameters
    ----------
    directory
        Where to; is made. An earlier call's frames are used again if complete and of this shape.
    shape
        (stokes, scan, wavelength, y, x); stokes is 4, or less for the first of I, Q, U, V. Of one
        Stokes parameter, or one wavelength, the dataset has no axis.
    echo
        Takes the lines that say what happens.

    Returns
    -------
    path
        Of the ASDF.

    Raises
    ------
    ValueError
        `shape` is none of five axes, has more than four Stokes parameters, or is of one moment.
    DemoExtraError
        The simulator is not installed.
    StoreExistsError
        `directory` holds files of these names which are not from here.
    """
    if len(shape) != 5 or shape[0] > 4 or min(shape) < 1:
        raise ValueError(f"shape = {shape}: expected (stokes, scans, wavelengths, y, x), 4 stokes")
    if shape[1] == shape[2] == 1:
        raise ValueError(f"shape = {shape}: expected several scans, or several wavelengths")
    directory = Path(directory)
    asdf = directory / "VTF_demo.asdf"
    names = [f"VTF_demo_{index:04d}.fits" for index in range(math.prod(shape[:-2]))]
    mark = json.dumps({"by": _SOFTWARE, "version": 1, "shape": list(shape)})
    made = directory / "demo.json"
    before = made.read_text() if made.exists() else ""
    if before == mark and all((directory / name).exists() for name in [*names, asdf.name]):
        echo(f"{directory}: the {len(names)} frames are there already")
        return asdf
    old = sorted([*directory.glob("VTF_demo_[0-9]*.fits"), *directory.glob(asdf.name)])
    if old and _SOFTWARE not in before:
        raise StoreExistsError(
            f"{old[0]} is in the way, and was not made by this demo: name another directory"
        )

    try:
        from tqdm import tqdm

        with quiet():
            from dkist_inventory.asdf_generator import dataset_from_fits

            frames = _simulator(shape)
    except ImportError as error:
        raise DemoExtraError(
            f"the demo makes its data with a package that is not installed ({error}): "
            "pip install dkist-data-simulator dkist-inventory"
        ) from error

    directory.mkdir(parents=True, exist_ok=True)
    # Moved into place when whole: a demo stopped half-way leaves nothing half.
    with tempfile.TemporaryDirectory(dir=directory, prefix=".making-") as building:
        echo(f"{directory}: making {len(names)} frames of {shape[-2]} x {shape[-1]} pixels")
        with quiet():  # disable=None: a bar on a terminal, nothing in a pipe
            for frame, name in zip(
                tqdm(frames, total=len(names), disable=None), names, strict=True
            ):
                frame.file(Path(building) / name, rice_compress=True)
        echo(f"{asdf}: gathering their headers")
        with quiet():
            dataset_from_fits(building, asdf.name, hdu=1)
        made.write_text(json.dumps({"by": _SOFTWARE}))  # ours, and not complete yet
        for path in old:
            path.unlink()
        for name in [*names, asdf.name]:
            (Path(building) / name).replace(directory / name)
    made.write_text(mark)
    return asdf


def run_demo(
    directory: str | os.PathLike[str] | None = None, *, echo: Callable[[str], None] = print
) -> Path:
    """Make a VTF dataset, convert it, read a spectrum and a frame, and draw them.

    `directory` is ``demo-output`` unless given. Returns the path of the picture, a PNG; `echo`
    and what is raised are as with `make_vtf`.
    """
    import dkist_virtual as dv
    from dkist_virtual.text import human_bytes

    directory = Path("demo-output" if directory is None else directory)
    picture = directory / "vtf.png"
    if picture.exists() and _SOFTWARE.encode() not in picture.read_bytes()[:1000]:
        raise StoreExistsError(
            f"{picture} is in the way, and was not made by this demo: name another directory"
        )
    asdf, store = make_vtf(directory / "frames", echo=echo), directory / "store"
    echo(f"\ndv.convert({str(asdf)!r}, {str(store)!r})")
    dv.convert(asdf, store, overwrite=True)
    echo(f"\nds = dv.open_dataset({str(store)!r})\nprint(ds)\n")
    ds = dv.open_dataset(store)
    assert isinstance(ds, dv.Dataset)  # a mosaic it is not
    echo(f"{ds}\n")

    y, x = _spot_pixel(ds.data.shape[-2:])
    for text, part in (
        (f"ds[0, 0, :, {y}, {x}]  one pixel's spectrum:", ds[0, 0, :, y, x]),
        ("ds[0, 0, 0]            one frame:", ds[0, 0, 0]),
    ):
        values = part.data.compute()
        echo(
            f"{text} {values.size:,} values from {len(part.files):,} of {len(ds.files):,} files "
            f"({human_bytes(part.files.nbytes or 0)} of {human_bytes(ds.files.nbytes or 0)})"
        )
    draw(ds).savefig(picture, dpi=130, metadata={"Software": _SOFTWARE})
    echo(f"\n{picture}: the picture")
    return picture


def draw(ds: Any) -> Figure:
    """Stokes I and V of the first scan, and the spectra of a quiet and of a spot pixel.

    `ds` is the dataset of `make_vtf`, ours or dkist's, with all Stokes parameters and several
    wavelengths. The figure is bound to no window.

    Raises
    ------
    ValueError
        It is another one.
    """
    from matplotlib.figure import Figure

    from dkist_virtual.cube.world_axes import World

    if len(ds.data.shape) != 5 or ds.data.shape[0] != 4:
        raise ValueError(
            f"ds has shape {tuple(ds.data.shape)}: expected four Stokes parameters, scans, "
            "wavelengths, y and x"
        )
    n_wave, height, width = ds.data.shape[-3:]
    pixels = (
        ("quiet Sun", "#1f77b4", height // 9, width // 8),
        ("umbra", "#d62728", *_spot_pixel((height, width))),
    )
    wing = int(np.argmin(abs(_offsets(n_wave) + 8)))

    coordinates = World(ds.wcs, ds.data.shape)

    def world(y: float, x: float, wave: float) -> tuple[float, float, float]:
        values = coordinates.values(0, 0, wave, y, x)
        found = {axis.kind: float(values[axis.index]) for axis in coordinates.axes}
        return found["longitude"], found["latitude"], found["wavelength"]

    left, bottom, continuum_nm = world(-0.5, -0.5, 0)
    right, top, wing_nm = world(height - 0.5, width - 0.5, wing)
    figure = Figure(figsize=(15.5, 5.2), layout="constrained")
    figure.suptitle(f"VTF, Fe I {LINE} nm, simulated: dataset {tuple(ds.data.shape)}")
    grid = figure.add_gridspec(2, 3, width_ratios=(1, 1, 0.95))
    frame_i, frame_v = ds[0, 0, 0].data.compute(), ds[3, 0, wing].data.compute()
    low, high = np.nanpercentile(frame_i, (0.1, 99.9))
    strong = float(np.nanpercentile(abs(frame_v), 99.7))
    maps = (
        (frame_i, "Stokes I", continuum_nm, {"cmap": "gray", "vmin": low, "vmax": high}),
        (frame_v, "Stokes V", wing_nm, {"cmap": "RdBu_r", "vmin": -strong, "vmax": strong}),
    )
    for column, (frame, name, nm, look) in enumerate(maps):
        axes = figure.add_subplot(grid[:, column])
        image = axes.imshow(frame, origin="lower", extent=(left, right, bottom, top), **look)
        figure.colorbar(image, ax=axes, label=f"{name} [ct]", shrink=0.8, pad=0.02)
        axes.set(
            title=f"{name} at {nm:.4f} nm",
            xlabel="helioprojective longitude [arcsec]",
            ylabel="helioprojective latitude [arcsec]",
        )
        for _, colour, y, x in pixels:
            for edge, edge_width in (("white", 3), (colour, 1.5)):
                axes.plot(*world(y, x, 0)[:2], "o", ms=8, mfc="none", mec=edge, mew=edge_width)

    wavelengths = [world(0, 0, wave)[2] for wave in range(n_wave)]
    for row, name in ((0, "Stokes I"), (3, "Stokes V")):
        axes = figure.add_subplot(grid[min(row, 1), 2])
        for label, colour, y, x in pixels:
            spectrum = ds[row, 0, :, y, x].data.compute()
            axes.plot(wavelengths, spectrum, "o-", ms=4, lw=1.3, color=colour, label=label)
        axes.axvline(LINE, color="0.7", lw=0.8, zorder=0)
        axes.set(title=f"{name} of one pixel", ylabel=f"{name} [ct]")
        axes.ticklabel_format(axis="x", useOffset=False)
        axes.tick_params(labelbottom=name == "Stokes V")
        axes.margins(y=0.12)
    axes.set_xlabel("wavelength [nm]")
    axes.legend(frameon=False)
    return figure
