"""What was combined into a computed dataset, and which coordinates all of that has in common.

A difference of two wavelengths has the WCS of one of them, and the wavelength of neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from dkist_virtual.cube.selection import Selection
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.provenance import FrameHeaders
from dkist_virtual.plot.planes import context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.cube.world_axes import WorldAxis
    from dkist_virtual.dataset.provenance import Provenance
    from dkist_virtual.store.format.header_table import HeaderTable

__all__ = [
    "Part",
    "common",
    "is_computed",
    "other_headers",
    "parts_of",
    "same_columns",
    "together",
]

_OF_INTENSITIES: Final = ("stokes", "wavelength")


@dataclass(frozen=True, eq=False)
class Part:
    """One of the datasets that were combined, or a selection of it.

    Parameters
    ----------
    wcs : WCS
        Of the dataset as it was opened.
    cut : Selection
        What is left of that.
    origin : Provenance or None
        Its frames, where pixels are of one frame each.
    headers : FrameHeaders or None
        Theirs, as the user may have changed them.
    unit : Unit or None
    """

    wcs: Any
    cut: Selection
    origin: Provenance | None
    headers: FrameHeaders | None
    unit: Any

    @classmethod
    def of(cls, cube: Any) -> Self:
        """The part that a dataset is."""
        origin = getattr(cube, "_origin", None)
        if origin is None:
            return cls(cube.wcs, Selection.whole(tuple(cube.shape)), None, None, cube.unit)
        return cls(origin.wcs, origin.cut, origin, cube._headers, cube.unit)

    def select(self, index: Sequence[int | slice], shape: Sequence[int]) -> Self:
        """Select what an index of the result, which has a shape, takes of this."""
        own_shape = self.cut.result_shape
        n = len(own_shape)
        own = tuple(
            entry if size == whole else (slice(None) if isinstance(entry, slice) else 0)
            for entry, size, whole in zip(
                index[len(index) - n :], own_shape, shape[len(shape) - n :], strict=True
            )
        )
        cut, origin, headers = self.cut[own], self.origin, self.headers
        if origin is not None and headers is not None:
            origin = replace(origin, array=origin.array.select(own), cut=cut)
            theirs, headers = headers, FrameHeaders(origin)
            headers.take_from(theirs)
        return replace(self, cut=cut, origin=origin, headers=headers)

    def held(self) -> dict[str, tuple[World, WorldAxis, float]]:
        """The coordinates that are the same everywhere in it, by kind."""
        whole = World(self.wcs, self.cut.shape)
        found = {kind: (whole, *one) for kind, one in context(whole, self.cut.axes).items()}
        dropped = whole.held
        for axis in () if dropped is None else dropped.axes:
            if axis.kind in ("stokes", "wavelength", "time"):
                value = float(dropped.along([axis])[0])  # type: ignore[union-attr]
                found.setdefault(axis.kind, (dropped, axis, value))  # type: ignore[arg-type]
        return found


def parts_of(cube: Any) -> tuple[Part, ...]:
    """All that was combined into a dataset, each selection once; itself where it is none."""
    return getattr(cube, "_combined", None) or (Part.of(cube),)


def together(cubes: Sequence[Any]) -> tuple[Part, ...]:
    """What was combined into a result of several datasets."""
    found: dict[Any, Part] = {}
    for cube in cubes:
        for part in parts_of(cube):
            changed = part.headers is not None and part.headers.is_read
            headers = id(part.headers) if changed else None
            found.setdefault((id(part.wcs), repr(part.cut.axes), headers), part)
    return tuple(found.values())


def is_computed(ds: Any) -> bool:
    """Whether the pixels were computed from those of frames."""
    past = getattr(ds, "_past", None)
    return ds._provenance is None and (ds._origin is not None or past is not None)


def common(ds: Any) -> dict[str, tuple[World, WorldAxis, float]]:
    """The coordinates that are the same everywhere in all that was combined into a dataset.

    Stokes parameter and wavelength are of intensities: they say nothing of an array that someone
    put on the coordinates, nor of what is in units that intensities are no part of, as km/s.
    """
    first, *others = parts_of(ds)
    found = first.held()
    for other in others:
        theirs = other.held()
        found = {
            kind: one for kind, one in found.items() if kind in theirs and _same(one, theirs[kind])
        }
    if is_computed(ds) and (_is_given(ds) or not _has_unit_of(ds.unit, first.unit)):
        found = {kind: one for kind, one in found.items() if kind not in _OF_INTENSITIES}
    return found


def _same(one: tuple[World, WorldAxis, float], other: tuple[World, WorldAxis, float]) -> bool:
    (world, axis, value), (its_world, its_axis, its_value) = one, other
    if axis.kind == "time":
        away = world.time(value) - its_world.time(its_value)
        return bool(abs(away.to_value("s")) < 1e-3)
    return axis.unit == its_axis.unit and bool(np.isclose(value, its_value, rtol=1e-9, atol=0))


def _is_given(ds: Any) -> bool:
    """Whether the pixels are an array that someone put on the coordinates of frames."""
    return ds._origin is not None and getattr(ds, "_past", None) is not None


def _has_unit_of(unit: Any, before: Any) -> bool:
    """Whether a unit is one of what another one measures: per second, say, or without a unit."""
    if unit is None or before is None:
        return True
    bases, had = set(unit.decompose().bases), set(before.decompose().bases)
    return not bases or not had or unit.is_equivalent(before) or bool(bases & had & _counts(before))


def _counts(unit: Any) -> set[Any]:
    """The bases of a unit that are more than length, time and mass: counts, electrons."""
    return {base for base in unit.decompose().bases if base.name not in ("m", "s", "kg", "rad")}


def other_headers(ds: Any) -> list[HeaderTable]:
    """The header tables of all that was combined but the first, whose headers the result has."""
    return [part.headers.table() for part in parts_of(ds)[1:] if part.headers is not None]


def same_columns(ds: Any, keywords: Sequence[str]) -> list[str]:
    """Which header columns are the same for all that was combined, row by row.

    Without those that say of frames what is not said of the result: see `common`.
    """
    parts = parts_of(ds)
    if is_computed(ds):
        unsaid = set(parts[0].held()) - set(common(ds))
        keywords = [keyword for keyword in keywords if not _is_unsaid(keyword, unsaid, ds)]
    if len(parts) == 1:
        return list(keywords)
    others = other_headers(ds)
    if ds.headers is None or len(others) < len(parts) - 1:
        return []
    tables = [ds.headers, *others]
    return [keyword for keyword in keywords if _same_column(tables, keyword)]


def _is_unsaid(keyword: str, unsaid: set[str], ds: Any) -> bool:
    if keyword == "FRAMEWAV":
        return "wavelength" in unsaid
    # An array that someone gave may be of other frames than those whose coordinates it has.
    by_frame = keyword in ("XPOSURE", "ATMOS_R0")
    return by_frame and _is_given(ds) and bool(unsaid & set(_OF_INTENSITIES))


def _same_column(tables: Sequence[Any], keyword: str) -> bool:
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


def _is_gone(column: Any) -> Any:
    """Where a frame has no such card: see `HeaderRow`."""
    gone = np.ma.getmaskarray(column)
    return gone | np.isnan(np.ma.getdata(column)) if column.dtype.kind == "f" else gone
