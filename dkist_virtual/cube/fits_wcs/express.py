"""Express a WCS in cards and tables of FITS, and measure how far they are from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np
from astropy.time import Time

from dkist_virtual.cube.fits_wcs.coordinates import Coordinates
from dkist_virtual.cube.fits_wcs.fit import (
    Checked,
    Steps,
    Straight,
    knots,
    of_plane,
    touching_plane,
)
from dkist_virtual.cube.fits_wcs.header import FITSWCS, TABLE_NAME, Table
from dkist_virtual.cube.fits_wcs.square import square

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astropy.wcs.wcsapi import BaseHighLevelWCS

    from dkist_virtual.cube.world_axes import Values
    from dkist_virtual.protocols import LowLevelWCS

__all__ = ["TOLERANCE", "fits_wcs"]

TOLERANCE: Final = 1e-3
"""How far, in pixels, the header of a file may be from the WCS by default."""

_FINER: Final = 1e-3
"""Of that: other coordinates than the sky's, whose tables are short, and exact at every pixel."""

_MOST_CELLS: Final = 2**23
"""A lookup table has at most so many numbers: 64 MiB."""


def fits_wcs(
    wcs: BaseHighLevelWCS | LowLevelWCS,
    shape: Sequence[int],
    *,
    spectral: str = "WAVE",
    tangents: Sequence[Values] = (),
    tolerance: float = TOLERANCE,
) -> FITSWCS:
    """Express a WCS of an array in FITS.

    A longitude and latitude are a tangent plane where one is near enough, other coordinates evenly
    spaced, and lookup tables where they are not. Coordinates that indices dropped are axes of
    their own, beyond those of the image.

    Parameters
    ----------
    wcs : WCS
        High or low level. Its pixel axes are the array's, reversed.
    shape : sequence of int
    spectral : {"WAVE", "AWAV"}
        Whether wavelengths are in vacuum or in air.
    tangents : sequence of array
        Tangent points to be tried, longitude and latitude in degrees.
    tolerance : float
        Pixels: what is farther from a plane, or from even spaces, gets a table.

    Returns
    -------
    FITSWCS
        Whose `away` says how near it is: it may be farther than the tolerance.
    """
    return _Expression(Coordinates(wcs, shape, spectral), tangents, tolerance).result()


@dataclass(eq=False)
class _Row:
    """What the header says of one coordinate.

    Parameters
    ----------
    ctype : str
    form : str
    matrix : array, (number of pixel axes,)
        In the unit of FITS a pixel.
    value : float
        At the reference pixel, where it is known without it.
    table : tuple of int, optional
        The number of its table, and of its place in that, from 1.
    """

    ctype: str
    form: str
    matrix: Values
    value: float | None = None
    offset: float = 0.0
    table: tuple[int, int] | None = None


