"""Take the pointing in each frame's own FITS header: its CRVAL, CRPIX and PC matrix.

The numbers (Tx, Ty) are taken as the header has them, as seen by its telescope at its time. They
are not transformed to the observer and time of the dataset's WCS, which counts its own likewise.
"""

from __future__ import annotations

import itertools
import re
import warnings
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np

from dkist_virtual.cube.pointing import Correction
from dkist_virtual.cube.shifted_wcs import check_sky
from dkist_virtual.cube.world_axes import wrap
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import Table

    from dkist_virtual.cube.pointing import Numbers

__all__ = ["correction_by_headers", "frame_pixels"]

_CARD: Final = re.compile(
    r"(CRPIX|CRVAL|CDELT|CUNIT|CTYPE|CROTA)\d|(PC|CD|PV|PS)\d_\d{1,2}|LONPOLE|LATPOLE|WCSAXES"
)
_SAMPLES: Final = 5
"""Pixels along each axis of a frame at which both pointings are compared."""
_SAME: Final = 1e-6
_MOST: Final = 0.01
"""Arcsec that a header may be away from an affine map of the dataset's coordinates."""


def correction_by_headers(ds: Any) -> Correction:
    """Make the correction of a dataset by which its frames have the pointing of their headers.

    Raises
    ------
    DatasetError
        The dataset has no headers of its frames, or these do not say where on the sky they are.
    """
    origin, table = ds.provenance, ds.headers
    if origin is None or table is None or not table.colnames:
        raise DatasetError(
            'shift("headers"): this dataset has no headers of its frames: shift the dataset that '
            "it was made from"
        )
    world = check_sky(ds.wcs, ds.shape)
    n_frame_axes = len(origin.array.frame_shape)
    frames = tuple(ds.shape[:n_frame_axes])
    lon, lat = world.of_kind("longitude"), world.of_kind("latitude")
    assert lon is not None
    assert lat is not None
    on_sky = {*lon.array_axes, *lat.array_axes}
    # Pixels of the frames: some along each of its axes that are on the sky.
    inside = [
        np.unique(np.linspace(0, n - 1, _SAMPLES)) if axis in on_sky else np.zeros(1)
        for axis, n in enumerate(ds.shape)
        if axis >= n_frame_axes
    ]
    chosen = list(itertools.product(*inside))
    points = np.array(chosen, float).reshape(len(chosen), len(inside))
    n = origin.n_frames
    at = np.indices(frames).reshape(n_frame_axes, n, 1).astype(float)
    positions = [*np.broadcast_to(at, (n_frame_axes, n, len(points))), *points.T[:, None]]
    values = world.values(*positions)
    now = np.stack(
        [
            np.broadcast_to(values[axis.index], (n, len(points))) * u.Unit(axis.unit).to(u.arcsec)
            for axis in (lon, lat)
        ],
        axis=-1,
    )
    now[..., 0] = wrap(now[..., 0], "arcsec")
    theirs = _by_headers(ds, table, points)
    return _fit(ds, frames, now, theirs)


def _by_headers(ds: Any, table: Table, points: Numbers) -> Numbers:
    """Compute (Tx, Ty) by the headers: shape (frames, points, 2), in arcsec."""
    pixels = frame_pixels(ds, table, points, 'shift("headers")')
    names = [name for name in table.colnames if _CARD.fullmatch(name)]
    known: dict[tuple[Any, ...], Numbers] = {}
    found = []
    columns = [table[name].tolist() for name in names]  # None where it is masked
    for number, values in enumerate(zip(*columns, strict=True)):
        # A card that the frame does not have is masked, or is not a number.
        cards = tuple(
            (name, value)
            for name, value in zip(names, values, strict=True)
            if value is not None and value == value
        )
        if cards not in known:
            known[cards] = _evaluate(dict(cards), pixels, number)
        found.append(known[cards])
    return np.array(found)


def _evaluate(cards: dict[str, Any], pixels: Numbers, number: int) -> Numbers:
    """Compute (Tx, Ty) of pixels by the cards of one header."""
    from astropy.io.fits import Header
    from astropy.wcs import WCS, FITSFixedWarning, WcsError

    header = Header()
    for name, value in cards.items():
        header[name] = value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(header)
        lng, lat = wcs.wcs.lng, wcs.wcs.lat
        kinds = [str(wcs.wcs.ctype[axis])[:4] for axis in (lng, lat) if axis >= 0]
        if kinds != ["HPLN", "HPLT"]:
            raise DatasetError(
                f'shift("headers"): header {number}: CTYPE is '
                f"{', '.join(map(str, wcs.wcs.ctype))}: expected HPLN and HPLT among them"
            )
        given = np.zeros((len(pixels), wcs.naxis))
        n = min(wcs.naxis, pixels.shape[1])
        given[:, :n] = pixels[:, :n]
        degrees = wcs.wcs_pix2world(given, 0)[:, [lng, lat]]
    except (WcsError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            f'shift("headers"): header {number}: is not a WCS that astropy reads: {error!s:.200}'
        ) from error
    made = degrees * 3600
    made[:, 0] = wrap(made[:, 0], "arcsec")
    if not np.isfinite(made).all():
        raise DatasetError(f'shift("headers"): header {number}: its WCS has no coordinates there')
    return np.asarray(made, float)


