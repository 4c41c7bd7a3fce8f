"""Record which datasets were combined into a computed one, and what they have in common.

A difference of two wavelengths has the WCS of one of them, and the wavelength of neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dkist_virtual.cube.selection import BasicIndex, Selection, operand_index
from dkist_virtual.cube.world_axes import World, WorldAxis

if TYPE_CHECKING:
    from astropy.table import Column, Table
    from astropy.units import UnitBase
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import NDArray

    from dkist_virtual.dataset.provenance import FrameHeaders
    from dkist_virtual.store.format.header_table import HeaderTable

__all__ = ["Lineage", "Part", "join", "quantity_of", "result_after", "result_before"]

Constants: TypeAlias = dict[str, tuple[World, WorldAxis, float]]
"""Coordinates that are the same everywhere, by kind."""

_OF_INTENSITIES: Final = {"stokes", "wavelength"}

_INTENSITIES: Final = ("intensity", "continuum", "Stokes ", "rotated Stokes ")
"""How the quantities begin that are Stokes parameters: all others are computed of several, or of
several wavelengths."""

_SIGNED: Final = (
    "Doppler velocity", "line-of-sight magnetic field", "degree of circular polarisation",
    "cross-talk from I",
)  # fmt: skip
"""How the quantities begin that have both signs, and are zero where nothing moves or is polarised.
"""

_FROM: Final = "from "


@dataclass(frozen=True, eq=False)
class Part:
    """One of the datasets that were combined, or a selection of it.

    Parameters
    ----------
    wcs : WCS
        Of the dataset as it was opened.
    cut : Selection
        What is left of that.
    headers : FrameHeaders or None
        Of its frames, as the user may have changed them, where pixels are of one frame each.
    unit : Unit or None
    """

    wcs: BaseHighLevelWCS
    cut: Selection
    headers: FrameHeaders | None
    unit: UnitBase | None

    def select(self, index: BasicIndex, shape: Sequence[int]) -> Part:
        """Select what an index of the result, which has a shape, selects of this."""
        own = operand_index(index, self.cut.result_shape, shape)
        headers = None if self.headers is None else self.headers.select(own)
        return replace(self, cut=self.cut[own], headers=headers)

    def constants(self) -> Constants:
        """Return the coordinates that are the same everywhere in it."""
        from dkist_virtual.plot.planes import context

        whole = World(self.wcs, self.cut.shape)
        found: Constants = {
            kind: (whole, *one) for kind, one in context(whole, self.cut.axes).items()
        }
        for dropped in whole.parts[1:]:
            for axis in dropped.axes:
                if axis.kind in ("stokes", "wavelength", "time"):
                    found.setdefault(axis.kind, (dropped, axis, float(dropped.along([axis])[0])))
        return found


def join(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Join the parts of several datasets, each selection once."""
    found: dict[tuple[object, ...], Part] = {}
    for part in parts:
        changed = part.headers is not None and part.headers.is_read
        headers = id(part.headers) if changed else None
        found.setdefault((id(part.wcs), repr(part.cut.axes), headers), part)
    return tuple(found.values())


@dataclass(frozen=True, eq=False)
class Lineage:
    """What a dataset was made from.

    Parameters
    ----------
    parts : tuple of Part
        All that was combined, first the dataset whose headers the result has; or itself alone.
    headers : FrameHeaders or None
        Of the dataset.
    unit : Unit or None
        Of the dataset.
    is_stored : bool
        Whether its pixels are those of frames.
    past : str or None
        What else they come from, in words.
    opened_with : frozenset of str
        The keys of the meta that the dataset had when it was opened.
    columns : tuple of str
        The columns of header tables that were combined with the pixels.
    quantity : str or None
        What the pixels are, where they were computed of several: see `quantity_of`.
    """

    parts: tuple[Part, ...]
    headers: FrameHeaders | None
    unit: UnitBase | None
    is_stored: bool
    past: str | None
    opened_with: frozenset[str]
    columns: tuple[str, ...] = ()
    quantity: str | None = None

    def __str__(self) -> str:
        return f"computed from {self.source}" if self.is_computed else self.source

    @property
    def source(self) -> str:
        """What the pixels are, or were computed from, in words."""
        if self.headers is None:
            return self.past or "an array"
        said = str(self.headers.provenance)
        return f"{said} and {', '.join(self.columns)} of their headers" if self.columns else said

    @property
    def label(self) -> str:
        """The quantity that the pixels are; empty where they were computed from one."""
        return "" if (self.quantity or _FROM).startswith(_FROM) else str(self.quantity)

    @property
    def is_signed(self) -> bool:
        """Whether the quantity has both signs, so that colours begin at zero."""
        return self.label.startswith(_SIGNED)

    @property
    def is_of_intensities(self) -> bool:
        """Whether the quantity is one of a Stokes parameter, as what is not a result is."""
        quantity = (self.quantity or _INTENSITIES[0]).removeprefix(_FROM)
        return quantity.startswith(_INTENSITIES)

    @property
    def is_computed(self) -> bool:
        """Whether the pixels were computed from those of frames."""
        return not self.is_stored and (self.headers is not None or self.past is not None)

    @property
    def is_given(self) -> bool:
        """Whether the pixels are an array that the user put on the coordinates of frames."""
        return self.headers is not None and self.past is not None

    def common(self) -> Constants:
        """Return the coordinates that are the same everywhere in all that was combined.

        Stokes parameter and wavelength are of intensities: not of an array that the user put on the
        coordinates, nor of pixels in units that intensities have no part in, such as km/s, nor of
        quantities such as a velocity.
        """
        first, *others = (part.constants() for part in self.parts)
        found = {
            kind: one
            for kind, one in first.items()
            if all(kind in other and _same(one, other[kind]) for other in others)
        }
        if self.is_computed and (self.is_given or not _has_unit_of(self.unit, self.parts[0].unit)):
            found = {kind: one for kind, one in found.items() if kind not in _OF_INTENSITIES}
        if not self.is_of_intensities:
            found = {kind: one for kind, one in found.items() if kind not in _OF_INTENSITIES}
        return found

    def other_headers(self) -> list[HeaderTable]:
        """Return the header tables of all parts but the first."""
        return [part.headers.table() for part in self.parts[1:] if part.headers is not None]

    def same_columns(self, keywords: Iterable[str]) -> list[str]:
        """Return the header columns that are the same in all parts, row by row.

        Columns about coordinates that are not in `common` are left out.
        """
        if self.is_computed:
            unsaid = set(self.parts[0].constants()) - set(self.common())
            keywords = [keyword for keyword in keywords if not self._is_unsaid(keyword, unsaid)]
        if len(self.parts) == 1:
            return list(keywords)
        others = self.other_headers()
        if self.headers is None or len(others) < len(self.parts) - 1:
            return []
        tables = [self.headers.table(), *others]
        return [keyword for keyword in keywords if _same_column(tables, keyword)]

    def _is_unsaid(self, keyword: str, unsaid: set[str]) -> bool:
        if keyword == "FRAMEWAV":
            return "wavelength" in unsaid
        # An array of the user's may be of other frames than those whose coordinates it has.
        by_frame = keyword in ("XPOSURE", "ATMOS_R0")
        return by_frame and self.is_given and bool(unsaid & _OF_INTENSITIES)


