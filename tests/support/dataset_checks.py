"""Compare datasets with dkist's: their tiles, worlds and headers, and which selections to try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

import dkist_virtual as dv

if TYPE_CHECKING:
    from astropy.table import Table


def tiles_of(ds: Any) -> list[Any]:
    """The datasets of a mosaic that are there, dkist's or ours; of another one, itself."""
    if isinstance(ds, dv.TiledDataset):
        return ds.flat
    if type(ds).__name__ == "TiledDataset":
        return list(ds._data.compressed())
    return [ds]


def assert_same_world(ours: Any, theirs: Any, seed: int = 0) -> None:
    """Both WCSs give the same values at random pixels."""
    ours, theirs = ours.low_level_wcs, theirs.low_level_wcs
    assert ours.pixel_n_dim == theirs.pixel_n_dim
    assert list(ours.world_axis_physical_types) == list(theirs.world_axis_physical_types)
    assert list(ours.world_axis_units) == list(theirs.world_axis_units)
    rng = np.random.default_rng(seed)
    # Whole pixels inside the first ones: lookup tables give NaN outside of theirs.
    pixels = rng.integers(0, 2, (20, theirs.pixel_n_dim))
    for pixel in pixels:
        one = ours.pixel_to_world_values(*pixel)
        other = theirs.pixel_to_world_values(*pixel)
        np.testing.assert_array_equal(np.atleast_1d(one), np.atleast_1d(other))


def assert_same_headers(ours: Any, theirs: Table) -> None:
    """Both tables have the same columns, types, masks and values."""
    assert ours.colnames == theirs.colnames
    assert len(ours) == len(theirs)
    for name in theirs.colnames:
        one, other = ours[name], theirs[name]
        assert one.dtype == other.dtype.newbyteorder("="), name
        np.testing.assert_array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other), name)
        equal_nan = one.dtype.kind == "f"
        np.testing.assert_equal(
            np.array_equal(np.ma.filled(one), np.ma.filled(other), equal_nan=equal_nan), True, name
        )


@st.composite
def indices(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Integers and slices for the first axes, an Ellipsis somewhere, never all integers."""
    n = draw(st.integers(0, len(shape)))
    entries: list[Any] = []
    for length in shape[:n]:
        if draw(st.booleans()) and len(shape) - len(entries) > 1:
            entries.append(draw(st.integers(-length, length - 1)))
        else:
            start = draw(st.integers(0, length - 1))
            stop = draw(st.integers(start + 1, length))
            step = draw(st.one_of(st.none(), st.integers(1, 4)))
            entries.append(slice(start, draw(st.sampled_from([stop, stop - length or None])), step))
    if all(isinstance(entry, int) for entry in entries) and len(entries) == len(shape):
        entries[-1] = slice(None)
    if draw(st.booleans()):
        entries.append(Ellipsis)
    return tuple(entries)