def frame_pixels(ds: Any, table: Table, points: Numbers, what: str) -> Numbers:
    """Return points in a dataset's frames as pixels of FITS, counted from 0.

    Parameters
    ----------
    ds : Dataset
    table : Table
        Its headers.
    points : array of float, shape (points, axes)
        Along each axis of the frames that the dataset has, in the order of the array.
    what : str
        Is being done, for errors.

    Returns
    -------
    array of float, shape (points, axes)
        The first axis of FITS first.
    """
    array = ds.provenance.array
    left = iter(points.T)
    whole: list[Numbers] = []
    for axis in array.selection.axes[array.metadata.n_frame_axes :]:
        if isinstance(axis, int):
            whole.append(np.full(len(points), float(axis)))
        else:
            whole.append(axis.start + axis.step * next(left))
    whole.reverse()
    lengths = [
        int(table[f"NAXIS{n}"][0])
        for n in range(1, 1 + (int(table["NAXIS"][0]) if "NAXIS" in table.colnames else 0))
        if f"NAXIS{n}" in table.colnames
    ]
    if len(lengths) > len(whole):  # axes of one pixel are left out of the frame
        long = [axis for axis, n in enumerate(lengths) if n > 1]
        if len(long) != len(whole):
            raise DatasetError(
                f"{what}: frames of NAXIS {lengths} for {len(whole)} axes of the data: "
                "it is not known which is which"
            )
        made = np.zeros((len(points), len(lengths)))
        made[:, long] = np.stack(whole, axis=-1)
        return made
    return np.stack(whole, axis=-1) if whole else np.zeros((len(points), 0))


def _fit(ds: Any, frames: tuple[int, ...], now: Numbers, theirs: Numbers) -> Correction:
    """Find what makes the present coordinates those of the headers: (frames, points, 2) each."""
    away = theirs - now
    shift = away.mean(axis=1)
    at = tuple(range(n) for n in ds.shape)
    lead = frames + (1,) * (len(ds.shape) - len(frames))
    residual = np.abs(away - shift[:, None]).max()
    if residual < _SAME:
        return Correction(
            at=at, dx=_tidy(shift[:, 0]).reshape(lead), dy=_tidy(shift[:, 1]).reshape(lead),
            source=_source(residual),
        )  # fmt: skip
    center = now.mean(axis=(0, 1))
    matrices, offsets = [], []
    for mine, other in zip(now - center, theirs - center, strict=True):
        matrix = _matrix(mine - mine.mean(axis=0), other - other.mean(axis=0))
        matrices.append(matrix)
        offsets.append(other.mean(axis=0) - matrix @ mine.mean(axis=0))
    matrix, offset = np.array(matrices), np.array(offsets)
    fitted = np.einsum("fij,fpj->fpi", matrix, now - center) + offset[:, None] + center
    residual = np.abs(fitted - theirs).max()
    if residual > _MOST:
        raise DatasetError(
            f'shift("headers"): the pointing of the headers is up to {residual:.2g} arcsec away '
            f"from every scale, rotation and shift of the dataset's: expected at most {_MOST}"
        )
    return Correction(
        at=at, dx=offset[:, 0].reshape(lead), dy=offset[:, 1].reshape(lead), center=center,
        matrix=matrix.reshape((*lead, 2, 2)), source=_source(residual),
    )  # fmt: skip


def _tidy(shift: Numbers) -> Numbers:
    """Leave out what is rounding: 1e-9 arcsec."""
    return np.round(shift, 9)


def _matrix(mine: Numbers, other: Numbers) -> Numbers:
    """Fit the matrix that makes one set of points around zero another: shape (points, 2) each.

    Points on a line, such as a slit, say nothing of what is across: it turns and scales alone.
    """
    strength = np.linalg.svd(mine, compute_uv=False) if len(mine) > 1 else np.zeros(2)
    if len(strength) > 1 and strength[1] > 1e-3 * strength[0] > 0:
        solved: Sequence[Any] = np.linalg.lstsq(mine, other, rcond=None)
        return np.asarray(solved[0].T, float)
    if strength[0] == 0:
        return np.eye(2)
    a, b = (one @ np.array([1, 1j]) for one in (mine, other))
    turn = (np.conj(a) @ b) / (np.conj(a) @ a)
    return np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])


def _source(residual: float) -> str:
    return f"the pointing of each frame's header, within {max(residual, 1e-9):.1g} arcsec"
