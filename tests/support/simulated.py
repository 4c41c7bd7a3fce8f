"""Small DKIST datasets, one directory each, as the data center would hand them out.

The headers come from ``dkist-data-simulator``, the ASDF from ``dkist_inventory``, the
compression from astropy: nothing here is made by the package under test. What the simulator
draws at random is seeded, so that a failure can be had again.

============================ ========================== ========= ==================================
name                         array, per tile            dtype     what is special
============================ ========================== ========= ==================================
``visp``                     (4, 4, 40, 64)             float32   frames are (1, y, x); NaN; rows
                                                                  without noise (lossless tiles)
``visp_plain``               (4, 2, 40, 64)             float32   primary HDU, not compressed; NaN
``visp_moving``              (2, 3, 32, 48)             float32   the pointing changes with time
``vtf``                      (4, 2, 3, 30, 44)          float32   five dimensions; y and x are
                                                                  exchanged in the WCS's pixel_shape
``vbi_mosaic``               (3, 48, 48), tiles 2 x 2   float32
``vbi_mosaic_missing``       (2, 50, 50), 5 of 3 x 3    float32   four tiles are not there; square
                                                                  tiles with ragged edges; dithered
``cryonirsp``                (4, 2, 3, 34, 52)          float64   frames are (1, y, x); NaN
``dlnirsp``                  (4, 2, 12, 14, 18), 2 x 2  float32   frames have three dimensions;
                                                                  pixel_shape as with ``vtf``
============================ ========================== ========= ==================================
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pytest

__all__ = ["COMPRESSED", "MOSAICS", "NAMES", "QUICK", "generate", "pixels"]


@dataclass(frozen=True)
class _Recipe:
    """How one dataset is made.

    Attributes
    ----------
    instrument, simulator
        Module below ``dkist_data_simulator.spec214``, and the class in it.
    arguments
        What the class is called with, but ``linewave`` and ``time_delta``.
    dtype
        Of the pixels: float32 or float64.
    compress
        Arguments of `astropy.io.fits.CompImageHDU`, or None for a plain primary HDU.
    nan
        Whether every second frame has a border and a few pixels of NaN.
    """

    instrument: str
    simulator: str
    arguments: dict[str, Any]
    dtype: type[np.floating[Any]] = np.float32
    compress: dict[str, Any] | None = field(default_factory=dict)
    nan: bool = False


_RECIPES = {
    "visp": _Recipe(
        "visp",
        "SimpleVISPDataset",
        {"n_maps": 1, "n_steps": 4, "n_stokes": 4, "detector_shape": (40, 64)},
        nan=True,
    ),
    "visp_plain": _Recipe(
        "visp",
        "SimpleVISPDataset",
        {"n_maps": 1, "n_steps": 2, "n_stokes": 4, "detector_shape": (40, 64)},
        compress=None,
        nan=True,
    ),
    "visp_moving": _Recipe(
        "visp",
        "TimeDependentVISPDataset",
        {"n_maps": 2, "n_steps": 3, "n_stokes": 1, "detector_shape": (32, 48)},
    ),
    "vtf": _Recipe(
        "vtf",
        "SimpleVTFDataset",
        {"n_wave": 3, "n_repeats": 2, "n_stokes": 4, "detector_shape": (30, 44)},
    ),
    "vbi_mosaic": _Recipe(
        "vbi", "MosaicedVBIRedDataset", {"n_time": 3, "detector_shape": (48, 48)}
    ),
    "vbi_mosaic_missing": _Recipe(
        "vbi",
        "MosaicedVBIRedAllDataset",
        {"n_time": 2, "detector_shape": (50, 50)},
        # 2 is SUBTRACTIVE_DITHER_2; a seed of 0 is drawn from the clock, hence one of our own.
        compress={"tile_shape": (16, 16), "quantize_method": 2, "dither_seed": 4711},
    ),
    "cryonirsp": _Recipe(
        "cryo",
        "SimpleCryonirspSPDataset",
        {"n_meas": 1, "n_steps": 3, "n_maps": 2, "n_stokes": 4, "detector_shape": (34, 52)},
        dtype=np.float64,
        nan=True,
    ),
    "dlnirsp": _Recipe(
        "dlnirsp",
        "MosaicedDLNIRSPDataset",
        {
            "n_mosaic_repeats": 2,
            "n_X_tiles": 2,
            "n_Y_tiles": 2,
            "n_stokes": 4,
            "array_shape": (12, 14, 18),
        },
    ),
}

NAMES: tuple[str, ...] = tuple(_RECIPES)
MOSAICS: tuple[str, ...] = ("vbi_mosaic", "vbi_mosaic_missing", "dlnirsp")
#: A dataset and a mosaic for `make test`, where a test goes through all of them.
QUICK: tuple[str, ...] = ("visp", "vbi_mosaic_missing")
COMPRESSED: tuple[str, ...] = tuple(
    name for name, recipe in _RECIPES.items() if recipe.compress is not None
)


def pixels(name: str, index: int, shape: tuple[int, ...]) -> npt.NDArray[np.floating[Any]]:
    """What frame number `index` of dataset `name` holds before compression.

    Parameters
    ----------
    name
        One of `NAMES`.
    index
        Number of the frame, as in its file's name.
    shape
        The HDU's array shape.

    Returns
    -------
    array
        Of that shape and the recipe's dtype: a gradient with noise, another in every frame.
    """
    recipe = _RECIPES[name]
    rng = np.random.default_rng([NAMES.index(name), index])
    ramp = np.linspace(800, 1200, shape[-2])[:, None] + np.linspace(-100, 100, shape[-1])
    data = (ramp * (1 + 0.1 * index) + rng.normal(0, 25, shape)).astype(recipe.dtype)
    if name == "visp" and index % 4 == 1:
        # Without noise there is no quantisation step: astropy writes these rows losslessly.
        data[..., 3, :] = index + np.arange(shape[-1])
        data[..., 5, :] = 7
    if recipe.nan and index % 2:
        data[..., :2, :] = np.nan  # two whole tiles of nothing
        data[..., 8:11, 5] = np.nan
        data[..., -1, -3:] = np.nan
    return data


@contextmanager
def _same_every_time(seed: int) -> Iterator[None]:
    """Seed every source of randomness that the simulator draws from, and put them back.

    It takes no seed: its schemas call ``default_rng()``, which is bound here for as long as a
    dataset is made, its classes ``random.choice`` and ``np.random.random``.
    """
    default_rng = np.random.default_rng
    shared = default_rng(seed)
    states = random.getstate(), np.random.get_state()

    def seeded(of: Any = None) -> np.random.Generator:
        return shared if of is None else default_rng(of)

    random.seed(seed)
    np.random.seed(seed)
    np.random.default_rng = seeded  # type: ignore[assignment]  # a function in a function's place
    try:
        yield
    finally:
        np.random.default_rng = default_rng
        random.setstate(states[0])
        np.random.set_state(states[1])


def _simulator(name: str) -> Callable[[], Any]:
    """What makes the simulator's dataset of a recipe, with `pixels` for its data."""
    from importlib import import_module

    import astropy.units as u

    recipe = _RECIPES[name]
    module = import_module(f"dkist_data_simulator.spec214.{recipe.instrument}")
    base: Any = getattr(module, recipe.simulator)

    class Simulated(base):  # type: ignore[misc]  # the simulator is not typed
        # The simulator works the observer out four times a frame, which is most of its time.
        def __init__(self, **arguments: Any) -> None:
            self._observers: dict[int, Any] = {}
            super().__init__(**arguments)
            # These come from a generator made when the simulator is imported.
            identity = f"SIM{NAMES.index(name):03d}"
            self.add_constant_key("DSETID", identity)
            self.add_constant_key("POINT_ID", identity)
            self.add_constant_key("PRODUCT", f"L1-{identity}")
            self.add_constant_key("DATE", "2024-01-02T03:04:05")  # else: now

        def header(self, *args: Any, **kwargs: Any) -> Any:
            # The simulator's seeing is the same in all frames: a mask would choose all or none.
            self.add_constant_key("ATMOS_R0", 0.05 + 0.01 * (self.index * 7 % 10))
            return super().header(*args, **kwargs)

        @property
        def observer(self) -> Any:
            if self.time_index not in self._observers:
                self._observers[self.time_index] = super().observer
            return self._observers[self.time_index]

        @property
        def data(self) -> npt.NDArray[np.floating[Any]]:
            return pixels(name, self.index, tuple(self.array_shape))

    return lambda: Simulated(time_delta=10, linewave=630.25 * u.nm, **recipe.arguments)


