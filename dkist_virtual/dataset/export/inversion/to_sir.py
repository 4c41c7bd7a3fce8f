"""Write the files of SIR and DeSIRe."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np

from dkist_virtual.dataset.export.inversion.region import Region, axis_in_air, positive_q_of
from dkist_virtual.dataset.export.inversion.to_hazel import read_sigma
from dkist_virtual.dataset.save.files.part import target_of
from dkist_virtual.errors import DatasetError, StoreError, StoreExistsError
from dkist_virtual.io.local_file import replace_text
from dkist_virtual.science.inversion_files.pixel_table import (
    TABLE,
    directory_of,
    format_head,
    format_rows,
)
from dkist_virtual.science.inversion_files.sir import (
    GridLine,
    format_coordinates,
    format_grid,
    format_profile,
    parse_lines,
)
from dkist_virtual.science.spectra.lines import find_line
from dkist_virtual.text import shows_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.dataset.export.inversion.region import Block

__all__ = ["GRID", "RECORD_FILE", "write_sir"]

RECORD_FILE: Final = "region.json"
GRID: Final = "wave.grid"
_PROFILE: Final = "observed.per"
_WEIGHTS: Final = "observed.wht"
_EVEN: Final = 0.05
"""How far, in steps, wavelengths may be from even ones for a grid to be written."""

_LIMITS: Final = 2000, 25
"""The wavelengths and lines that the codes take as they are distributed (PARAMETER: kld and kl)."""


@dataclass(frozen=True)
class _Line:
    """A line that wavelengths belong to: its index, and its wavelength in air in angstrom."""

    index: int
    wavelength: float
    blends: tuple[int, ...] = ()


def write_sir(
    ds: Any, directory: str | os.PathLike[str], *, lines: Any, lines_file: Any, blends: Any,
    window: u.Quantity | None, sigma: Any, positive_q: Any, code: str, overwrite: bool,
    progress: bool | None, continuum: Any, limb_darkening: Any,
) -> None:  # fmt: skip
    """Write SIR's files: see `Dataset.to_sir`."""
    what = "to_sir"
    if code not in ("sir", "desire"):
        raise DatasetError(f"{what}: code={code!r}: expected 'sir' or 'desire'")
    if code == "sir" and sigma is not None:
        raise DatasetError(
            f"{what}: sigma= is written into a file of weights, which DeSIRe reads and SIR does "
            "not: code='desire', or SIR's own 'Estimated S/N for I'"
        )
    target = target_of(directory, "directory")
    _refuse_existing(target, overwrite)
    atoms = _read_atoms(lines_file, what)
    found = _read_lines(lines, atoms, blends, what)
    whole = window
    if window is not None and np.ndim(window) == 0:
        whole = _span(axis_in_air(ds, what), found, window)
    region = Region.of(ds, what, continuum=continuum, limb_darkening=limb_darkening, window=whole)
    half = None if window is None or np.ndim(window) else float(window.to_value("AA"))
    order, indices, offsets = _assign(region.angstrom, found, half)
    if len(order) > _LIMITS[0] or len(found) > _LIMITS[1]:
        raise DatasetError(
            f"{what}: {len(order)} wavelengths of {len(found)} lines: the codes take up to "
            f"{_LIMITS[0]} of {_LIMITS[1]}. window=0.05 * u.nm takes those around each line"
        )
    weights = None
    if sigma is not None:
        noise = read_sigma(sigma, region, what)
        weights = (noise.min() / noise)[order]
    try:
        angle: float | None = positive_q_of(ds, what, positive_q)
    except DatasetError:
        if positive_q is not None:
            raise
        angle = None
    unknown = "unknown" if angle is None else f"{angle:g} deg counterclockwise from solar west"
    grid = _grid(found, indices, offsets)
    record = region.document() | {
        "code": code,
        "lines": [{"index": one.index, "angstrom": one.wavelength, "blends": list(one.blends)}
                  for one in found],
        "positive_q": unknown,
        "azimuth": "counterclockwise from the direction of +Q",
        "grid": GRID if grid else "none: the wavelengths are not even",
    }  # fmt: skip
    try:
        _write(
            region, target, code, order, indices, offsets, weights, grid, atoms, record, progress
        )
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from error


def _refuse_existing(target: str, overwrite: bool) -> None:
    if os.path.lexists(target) and not os.path.isdir(target):
        raise StoreExistsError(f"{target}: exists and is not a directory")
    there = os.path.isdir(target) and os.listdir(target)
    if there and not overwrite:
        raise StoreExistsError(
            f"{target}: has files in it. overwrite=True writes over those of the same names"
        )


def _read_atoms(given: Any, what: str) -> dict[int, Any]:
    if given is None:
        return {}
    path = target_of(given, "lines_file")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return parse_lines(file.read())
    except OSError as error:
        raise DatasetError(f"{what}: lines_file {path}: {error.strerror}") from error
    except ValueError as error:
        raise DatasetError(f"{what}: lines_file {path}: {error}") from None