def _same(one: tuple[World, WorldAxis, float], other: tuple[World, WorldAxis, float]) -> bool:
    (world, axis, value), (its_world, its_axis, its_value) = one, other
    if axis.kind == "time":
        away = world.time(value) - its_world.time(its_value)
        return bool(abs(away.to_value("s")) < 1e-3)
    return axis.unit == its_axis.unit and bool(np.isclose(value, its_value, rtol=1e-9, atol=0))


def _has_unit_of(unit: UnitBase | None, before: UnitBase | None) -> bool:
    """Return whether a unit measures what another one does: per second, say, or without a unit."""
    if unit is None or before is None:
        return True
    bases, had = set(unit.decompose().bases), set(before.decompose().bases)
    # Counts and electrons, say: bases that are more than length, time and mass.
    counts = {base for base in had if base.name not in ("m", "s", "kg", "rad")}
    return not bases or not had or bool(unit.is_equivalent(before)) or bool(bases & counts)


def _same_column(tables: Sequence[Table], keyword: str) -> bool:
    if not all(keyword in table.colnames for table in tables):
        return False
    first, *others = (np.ma.asarray(table[keyword]) for table in tables)
    for other in others:
        try:
            equal = np.ma.filled(first == other, False) | (_is_gone(first) & _is_gone(other))
        except ValueError:
            return False  # of different lengths
        if np.shape(equal) != first.shape or not np.all(equal):
            return False
    return True


def _is_gone(column: Column) -> NDArray[np.bool_]:
    """Return where a frame has no such card: see `HeaderRow`."""
    gone = np.ma.getmaskarray(column)
    return gone | np.isnan(np.ma.getdata(column)) if column.dtype.kind == "f" else gone


# What ``meta["result"]`` says -------------------------------------------------------------------


def quantity_of(meta: Mapping[str, Any]) -> str | None:
    """Return what the pixels are by ``meta["result"]``, such as a Doppler velocity; else None."""
    result = meta.get("result")
    said = result.get("quantity") if isinstance(result, Mapping) else None
    return said if isinstance(said, str) and said else None


def result_after(results: Sequence[Any]) -> dict[str, Any] | None:
    """Return what ``meta["result"]`` says after arithmetic; None where it said nothing.

    A difference of velocities is not a velocity by the method of one of them.

    Parameters
    ----------
    results : sequence
        ``meta["result"]`` of the datasets that are combined, first of that whose meta is kept, or
        None.
    """
    if not results or not isinstance(results[0], Mapping):
        return None
    before: list[Any] = []
    for one in results:
        if isinstance(one, Mapping):
            before += [one_before for one_before in one.get("computed_from", [one])
                       if one_before not in before]  # fmt: skip
    quantities = dict.fromkeys(quantity_of({"result": one}) for one in before)
    names = " and ".join(name for name in quantities if name)
    after = {"quantity": _FROM + names} if names else {}
    return {**after, **result_before(results[0]), "computed_from": before}


def result_before(result: Any) -> dict[str, Any]:
    """Return what of ``meta["result"]`` is still true of other pixels on the same coordinates."""
    kept = isinstance(result, Mapping) and result.get("stokes_frame")
    return {"stokes_frame": kept} if kept else {}
