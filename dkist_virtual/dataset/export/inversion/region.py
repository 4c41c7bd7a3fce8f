"""Read the Stokes profiles of a region in blocks, normalised, with their angles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np

from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.science.spectra.axis import SpectralAxis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.sun.disk import DiskGeometry

__all__ = ["Block", "Region", "axis_in_air", "positive_q_of", "stokes_of"]

_BLOCK: Final = 2**27
"""Bytes of pixels, as float64, that are read at a time."""

_ARCSEC: Final = 3600 * 180 / math.pi
_STOKES: Final = "IQUV"


@dataclass(frozen=True, eq=False)
class Block:
    """Some pixels of a region.

    Parameters
    ----------
    first : int
        The number of the first of them, counted in C order over the region.
    index : array of int, (pixel, axis)
        Their places along the pixel axes of the dataset.
    stokes : array of float64, (pixel, wavelength, 4)
        In units of the continuum, by ascending wavelength; NaN where not observed.
    longitude, latitude : array, (pixel,)
        Tx and Ty in arcsec.
    mu : array, (pixel,)
        NaN off the limb.
    """

    first: int
    index: NDArray[np.int64]
    stokes: NDArray[np.float64]
    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    mu: NDArray[np.float64]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which pixels have an observed value."""
        return np.asarray(np.isfinite(self.stokes).any(axis=(1, 2)))