class _Expression:
    """Find the form of each coordinate, and write the cards of all."""

    def __init__(
        self, coordinates: Coordinates, tangents: Sequence[Values], tolerance: float
    ) -> None:
        self.of = coordinates
        self.tangents, self.tolerance = tangents, tolerance
        self.tables: list[Table] = []
        self.notes: list[str] = []
        self.unsaid = list(coordinates.unsaid)
        self.units = self._units()
        self.checked = Checked(coordinates)
        self.steps = {unit: Steps.of(self.checked, unit) for unit in self.units}
        self.names = [one.code for one in coordinates.all]
        self.rows: list[_Row | None] = [None] * len(coordinates.all)
        self.centre: Values = np.zeros(coordinates.n_pixels)  # the reference pixel, from 0

    def _units(self) -> list[tuple[int, ...]]:
        """List the coordinates, a longitude with its latitude."""
        others: list[tuple[int, ...]]
        kinds = [one.kind for one in self.of.all]
        pair = tuple(kinds.index(kind) for kind in ("longitude", "latitude") if kind in kinds)
        others = [(n,) for n, kind in enumerate(kinds) if kind not in ("longitude", "latitude")]
        return [pair, *others] if len(pair) == 2 else [*others]

    def _pixels(self, unit: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted({p for member in unit for p in self.of.all[member].pixels}))

    # Forms ----------------------------------------------------------------------------------

    def result(self) -> FITSWCS:
        """Express all coordinates."""
        bent = [unit for unit in self.units if not self._straight(unit)]
        bent.sort(key=lambda unit: -len(self._pixels(unit)))
        done: set[int] = set()
        for unit in bent:
            if not done & set(unit):
                done |= set(self._tabulate(unit, bent))
        rows = [row for row in self.rows if row is not None]
        if not rows:
            return FITSWCS((), (), self.of.n_pixels, np.nan, {}, tuple(self.unsaid))
        cards, n_axes, order = self._cards()
        named = zip(self.names, self.rows, strict=True)
        forms = {name: row.form for name, row in named if row is not None}
        made = FITSWCS(
            tuple(cards), tuple(self.tables), n_axes, 0.0, forms, tuple(self.unsaid),
            tuple(self.notes),
        )  # fmt: skip
        return replace(made, away=self._away(made, order))

    def _straight(self, unit: tuple[int, ...]) -> bool:
        """Express a coordinate without a table, if it is near enough."""
        pixels, described = self._pixels(unit), [self.of.all[member] for member in unit]
        n = self.of.n_pixels
        if not pixels:
            values = self.checked.values[0, list(unit)]
            ends = ("-TAN", "-TAN") if len(unit) == 2 else ("",)
            for member, one, value, end in zip(unit, described, values, ends, strict=True):
                ctype = _ctype(one.code, end) if end else one.code
                self.rows[member] = _Row(ctype, "one value", np.zeros(n), float(value))
            return True
        tangents = self.tangents if len(unit) == 2 else ()
        fit = of_plane(self.checked, unit, pixels, tangents)
        if not self._fits(unit, fit):
            if described[0].kind == "stokes":
                self.unsaid.append("STOKES: FITS has no table of Stokes parameters")
                return True
            return False
        if len(unit) == 2:
            self.centre = self._centre(fit)
            for place, (member, one) in enumerate(zip(unit, described, strict=True)):
                assert fit.tangent is not None
                self.rows[member] = _Row(
                    _ctype(one.code, "-TAN"), "tangent plane", fit.matrix[place],
                    float(fit.tangent[place]),
                )  # fmt: skip
        else:
            matrix, offset = fit.matrix[0], float(fit.offset[0])
            if described[0].kind == "stokes":  # whole numbers, which readers compare
                matrix, offset = matrix.round(6), round(offset, 6)
            self.rows[unit[0]] = _Row(described[0].code, "evenly spaced", matrix, offset=offset)
        return True

    def _centre(self, fit: Straight) -> Values:
        """Return the pixel of a tangent point; whole in axes along which the sky barely changes."""
        sizes = np.linalg.norm(fit.matrix, axis=0)
        two = np.argsort(sizes)[::-1][:2]
        centre = np.zeros(len(sizes))
        centre[two] = np.linalg.lstsq(fit.matrix[:, two], -fit.offset, rcond=1e-9)[0]
        return centre

    def _fits(self, unit: tuple[int, ...], fit: Straight) -> bool:
        """Tell whether straight lines are near enough at all pixels that are looked at."""
        places = self.checked.places
        if len(unit) == 1:
            found = places @ fit.matrix.T + fit.offset
        elif fit.tangent is None:
            return False
        else:
            plane = (places - self._centre(fit)) @ fit.matrix.T
            found = np.column_stack(touching_plane(fit.tangent).wcs_pix2world(*(plane - 1).T, 0))
        off = found - self.checked.values[:, list(unit)]
        return self.steps[unit].pixels(off) <= self._allowed(unit)

    def _allowed(self, unit: tuple[int, ...]) -> float:
        """Return how far, in pixels, a form without a table, or between its entries, may be."""
        return self.tolerance if len(unit) == 2 else self.tolerance * _FINER

    # Tables ---------------------------------------------------------------------------------

    def _tabulate(self, unit: tuple[int, ...], bent: list[tuple[int, ...]]) -> tuple[int, ...]:
        """Express a coordinate by a table, with others so that it has an axis for each of them."""
        pixels = list(self._pixels(unit))
        members: list[int] = list(unit)
        others = sorted((one for one in self.units if one != unit), key=lambda one: one not in bent)
        for other in others:
            own = self._pixels(other)
            row = self.rows[other[0]]
            is_free = row is None or (row.table is None and row.form == "evenly spaced")
            kinds = {self.of.all[member].kind for member in other}
            if (
                own and is_free and set(own) <= set(pixels) and "stokes" not in kinds
                and len(members) + len(other) <= len(pixels)
            ):  # fmt: skip
                members += other
        axes = self._assign(members, pixels)
        indices = [np.zeros(1) if axis is None else self._knots(members, axis) for axis in axes]
        shape = tuple(len(index) for index in indices)
        if int(np.prod(shape)) * len(axes) > _MOST_CELLS:
            self.unsaid.append(
                f"{' and '.join(self.names[m] for m in members)}: a lookup table of it would have "
                f"{int(np.prod(shape)) * len(axes):,} numbers"
            )
            return tuple(members)
        grid = np.meshgrid(*indices, indexing="ij")
        places = np.zeros((grid[0].size, self.of.n_pixels))
        for axis, places_on in zip(axes, grid, strict=True):
            if axis is not None:
                places[:, axis] = places_on.ravel()
        values = self.of.values(places)
        if not np.isfinite(values[:, members]).all():
            self.unsaid.append(
                f"{' and '.join(self.names[m] for m in members)}: not known of every pixel"
            )
            return tuple(members)
        columns = [values[:, m] for m in members]
        columns += [places[:, axis] + 1 for axis in axes[len(members) :]]
        table = np.stack([column.reshape(shape).T for column in columns], axis=-1)
        number = len(self.tables) + 1
        self.tables.append(Table(number, table, tuple(index + 1 for index in indices)))
        for place, axis in enumerate(axes):
            matrix = np.zeros(self.of.n_pixels)
            if axis is not None:
                matrix[axis] = 1.0
            if place < len(members):
                code = self.of.all[members[place]].code
            else:
                code = "INDX"
                self.names.append(f"INDX{axis}")
                self.rows.append(None)
            row = _Row(
                _ctype(code, "-TAB"), "lookup table", matrix, offset=1.0, table=(number, place + 1)
            )
            self.rows[members[place] if place < len(members) else -1] = row
        self._note_order(members, axes, columns, shape)
        return tuple(members)

    def _assign(self, members: list[int], pixels: list[int]) -> list[int | None]:
        """Choose a pixel axis for each coordinate of a table; more at the end for what is left."""
        left, axes = list(pixels), list[int | None]()
        fewest = sorted(members, key=lambda m: len(self.of.all[m].pixels))
        chosen: dict[int, int | None] = {}
        for member in fewest:  # those that change along few axes first
            own = [p for p in self.of.all[member].pixels if p in left]
            if self.of.all[member].kind == "time":
                own = own[::-1]
            chosen[member] = own[0] if own else None
            if own:
                left.remove(own[0])
        axes = [chosen[member] for member in members]
        return [*axes, *left]

    def _knots(self, members: list[int], axis: int) -> Values:
        units = [unit for unit in self.units if set(unit) <= set(members)]

        def away(off: Values) -> float:
            return max(
                self.steps[unit].pixels(off[:, list(unit)]) / self._allowed(unit) for unit in units
            )

        return knots(self.checked, axis, away, 0.1)

    def _note_order(
        self, members: list[int], axes: list[int | None], columns: list[Values],
        shape: tuple[int, ...],
    ) -> None:  # fmt: skip
        """Note wavelengths that rise and fall along their axis."""
        for place, member in enumerate(members):
            if self.of.all[member].kind == "wavelength" and axes[place] is not None:
                along = np.moveaxis(columns[place].reshape(shape), place, -1)
                change = np.diff(along.reshape(-1, along.shape[-1])[0])
                if len(change) and not ((change > 0).all() or (change < 0).all()):
                    self.notes.append(
                        f"{self.names[member]}: the wavelengths are not in order along their axis, "
                        "so that FITS readers find a pixel's wavelength, but not always the pixel "
                        "of a wavelength"
                    )

    # Cards ----------------------------------------------------------------------------------

    def _cards(self) -> tuple[list[tuple[str, Any, str]], int, list[int]]:
        """Write the cards; return them, WCSAXES, and the FITS axis of each row, from 0."""
        there = [n for n, row in enumerate(self.rows) if row is not None]
        rows = [row for row in self.rows if row is not None]
        n_pixels = self.of.n_pixels
        sizes = self.of.shape[::-1]
        single = [
            next((p for p in self.of.all[k].pixels if sizes[p] == 1), None)
            if k < len(self.of.all) else None
            for k in there
        ]  # fmt: skip
        matrix, order = square(
            np.array([row.matrix for row in rows]), n_pixels, self._pairs(there), single
        )
        n = len(matrix)
        reference = np.concatenate([self.centre, np.zeros(n - n_pixels)])
        cards: list[tuple[str, Any, str]] = [("WCSAXES", n, "axes of the WCS")]
        cards += [(f"CRPIX{p + 1}", float(reference[p] + 1), "reference pixel") for p in range(n)]
        own: dict[int, int] = {order[k]: k for k in range(len(rows))}
        for axis in range(n):
            key, line = axis + 1, matrix[axis]
            if axis not in own:
                cards += [
                    (f"CTYPE{key}", "PIXEL", "number of the pixel"),
                    (f"CRVAL{key}", float(reference[int(np.argmax(np.abs(line)))] + 1), ""),
                    (f"CDELT{key}", 1.0, ""),
                ]
            else:
                row = rows[own[axis]]
                cards += self._row_cards(key, row, there[own[axis]], reference, line)
                if row.table is None:
                    line = line / (np.linalg.norm(line) or 1.0)
            cards += [
                (f"PC{key}_{p + 1}", float(line[p]), "")
                for p in range(n)
                if line[p] != (1.0 if p == axis else 0.0)
            ]
        cards += self._about()
        return cards, n, [order[k] for k in range(len(rows))]

    def _row_cards(
        self, key: int, row: _Row, number: int, reference: Values, line: Values
    ) -> Iterator[tuple[str, Any, str]]:
        described = self.of.all[number] if number < len(self.of.all) else None
        name = "number of the pixel" if described is None else described.name
        yield f"CTYPE{key}", row.ctype, _ascii(f"{name}: {row.form}")
        if described is not None and described.unit:
            yield f"CUNIT{key}", described.unit, ""
        n = self.of.n_pixels
        value = row.value
        if value is None:
            value = float(row.matrix @ reference[:n] + row.offset)
        yield f"CRVAL{key}", value, ""
        yield f"CDELT{key}", float(np.linalg.norm(line) or 1.0) if row.table is None else 1.0, ""
        if row.table is not None:
            table, place = row.table
            yield f"PS{key}_0", TABLE_NAME, "EXTNAME of the lookup table"
            yield f"PS{key}_1", "COORDS", "column of its coordinates"
            yield f"PS{key}_2", f"INDEX{place}", "column of the pixel numbers"
            yield f"PV{key}_1", table, "EXTVER"
            yield f"PV{key}_2", 1, "EXTLEVEL"
            yield f"PV{key}_3", place, "place among its coordinates"

    def _pairs(self, there: list[int]) -> list[tuple[int, int]]:
        """Return which rows are a longitude and its latitude."""
        pair = next((unit for unit in self.units if len(unit) == 2), None)
        if pair is None or not set(pair) <= set(there):
            return []
        return [(there.index(pair[0]), there.index(pair[1]))]

    def _about(self) -> Iterator[tuple[str, Any, str]]:
        """Give the cards of the epoch, the observer and the Sun."""
        epoch, frame = self.of.epoch, self.of.frame
        if epoch is not None:
            yield "TIMESYS", "UTC", ""
            yield "DATEREF", _date_of(epoch), "the time axis counts from here"
        if frame is None:
            return
        obstime = getattr(frame, "obstime", None)
        if obstime is not None:
            yield "DATE-OBS", _date_of(obstime), "of the frame of the sky"
        if (rsun := getattr(frame, "rsun", None)) is not None:
            yield "RSUN_REF", float(rsun.to_value(u.m)), "[m] radius of the Sun"
        observer = getattr(frame, "observer", None)
        if observer is not None and not isinstance(observer, str):
            from sunpy.coordinates import HeliographicStonyhurst

            at = observer.transform_to(HeliographicStonyhurst(obstime=obstime))
            yield "HGLN_OBS", float(at.lon.to_value(u.deg)), "[deg] longitude of the observer"
            yield "HGLT_OBS", float(at.lat.to_value(u.deg)), "[deg] latitude of the observer"
            yield "DSUN_OBS", float(at.radius.to_value(u.m)), "[m] distance of the observer"

    # How near it is -------------------------------------------------------------------------

    def _away(self, made: FITSWCS, order: list[int]) -> float:
        """Compare what astropy reads with the WCS, in pixels."""
        read = made.wcs()
        there = [n for n, row in enumerate(self.rows) if row is not None]
        axes = {n: order[k] for k, n in enumerate(there)}
        places = self.checked.places
        padded = np.zeros((len(places), made.n_axes))
        padded[:, : self.of.n_pixels] = places
        found = np.reshape(read.wcs_pix2world(padded, 0), padded.shape)
        away, shift = 0.0, self._epoch_error()
        for unit in self.units:
            if set(unit) <= set(there):
                off = found[:, [axes[m] for m in unit]] - self.checked.values[:, list(unit)]
                if self.of.all[unit[0]].kind == "time":
                    off = off + shift
                away = max(away, self.steps[unit].pixels(off))
        return away

    def _epoch_error(self) -> float:
        """Return the seconds that DATEREF is later than the epoch."""
        epoch = self.of.epoch
        assert epoch is None or epoch.isscalar
        if epoch is None:
            return 0.0
        return float((Time(_date_of(epoch), scale="utc") - epoch).to_value("s"))


def _date_of(moment: Time) -> str:
    """Write a moment to the nanosecond, or to the microsecond where it was one before rounding."""
    short, full = (Time(moment, format="isot", precision=n).utc for n in (6, 9))
    near = abs((Time(short.isot, scale="utc") - moment).to_value("s")) < 2e-7
    return str(short.isot if near else full.isot)


def _ctype(code: str, end: str) -> str:
    return code.ljust(8 - len(end), "-" if end == "-TAN" else " ")[: 8 - len(end)] + end


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()[:44]
