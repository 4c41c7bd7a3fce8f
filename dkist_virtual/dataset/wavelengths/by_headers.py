"""Take the wavelengths that the FITS headers of the frames state."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.wavelengths.scale import WavelengthScale
from dkist_virtual.cube.wavelengths.scaled_wcs import check_wavelengths
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.pointing.fits_pointing import frame_pixels
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.science.spectra.medium import CODES
from dkist_virtual.science.spectra.velocity import LIGHT

if TYPE_CHECKING:
    from astropy.table import Table
    from numpy.typing import NDArray

    from dkist_virtual.cube.pointing import Numbers

__all__ = ["scale_by_headers"]

_WHAT: Final = 'calibrate_wavelength("headers")'
_SAME: Final = 1e-3
"""Steps between pixels that the scales of two frames may be apart."""
_SAID: Final = 1e-2
"""Steps from the WCS of the dataset that are worth a warning."""


def scale_by_headers(ds: Any) -> WavelengthScale:
    """Make the wavelength scale that the headers of a dataset's frames state.

    Where CTYPE is AWAV-GRA or WAVE-GRA, it is that of a grating (Greisen et al. 2006, Astronomy and
    Astrophysics 446, 747, "FITS Paper III", section 5), computed by astropy; else it is even.

    Raises
    ------
    DatasetError
        There are no headers of frames, they have no wavelengths along an axis of the frames, or
        they differ.

    Warns
    -----
    DKISTVirtualWarning
        They put pixels elsewhere than the WCS of the dataset.
    """
    origin, table = ds.provenance, ds.headers
    if origin is None or table is None or not table.colnames:
        raise DatasetError(
            f"{_WHAT}: this dataset has no headers of its frames: calibrate the dataset that it "
            "was made from"
        )
    wave = check_wavelengths(ds.wcs, ds.shape)
    (axis,) = wave.array_axes
    n_frame_axes = len(origin.array.frame_shape)
    if axis < n_frame_axes:
        raise DatasetError(
            f"{_WHAT}: each frame is of one wavelength, and no header has a scale along the frame: "
            "the WCS has the wavelength of each frame already. Values of your own are "
            "ds.calibrate_wavelength(values * u.nm)"
        )
    number = _fits_axis(table)
    points = np.zeros((ds.shape[axis], len(ds.shape) - n_frame_axes))
    points[:, axis - n_frame_axes] = np.arange(ds.shape[axis])
    pixels = frame_pixels(ds, table, points, _WHAT)[:, number - 1]
    found = {
        cards: (row, _evaluate(dict(cards), number, pixels, row))
        for cards, row in _cards(table, number).items()
    }
    values = _one(found)
    ctype = str(dict(next(iter(found)))[f"CTYPE{number}"])
    own = World(ds.uncalibrated().wcs, ds.shape).along([wave])[0]
    source = f"CTYPE {ctype} of the headers"
    step = float(np.median(np.abs(np.diff(values)))) if len(values) > 1 else np.inf
    stated = own * float(_unit(wave.unit).to("nm"))
    away = values - stated
    worst = float(np.abs(away).max())
    if worst > _SAID * step:
        speed = float(np.abs(away / values).max()) * LIGHT
        said = (
            f"the headers put pixel 0 at {values[0]:.5f} nm, and the WCS of the dataset at "
            f"{stated[0]:.5f} nm: up to {worst / step:.2f} pixels or {speed:.2f} km/s apart"
        )
        source += f"; {said}"
        warnings.warn(f"{_WHAT}: {said}", DKISTVirtualWarning, stacklevel=4)
    return WavelengthScale(
        axis=axis, pixels=np.arange(len(values), dtype=float), values=values, unit="nm",
        medium=CODES[ctype[:4]], method="headers", source=source,
    )  # fmt: skip


def _unit(text: str) -> Any:
    import astropy.units as u

    return u.Unit(text)


def _fits_axis(table: Table) -> int:
    """Return the number of the FITS axis of wavelengths, from 1."""
    names = [name for name in table.colnames if re.fullmatch(r"CTYPE\d", name)]
    stated = {name: str(table[name][0]) for name in names}
    found = [name for name, ctype in stated.items() if ctype[:4] in CODES]
    if len(found) != 1:
        raise DatasetError(
            f"{_WHAT}: the headers say {', '.join(f'{n}={c}' for n, c in stated.items())}: "
            "expected one axis of AWAV or WAVE"
        )
    return int(found[0][-1])


def _cards(table: Table, number: int) -> dict[tuple[Any, ...], int]:
    """Return the different cards of one axis, each with the number of its first row."""
    own = re.compile(rf"(CRPIX|CRVAL|CDELT|CUNIT|CTYPE){number}|(PC|CD|PV){number}_\d{{1,2}}")
    names = [name for name in table.colnames if own.fullmatch(name)]
    rows: dict[tuple[Any, ...], int] = {}
    columns = [table[name].tolist() for name in names]  # None where a frame has no such card
    for row, values in enumerate(zip(*columns, strict=True)):
        cards = tuple(
            (name, value)
            for name, value in zip(names, values, strict=True)
            if value is not None and value == value
        )
        rows.setdefault(cards, row)
    return rows


def _evaluate(cards: dict[str, Any], number: int, pixels: Numbers, row: int) -> NDArray[np.float64]:
    """Compute wavelengths in nm at FITS pixels, from 0, by the cards of one header."""
    from astropy.io.fits import Header
    from astropy.wcs import WCS, FITSFixedWarning, WcsError

    header = Header()
    for name, value in cards.items():
        kind, _, other = name.partition("_")
        if kind[:2] in ("PC", "CD") and kind[2:].isdigit() and other != str(number):
            if value:
                raise DatasetError(
                    f"{_WHAT}: header {row}: {name} is {value}: expected wavelengths along one "
                    "axis of the frame"
                )
            continue
        own = other if kind[:2] == "PV" else other and "1"
        kind = f"{kind[:-1]}1"
        header[f"{kind}_{own}" if own else kind] = value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            found = WCS(header).wcs_pix2world(pixels[:, None], 0)[:, 0]
    except (WcsError, ValueError) as error:
        raise DatasetError(
            f"{_WHAT}: header {row}: has no wavelengths that astropy reads: {error!s:.200}"
        ) from error
    if not (np.isfinite(found) & (found > 0)).all():
        low, high = found.min() * 1e9, found.max() * 1e9
        raise DatasetError(
            f"{_WHAT}: header {row}: its WCS gives wavelengths from {low:.6g} to {high:.6g} nm, "
            "expected numbers above 0: give yours, as in "
            "ds.calibrate_wavelength(values * u.nm)"
        )
    return np.asarray(found * 1e9, float)  # of FITS: in m


def _one(
    found: dict[tuple[Any, ...], tuple[int, NDArray[np.float64]]],
) -> NDArray[np.float64]:
    """Return the scale of all frames, and refuse two of them."""
    (cards, (first, values)), *others = found.items()
    step = float(np.median(np.abs(np.diff(values)))) if len(values) > 1 else np.inf
    for theirs, (row, other) in others:
        away = float(np.abs(other - values).max())
        if away > _SAME * step:
            differing = sorted({name for name, _ in set(cards) ^ set(theirs)})
            one, two = dict(cards), dict(theirs)
            said = ", ".join(f"{n} {one.get(n)} and {two.get(n)}" for n in differing)
            raise DatasetError(
                f"{_WHAT}: the frames have different scales, {away:.3g} nm or {away / step:.3g} "
                f"pixels apart: headers {first} and {row} have {said}: select frames of one scale"
            )
    return values