@dataclass(frozen=True, eq=False)
class Region:
    """The Stokes profiles of a dataset, as an inversion code takes them.

    Parameters
    ----------
    ds : Dataset
    axis : SpectralAxis
        In air, the medium of the laboratory wavelengths of the codes.
    chosen : array of int
        The places along it that are written, by ascending wavelength.
    stokes_axis : int or None
    letters : tuple of (int, int)
        Which place along that axis is which of I, Q, U, V, from 0.
    pixel_axes : tuple of int
    geometry : DiskGeometry
    continuum : float
        The quiet Sun's continuum at the centre of the disk, in the dataset's unit.
    said : dict
        How it was normalised, in words and numbers.
    """

    ds: Any
    axis: SpectralAxis
    chosen: NDArray[np.intp]
    stokes_axis: int | None
    letters: tuple[tuple[int, int], ...]
    pixel_axes: tuple[int, ...]
    geometry: DiskGeometry
    continuum: float
    said: dict[str, Any]

    @classmethod
    def of(
        cls,
        ds: Any,
        what: str,
        *,
        continuum: Any,
        limb_darkening: str | float,
        window: u.Quantity | None,
    ) -> Region:
        """Read the keywords, and find the axes.

        Raises
        ------
        SelectionError
            No axis of wavelengths, no positions on the sky, or a single spectrum.
        DatasetError
            It is not known whether wavelengths are in air, or a continuum that is not one.
        """
        from dkist_virtual.science.sun.disk import DiskGeometry

        axis = axis_in_air(ds, what)
        within = axis.window(window)
        order = axis.order
        stokes_axis, letters = stokes_of(ds, what)
        taken = {axis.array_axis, stokes_axis}
        pixel_axes = tuple(n for n in range(len(ds.shape)) if n not in taken)
        geometry = DiskGeometry.of(ds.wcs, ds.shape, what)
        if set(geometry.axes) & taken:
            raise SelectionError(
                f"{what}: the position on the sky changes along wavelength or Stokes parameters: "
                "expected one position for each spectrum"
            )
        level, said = _continuum(ds, what, continuum, limb_darkening)
        return cls(
            ds, axis, order[within[order]], stokes_axis, letters, pixel_axes, geometry, level, said
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the pixel axes."""
        return tuple(int(self.ds.shape[axis]) for axis in self.pixel_axes)

    @property
    def n_pixels(self) -> int:
        """Number of spectra."""
        return math.prod(self.shape)

    @property
    def angstrom(self) -> NDArray[np.float64]:
        """The wavelengths that are written: in air, ascending."""
        values: NDArray[np.float64] = self.axis.wavelengths[self.chosen].to_value("AA")
        return values

    def document(self) -> dict[str, Any]:
        """Describe the region, for the way back."""
        inventory = self.ds.inventory or {}
        return {
            "version": 1,
            "dataset": inventory.get("datasetId"),
            "origin": str(self.ds.lineage),
            "shape": list(map(int, self.ds.shape)),
            "pixel_axes": list(self.pixel_axes),
            "n_pixels": self.n_pixels,
            "wavelengths": "angstrom, in air",
            "wavelength_range": [float(self.angstrom[0]), float(self.angstrom[-1])],
            "n_wavelengths": len(self.chosen),
            **self.said,
        }

    def blocks(self) -> Iterator[Block]:
        """Read the region, some pixels at a time, in C order."""
        lengths = list(self.shape)
        span = int(np.ptp(self.chosen)) + 1
        per_pixel = 8 * 4 * span
        for place, whole in enumerate(lengths):
            rest = per_pixel * math.prod(lengths[place + 1 :])
            lengths[place] = max(1, min(whole, _BLOCK // rest))
            if lengths[place] > 1:
                break
        starts = [range(0, n, step) for n, step in zip(self.shape, lengths, strict=True)]
        first = 0
        for number in np.ndindex(*map(len, starts)):
            slices = [
                slice(start[k], min(start[k] + step, n))
                for k, start, step, n in zip(number, starts, lengths, self.shape, strict=True)
            ]
            yield self._block(first, slices)
            first += math.prod(part.stop - part.start for part in slices)

    def _block(self, first: int, slices: list[slice]) -> Block:
        low, high = int(self.chosen.min()), int(self.chosen.max())
        index: list[slice] = [slice(None)] * len(self.ds.shape)
        for axis, part in zip(self.pixel_axes, slices, strict=True):
            index[axis] = part
        index[self.axis.array_axis] = slice(low, high + 1)
        cube = self.ds[tuple(index)]
        values: Any = np.asarray(cube.data)
        mask = cube.mask
        if mask is not None:
            values = np.where(mask, np.nan, values)
        # The order of the axes: pixels, wavelength, Stokes.
        last = () if self.stokes_axis is None else (self.stokes_axis,)
        values = values.transpose(*self.pixel_axes, self.axis.array_axis, *last)
        if self.stokes_axis is None:
            values = values[..., None]
        taken: Any = self.chosen - low
        if np.array_equal(taken, np.arange(len(taken))):
            taken = slice(None)  # without a copy
        values = values[..., taken, :]
        size = math.prod(part.stop - part.start for part in slices)
        stokes = np.full((*values.shape[:-1], 4), np.nan)
        for place, letter in self.letters:
            np.divide(values[..., place], self.continuum, out=stokes[..., letter])
        stokes = stokes.reshape(size, len(self.chosen), 4)
        places = np.stack(
            np.meshgrid(*(np.arange(part.start, part.stop) for part in slices), indexing="ij"), -1
        )
        lon, lat, mu = self._positions(slices)
        return Block(
            first, places.reshape(size, -1), stokes, lon * _ARCSEC, lat * _ARCSEC, mu
        )  # fmt: skip

    def _positions(self, slices: list[slice]) -> list[NDArray[np.float64]]:
        """Compute Tx and Ty in radians, and mu, of the pixels of a block, flat."""
        from dkist_virtual.science.sun.disk import cosine_of_angle

        of_axis = dict(zip(self.pixel_axes, slices, strict=True))
        window = [(of_axis[axis].start, of_axis[axis].stop) for axis in self.geometry.axes]
        lon, lat = self.geometry.positions(window)
        mu = cosine_of_angle(lon, lat, self.geometry.distance)
        lengths = [part.stop - part.start for part in slices]
        own = [n if axis in self.geometry.axes else 1
               for n, axis in zip(lengths, self.pixel_axes, strict=True)]  # fmt: skip
        return [np.broadcast_to(one.reshape(own), lengths).ravel() for one in (lon, lat, mu)]


def axis_in_air(ds: Any, what: str) -> SpectralAxis:
    """Find the wavelengths of a dataset, in air."""
    axis = SpectralAxis.of(ds)
    if axis.medium is None:
        raise DatasetError(
            f"{what}: whether the wavelengths are in air or in vacuum is not known: "
            "ds.meta['wavelength_medium'] = 'air', or 'vacuum', says it. The codes take "
            "wavelengths in air"
        )
    return axis.in_medium("air")


def stokes_of(ds: Any, what: str) -> tuple[int | None, tuple[tuple[int, int], ...]]:
    """Find the axis of the Stokes parameters, and which place is which of I, Q, U, V."""
    found = World(ds.wcs, ds.shape).stokes()
    if found is None:
        return None, ((0, 0),)  # intensities
    axis, letters = found
    if set(letters) <= set("IQUV"):
        return axis, tuple((place, "IQUV".index(letter)) for place, letter in enumerate(letters))
    raise SelectionError(
        f"{what}: expected Stokes parameters I, Q, U, V along an axis of their own, or one of them"
    )


def _continuum(
    ds: Any, what: str, given: Any, limb_darkening: str | float
) -> tuple[float, dict[str, Any]]:
    """Return the quiet Sun's continuum at the centre of the disk, and how it was found."""
    if hasattr(given, "wcs") and hasattr(given, "shape"):
        return _of_region(what, given, ds.unit, limb_darkening)
    if isinstance(given, u.Quantity):
        try:
            level = float(given.to_value(ds.unit or u.dimensionless_unscaled))
        except (u.UnitConversionError, TypeError):
            raise DatasetError(
                f"{what}: continuum={given}: expected one value in {ds.unit or 'no unit'}"
            ) from None
    elif isinstance(given, (int, float, np.number)) and not isinstance(given, bool):
        level = float(given)
    else:
        raise DatasetError(
            f"{what}: continuum={type(given).__name__}: expected the intensity of the quiet Sun's "
            "continuum at the centre of the disk, or a part of the dataset that is quiet, at "
            "wavelengths of the continuum: ds[0, 10:40, 20:30, 500:900]"
        )
    _check_level(what, level)
    return level, {
        "continuum": level, "unit": str(ds.unit or ""), "continuum_from": "a number that was given"
    }  # fmt: skip


def _check_level(what: str, level: float) -> None:
    if not (math.isfinite(level) and level > 0):
        raise DatasetError(f"{what}: continuum: expected an intensity above 0, found {level:g}")


def _of_region(
    what: str, quiet: Any, unit: Any, limb_darkening: str | float
) -> tuple[float, dict[str, Any]]:
    """Measure the continuum in a quiet region, and extrapolate it to the centre of the disk."""
    from dkist_virtual.science.sun.disk import DiskGeometry

    if quiet.unit != unit:
        raise DatasetError(f"{what}: continuum: expected a region in {unit}, found {quiet.unit}")
    on, letters = stokes_of(quiet, what)
    places = [place for place, letter in letters if letter == 0]
    if not places:
        raise DatasetError(f"{what}: continuum: the region has no Stokes I")
    if on is not None:
        quiet = quiet[(slice(None),) * on + (slice(places[0], places[0] + 1),)]
    local = float(np.nanmedian(quiet.to_numpy()))
    geometry = DiskGeometry.of(quiet.wcs, quiet.shape, f"{what}: continuum")
    mu = geometry.mu([(0, n) for n in geometry.own_shape])
    if not np.isfinite(mu).all():
        raise DatasetError(f"{what}: continuum: the region reaches beyond the limb")
    mean = float(mu.mean())
    if isinstance(limb_darkening, str):
        ratio = _by_law(what, quiet, mean, limb_darkening)
    else:
        ratio = float(limb_darkening)
    if not 0 < ratio < 1.5:
        raise DatasetError(f"{what}: limb_darkening={ratio:g}: expected I(mu) / I(1), 0.9 say")
    _check_level(what, local)
    return local / ratio, {
        "continuum": local / ratio, "unit": str(unit or ""),
        "continuum_from": f"the median of {local:.6g} in a region at a mean mu of {mean:.4f}",
        "limb_darkening": ratio, "limb_darkening_from": str(limb_darkening),
    }  # fmt: skip


def _by_law(what: str, quiet: Any, mu: float, law: str) -> float:
    from dkist_virtual.science.sun.limb_darkening import LAWS, check_wavelengths, intensity

    if law not in LAWS:
        raise DatasetError(
            f"{what}: limb_darkening={law!r}: expected one of {', '.join(map(repr, LAWS))}, or "
            "I(mu) / I(1) of the continuum at the region, a number"
        )
    world = World(quiet.wcs, quiet.shape)
    found = [w for w in world.parts if w.of_kind("wavelength") is not None]
    if not found:
        raise DatasetError(f"{what}: continuum: the region has no wavelength")
    axis = found[0].of_kind("wavelength")
    assert axis is not None
    values = np.mean(found[0].along([axis])[0]) * u.Unit(axis.unit)
    nm = float(values.to_value(u.nm, u.spectral()))
    try:
        check_wavelengths([nm], LAWS[law])
    except DatasetError as error:
        raise DatasetError(
            f"{what}: continuum: {error}. limb_darkening=0.9 is I(mu) / I(1) as you know it"
        ) from None
    return float(intensity(mu, nm, law=law))


def positive_q_of(ds: Any, what: str, given: u.Quantity | None) -> float:
    """Return the direction of +Q in degrees counterclockwise from solar west.

    Raises
    ------
    DatasetError
        It is not documented for the dataset, and not given.
    """
    if given is not None:
        if not isinstance(given, u.Quantity) or not given.isscalar:
            raise DatasetError(
                f"{what}: positive_q={given!r}: expected an angle, counterclockwise from solar "
                "west, as 90 * u.deg for solar north"
            )
        return float(given.to_value("deg"))
    from dkist_virtual.dataset.polarimetry.parameters import read_frame
    from dkist_virtual.science.polarimetry.frame import SOLAR

    frame = read_frame(ds)
    if frame.is_known and frame.name != SOLAR:
        raise DatasetError(
            f"{what}: the Stokes parameters of this dataset are in another frame: {frame}: give "
            "positive_q=, the direction of +Q as an angle counterclockwise from solar west"
        )
    if not frame.is_known:
        raise DatasetError(
            f"{what}: in which frame the Stokes parameters are is not known ({frame.known_by}): "
            "give positive_q=, the direction of +Q as an angle counterclockwise from solar west. "
            "It is 0 deg in the frame of SDO/HMI and Hinode-SP"
        )
    return 0.0
