"""Compose basic indexing: what is left of an array after any number of slices.

A `Selection` is one entry per axis of the array as it is stored: an integer where the axis was
indexed away, a `range` of pixels otherwise. Python's ranges compose by themselves
(``range(0, 100, 2)[10:20]`` is ``range(20, 40, 2)``), negative indices included.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias

import numpy as np

from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "BasicIndex", "Index", "SelectedArray", "Selection", "full_index", "operand_index",
    "parse_index", "single_pixel_error",
]  # fmt: skip

BasicIndex: TypeAlias = tuple[int | slice, ...]
"""One entry for each axis."""

Index: TypeAlias = (
    SupportsIndex | slice | EllipsisType | Sequence[SupportsIndex | slice | EllipsisType]
)
"""An index as a user writes it: integers, slices and at most one Ellipsis."""


def full_index(item: Index, ndim: int) -> BasicIndex:
    """Check an index, and complete it: one integer or slice for each of `ndim` axes."""
    if isinstance(item, list) and any(isinstance(entry, slice) or entry is ... for entry in item):
        item = tuple(item)  # as ndcube's sequences index their cubes; a list of integers is none
    items = item if isinstance(item, tuple) else (item,)
    ellipses = [i for i, entry in enumerate(items) if entry is Ellipsis]
    if len(ellipses) > 1:
        raise SelectionError(f"index {item!r}: expected at most one Ellipsis")
    given = len(items) - len(ellipses)
    if given > ndim:
        raise SelectionError(f"index {item!r}: has {given} entries for {ndim} axes")
    fill = (slice(None),) * (ndim - given)
    at = ellipses[0] if ellipses else len(items)
    entries = items[:at] + fill + items[at + len(ellipses) :]
    return tuple(_entry(entry) for entry in entries)


def operand_index(index: BasicIndex, own: Sequence[int], shape: Sequence[int]) -> BasicIndex:
    """Index an array of its own shape as the result of broadcasting it to another shape is indexed.

    Of an axis of one pixel that was stretched, that pixel is selected.
    """
    n = len(own)
    return tuple(
        entry if size == whole else (slice(None) if isinstance(entry, slice) else 0)
        for entry, size, whole in zip(
            index[len(index) - n :], own, shape[len(shape) - n :], strict=True
        )
    )


def single_pixel_error(item: Index) -> SelectionError:
    """Make the error for an index that leaves no axis of a dataset."""
    return SelectionError(
        f"index {item!r}: leaves a single pixel, which has no WCS: ds.data[...] gives its value"
    )


_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def parse_index(text: str) -> tuple[int | slice | EllipsisType, ...]:
    """Read an index as it is written: ``0, 50`` or ``[..., 10:20:2]``; an empty text is ``()``."""
    inside = text.strip()
    if inside.startswith("[") and inside.endswith("]"):
        inside = inside[1:-1].strip()
    if not inside:
        return ()
    entries = tuple(_parse(part.strip(), text) for part in inside.removesuffix(",").split(","))
    full_index(entries, len(entries))  # checks it
    return entries


def _parse(part: str, text: str) -> int | slice | EllipsisType:
    if part == "...":
        return Ellipsis
    ends = [end.strip() for end in part.split(":")]
    numbers = [int(end) if _INTEGER.fullmatch(end) else None for end in ends]
    if len(ends) == 1 and numbers[0] is not None:
        return numbers[0]
    understood = all(
        number is not None or not end for number, end in zip(numbers, ends, strict=True)
    )
    if not understood or not 2 <= len(ends) <= 3:
        raise SelectionError(
            f'index "{text}": {part!r} is not understood: expected integers, slices such as '
            '10:20:2, or ..., as in "0, 50" or "..., 10:20"'
        )
    return slice(*numbers)


def _entry(entry: SupportsIndex | slice | None) -> int | slice:
    if type(entry) is int:
        return entry
    if isinstance(entry, slice):
        return _slice(entry)
    # True and False are integers to Python and masks to numpy: neither is meant here.
    if isinstance(entry, (bool, np.bool_)) or entry is None:
        raise SelectionError(f"index {entry!r}: {_ONLY}")
    try:
        return operator.index(entry)
    except TypeError:
        raise SelectionError(f"index {entry!r}: {_ONLY}") from None


def _slice(entry: slice) -> slice:
    if {type(entry.start), type(entry.stop), type(entry.step)} <= _PLAIN and entry.step != 0:
        return entry
    try:
        # Also numpy's integers, which are not int.
        start, stop, step = (
            None if part is None else operator.index(part)
            for part in (entry.start, entry.stop, entry.step)
        )
    except TypeError:
        raise SelectionError(f"index {entry!r}: expected integers in a slice") from None
    if step == 0:
        raise SelectionError(f"index {entry!r}: a step of 0 is not possible")
    return slice(start, stop, step)


_PLAIN = {int, type(None)}

_ONLY = (
    "expected integers, slices and Ellipsis. Lists and masks of frames form no rectangle that a "
    "WCS could follow: ds.files gives their files"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """A rectangle, possibly strided, of a stored array.

    Parameters
    ----------
    shape : tuple of int
        Of the array as it is stored.
    axes : tuple of int or range
        One for each axis: an integer where it was indexed away, else the pixels that are left,
        ascending and at least one.
    """

    shape: tuple[int, ...]
    axes: tuple[int | range, ...]

    def __post_init__(self) -> None:
        if len(self.axes) != len(self.shape):
            raise SelectionError(f"{len(self.axes)} axes selected of an array of {self.shape}")
        for axis, (n, pixels) in enumerate(zip(self.shape, self.axes, strict=True)):
            ends = (pixels, pixels) if isinstance(pixels, int) else (pixels[0], pixels[-1])
            if not 0 <= ends[0] <= ends[1] < n:
                raise SelectionError(f"axis {axis}: {pixels} is outside its {n} pixels")

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Selection:
        """Select all of an array."""
        return cls(tuple(shape), tuple(range(n) for n in shape))

    @property
    def kept(self) -> tuple[int, ...]:
        """The stored axes that are left, those not indexed away."""
        return tuple(i for i, pixels in enumerate(self.axes) if isinstance(pixels, range))

    @property
    def result_shape(self) -> tuple[int, ...]:
        """The shape of what is selected."""
        return tuple(len(pixels) for pixels in self.axes if isinstance(pixels, range))

    def __getitem__(self, item: Index) -> Selection:
        """Select from what is selected: by integers, slices with positive steps and Ellipsis."""
        axes, kept = list(self.axes), self.kept
        for axis, entry in zip(kept, full_index(item, len(kept)), strict=True):
            pixels = self.axes[axis]
            assert isinstance(pixels, range)
            if isinstance(entry, slice):
                if entry.step is not None and entry.step < 0:
                    raise SelectionError(
                        f"index {entry}: negative steps are not supported, a WCS has no way to run "
                        "backwards. Reverse what .data.compute() gives; ds.files[::-1] are the "
                        "files in that order"
                    )
                chosen = pixels[entry]
                if not chosen:
                    raise SelectionError(f"index {entry}: leaves none of {len(pixels)} pixels")
                axes[axis] = chosen
            else:
                try:
                    axes[axis] = pixels[entry]
                except IndexError:
                    raise SelectionError(
                        f"index {entry} is out of range for an axis of {len(pixels)} pixels"
                    ) from None
        return Selection(self.shape, tuple(axes))

    @property
    def index(self) -> BasicIndex:
        """The index of the stored array that gives the selection."""
        return tuple(
            pixels if isinstance(pixels, int) else slice(pixels[0], pixels[-1] + 1, pixels.step)
            for pixels in self.axes
        )

    def first(self, n: int) -> Selection:
        """Return the selection along the first `n` axes: of the frame axes, the frames."""
        return Selection(self.shape[:n], self.axes[:n])

    @property
    def size(self) -> int:
        """Number of elements selected."""
        return math.prod(self.result_shape)

    def positions(self) -> NDArray[np.int64]:
        """Return the flat positions of all selected elements, in C order of the stored shape."""
        if self.size == 1:
            return np.array([self._first_position], np.int64)
        flat = np.zeros(1, np.int64)
        for n, pixels in zip(self.shape, self.axes, strict=True):
            if isinstance(pixels, int):
                flat = flat * n + pixels
            else:
                along = np.arange(pixels.start, pixels.stop, pixels.step)
                flat = (flat[:, None] * n + along).ravel()
        return flat

    @property
    def _first_position(self) -> int:
        """The flat position of the first selected element, sooner found without arrays."""
        position = 0
        for n, pixels in zip(self.shape, self.axes, strict=True):
            position = position * n + (pixels if isinstance(pixels, int) else pixels.start)
        return position


class SelectedArray:
    """The shape of an array that is read later, by what is selected of it."""

    selection: Selection

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what is selected."""
        return self.selection.result_shape

    @property
    def ndim(self) -> int:
        """Number of axes of what is selected."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels selected."""
        return self.selection.size