def _read_lines(given: Any, atoms: dict[int, Any], blends: Any, what: str) -> list[_Line]:
    """Read the lines: their indices, and their wavelengths in air."""
    if isinstance(given, Mapping):
        named = list(given.items())
    else:
        single = isinstance(given, (str, Integral)) or (
            isinstance(given, u.Quantity) and given.isscalar
        )
        listed = [given] if single else list(given)
        named = [(one if isinstance(one, Integral) else place, one)
                 for place, one in enumerate(listed, start=1)]  # fmt: skip
    others = dict(blends or {})
    found = []
    for index, one in named:
        if isinstance(one, Integral):
            if one not in atoms:
                raise DatasetError(
                    f"{what}: line {one}: expected its index in lines_file, which has "
                    f"{', '.join(map(str, atoms)) or 'not been given'}"
                )
            wavelength = atoms[int(one)].wavelength
        elif isinstance(one, str):
            wavelength = float(find_line(one).wavelength("air").to_value("AA"))
        elif isinstance(one, u.Quantity):
            wavelength = float(one.to_value("AA"))
        else:
            raise DatasetError(
                f"{what}: line {one!r}: expected a name, a wavelength in air with a unit, or an "
                "index in lines_file"
            )
        found.append(_Line(int(index), wavelength, tuple(map(int, others.pop(index, ())))))
    if others:
        raise DatasetError(f"{what}: blends={others}: no such line is among lines")
    if len({one.index for one in found}) < len(found) or not found:
        raise DatasetError(f"{what}: lines={given!r}: expected lines, each with its own index")
    return sorted(found, key=lambda one: one.wavelength)


def _span(axis: Any, found: list[_Line], half: u.Quantity) -> u.Quantity:
    """Return the ends of all windows."""
    wide = float(half.to_value("AA"))
    ends = [found[0].wavelength - wide, found[-1].wavelength + wide]
    return u.Quantity(ends, "AA").to(axis.unit)


def _assign(
    angstrom: NDArray[np.float64], found: list[_Line], half: float | None
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float64]]:
    """Give each wavelength to the nearest line; leave out those that are in no window.

    Returns the places of those that stay, the index of the line of each, and the offsets in mA.
    """
    centres = np.array([one.wavelength for one in found])
    nearest = np.abs(angstrom[:, None] - centres).argmin(axis=1)
    away = angstrom - centres[nearest]
    stays = np.flatnonzero(np.ones(len(away), bool) if half is None else np.abs(away) <= half)
    indices = np.array([one.index for one in found])[nearest[stays]]
    for one in found:
        if not (indices == one.index).any():
            raise DatasetError(
                f"to_sir: line {one.index} at {one.wavelength:.4f} angstrom: no wavelength of the "
                f"selection, {angstrom[0]:.3f} to {angstrom[-1]:.3f} in air, belongs to it"
            )
    return stays, indices, away[stays] * 1e3


def _grid(
    found: list[_Line], indices: NDArray[np.int64], offsets: NDArray[np.float64]
) -> str | None:
    """Write the grid of the wavelengths; None where those of a line are not even."""
    rows = []
    for one in found:
        own = offsets[indices == one.index]
        step = float(np.ptp(own) / (len(own) - 1)) if len(own) > 1 else 1.0
        if not np.allclose(own, own[0] + step * np.arange(len(own)), rtol=0, atol=_EVEN * step):
            return None
        rows.append(GridLine((one.index, *one.blends), float(own[0]), step, float(own[-1])))
    return format_grid(rows)


def _write(
    region: Region, target: str, code: str, order: NDArray[np.intp], indices: NDArray[np.int64],
    offsets: NDArray[np.float64], weights: NDArray[np.float64] | None, grid: str | None,
    atoms: dict[int, Any], record: dict[str, Any], progress: bool | None,
) -> None:  # fmt: skip
    from tqdm import tqdm

    os.makedirs(target, exist_ok=True)
    if grid is not None:
        replace_text(target, GRID, grid)
    if atoms:
        replace_text(target, "LINES", "".join(f"{one.text}\n" for one in atoms.values()))
    weight_text = None if weights is None else format_profile(indices, offsets, weights)
    hidden = not shows_progress(progress)
    with (
        open(os.path.join(target, TABLE), "w", encoding="utf-8") as table,
        tqdm(total=region.n_pixels, desc="Writing", unit="pixel", disable=hidden) as bar,
    ):
        table.write(format_head(region.pixel_axes))
        for block in region.blocks():
            where = block.longitude, block.latitude, block.mu
            table.write(format_rows(block.first, block.index, *where))
            for place in np.flatnonzero(block.seen).tolist():
                own = os.path.join(target, directory_of(block.first + place))
                os.makedirs(own, exist_ok=True)
                _put(own, _PROFILE, format_profile(indices, offsets, block.stokes[place, order]))
                if weight_text is not None:
                    _put(own, _WEIGHTS, weight_text)
                if code == "desire":
                    _put(own, "pos.coor", _coordinates(region, block, place))
            bar.update(len(block.mu))
            del block  # before the next one is read
    replace_text(target, RECORD_FILE, json.dumps(record, indent=1))


def _put(directory: str, name: str, text: str) -> None:
    # Without `replace_text`, which makes each file survive a crash of the machine: there are many.
    with open(os.path.join(directory, name), "w", encoding="ascii") as file:
        file.write(text)


def _coordinates(region: Region, block: Block, place: int) -> str:
    """Write the position of a pixel, in solar radii as seen by the observer."""
    radius = np.degrees(np.arcsin(1 / region.geometry.distance)) * 3600
    return format_coordinates(block.longitude[place] / radius, block.latitude[place] / radius)