def generate(name: str, directory: Path) -> Path:
    """Make the dataset `name` in `directory`: ``{name}_{index:04d}.fits`` and ``{name}.asdf``.

    Parameters
    ----------
    name
        One of `NAMES`.
    directory
        Where to; is made. Either the dataset is complete there, or nothing is.

    Returns
    -------
    directory
        The same.
    """
    from astropy.utils import iers
    from dkist_inventory.asdf_generator import dataset_from_fits

    recipe = _RECIPES[name]
    simulator = _simulator(name)  # its modules are imported before anything is seeded
    building = directory.with_name(f"{directory.name}.{os.getpid()}.building")
    with (
        _same_every_time(NAMES.index(name)),
        iers.conf.set_temp("auto_download", False),  # dates long past, and tests stay offline
        warnings.catch_warnings(),
    ):
        # gwcs, astropy and the inventory warn about values that the simulator draws at random
        # (units, dates) and about each other's deprecations: not what is under test here.
        warnings.simplefilter("ignore")
        simulator().generate_files(
            building,
            f"{name}_{{ds.index:04d}}.fits",
            rice_compress=recipe.compress or recipe.compress is not None,
        )
        dataset_from_fits(building, f"{name}.asdf", hdu=0 if recipe.compress is None else 1)
    building.rename(directory)
    return directory


def shared_directory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A directory that all workers of a run share, and no other run."""
    base = tmp_path_factory.getbasetemp()
    # That of a worker of pytest-xdist is inside of the shared one.
    return base.parent if hasattr(request.config, "workerinput") else base


def once(directory: Path, make: Callable[[Path], Path]) -> Path:
    """Call ``make(directory)`` unless another process did, or is at it: then wait for that.

    The lock is the operating system's, so a process that dies leaves none behind.
    """
    import fcntl

    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_name(f"{directory.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return directory if directory.exists() else make(directory)
