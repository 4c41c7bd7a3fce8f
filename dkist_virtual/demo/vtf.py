"""Make, convert, read and draw a small VTF dataset of a sunspot.

`make_vtf` writes the files of a download from the DKIST Data Center: RICE-compressed FITS frames
with headers from the data center's own simulator, and an ASDF from its own inventory package. It
needs the extra ``demo``.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.demo.sunspot import FIELD, LINE, SPOT_CENTRE, Image, stokes, sunspot
from dkist_virtual.errors import DKISTVirtualError, StoreExistsError

if TYPE_CHECKING:
    import dkist
    from astropy.wcs import WCS
    from dkist_data_simulator.spec214.core import Spec214Dataset
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dkist_virtual.dataset.dataset import Dataset

__all__ = ["DemoExtraError", "draw", "make_vtf", "quiet", "run_demo"]

SHAPE = (4, 2, 11, 256, 256)
SCAN_HALF_WIDTH = 24.0  # pm to both sides of the line
COUNTS = 10_000.0  # ct, the quiet Sun's continuum
NOISE = 20.0  # ct, standard deviation, in every frame

_SOFTWARE = "dkist_virtual demo"


class DemoExtraError(DKISTVirtualError, ImportError):
    """The packages that make a simulated dataset are not installed."""


def _offsets(count: int) -> Image:
    """Return `count` wavelengths of a scan, in pm from the line; a single one is its centre."""
    return np.linspace(-SCAN_HALF_WIDTH, SCAN_HALF_WIDTH, count) if count > 1 else np.zeros(1)


def _spot_pixel(shape: tuple[int, ...]) -> tuple[int, int]:
    """Find the pixel in the middle of the spot, for images of shape (y, x)."""
    return int(SPOT_CENTRE[0] * shape[0]), int(SPOT_CENTRE[1] * shape[1])


def _simulator(shape: tuple[int, ...]) -> Spec214Dataset:
    """Make the simulator's VTF dataset, showing the sunspot.

    It has no axis for one Stokes parameter or one wavelength, as real datasets.
    """
    import astropy.units as u
    from astropy.wcs import WCS
    from dkist_data_simulator.dataset import key_function
    from dkist_data_simulator.spec214.core import Spec214Dataset
    from dkist_data_simulator.spec214.vtf import SimpleVTFDataset

    n_stokes, n_scans, n_wave, *image = shape
    offsets = _offsets(n_wave)
    base: Any = SimpleVTFDataset  # types only some of its methods
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
            self._observers: dict[int, object] = {}
            self._scans: dict[int, Image] = {}
            # Not the simulator's VTF class, which has an axis for one wavelength.
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
        def observer(self) -> object:
            # Needed four times a frame, and most of the simulator's time.
            if self.time_index not in self._observers:
                self._observers[self.time_index] = super().observer
            return self._observers[self.time_index]

        @key_function("FRAMEWAV")
        def framewav(self, _key: str) -> float:
            return float(LINE + offsets[self.place["wavelength"]] * 1e-3)

        @property
        def place(self) -> dict[str, int]:
            """The frame's Stokes parameter, scan and wavelength."""
            own = dict(zip(frame_axes, map(int, self.file_index), strict=True))
            return {name: own.get(name, 0) for name in lengths}

        def header(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            # The simulator's seeing is a constant, which overrides a key_function.
            seeing = 0.08 + 0.03 * math.sin(2.4 * self.time_index)
            self.add_constant_key("ATMOS_R0", round(seeing, 4))
            header: dict[str, Any] = super().header(*args, **kwargs)
            return header

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
        def data(self) -> NDArray[np.float32]:
            polarisation, scan, wave = self.place.values()
            if scan not in self._scans:
                self._scans[scan] = stokes(sunspot((image[0], image[1]), scan=scan), offsets)
            noise = np.random.default_rng(self.index).normal(0, NOISE, image)
            frame: Image = COUNTS * self._scans[scan][polarisation, wave] + noise
            return frame.astype(np.float32)

    return SunspotVTF()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the simulator and the inventory package; keep astropy from downloading tables."""
    from astropy.utils import iers

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # of keywords that the simulator's schemas lack
    try:
        with (
            warnings.catch_warnings(),
            iers.conf.set_temp("auto_download", False),
            redirect_stdout(io.StringIO()),  # the schemas print, too
        ):
            # About random units and dates of the simulator, and deprecations in its packages.
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
        Created if needed. Frames of an earlier call are used if complete and of this shape.
    shape
        (stokes, scan, wavelength, y, x); stokes is 4, or less for the first of I, Q, U, V. For one
        Stokes parameter, or one wavelength, the dataset has no axis.
    echo
        Takes the lines of progress.

    Returns
    -------
    path
        Of the ASDF.

    Raises
    ------
    ValueError
        `shape` does not have five axes, has more than four Stokes parameters, or one moment.
    DemoExtraError
        The simulator is not installed.
    StoreExistsError
        `directory` holds files of these names that the demo did not make.
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
    # Moved when whole: a demo that is stopped leaves no part of a dataset.
    with tempfile.TemporaryDirectory(dir=directory, prefix=".making-") as building:
        echo(f"{directory}: making {len(names)} frames of {shape[-2]} x {shape[-1]} pixels")
        with quiet():  # disable=None: a bar on a terminal, nothing in a pipe
            for frame, name in zip(
                tqdm(frames, total=len(names), disable=None), names, strict=True
            ):
                frame.file(Path(building) / name, rice_compress=True)
        echo(f"{asdf}: collecting their headers")
        with quiet():
            dataset_from_fits(building, asdf.name, hdu=1)
        made.write_text(json.dumps({"by": _SOFTWARE}))  # made here, and not complete yet
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

    `directory` is ``demo-output`` by default. Returns the path of the picture, a PNG; `echo` and
    errors are those of `make_vtf`.
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
    assert isinstance(ds, dv.Dataset)  # not a mosaic
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


def draw(ds: Dataset | dkist.Dataset) -> Figure:
    """Draw Stokes I and V of the first scan, and the spectra of a quiet and of a spot pixel.

    `ds` is a dataset of `make_vtf`, with all Stokes parameters and several wavelengths. The figure
    has no window.

    Raises
    ------
    ValueError
        It is another dataset.
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
