"""Read many rectangles of an array, as many at once as take a moment."""

from __future__ import annotations

import math
from itertools import product
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.errors import FrameMissingError
from dkist_virtual.plot.planes import finish_pixels
from dkist_virtual.view.reading.pixels import (
    ABSENT,
    FAILED,
    MOST_FAULTS,
    READ,
    float_type,
    frame_axes,
    read_into,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.reading.pixels import Filled, Ranges

__all__ = ["read_together"]

FIRST: Final = 16
"""Frames that are read at first, in one go."""
MOST: Final = 64
"""Frames that are read in one go at most: so many requests are under way at once."""
MOST_BYTES: Final = 2**24
SECONDS: Final = 0.2
"""About how long frames are read in one go: then they are shown, and a newer request may begin."""


def read_together(subject: Subject, filled: Filled, parts: Iterable[Ranges]) -> Iterator[str]:
    """Read rectangles, several in one go, and fill something with them.

    It does what `read_into` does one after the other. Of a rectangle some of whose frames cannot be
    read, the others are.

    Parameters
    ----------
    subject : Subject
    filled : Filled
    parts : iterable of Ranges
        In the order in which they are wanted. A frame of which several have a part is read for one
        of them first, since it then is known where its pixels are.

    Yields
    ------
    str
        After each go what is known of faults so far: a sentence, or nothing.
    """
    data = subject.data
    if not isinstance(data, VirtualArray):
        yield from read_into(subject, filled, parts)
        return
    waiting, known, faults, n = list(parts), set[tuple[int, ...]](), list[str](), FIRST
    while waiting:
        group, waiting = _choose(subject, filled, waiting, known, n)
        if not group:
            continue
        if len(faults) >= MOST_FAULTS:
            _give_up(subject, filled, group)
            yield faults[0]
            continue
        began = perf_counter()
        for ranges, errors in zip(group, _read(subject, data, filled, group), strict=True):
            known.update(product(*ranges[: frame_axes(subject)]))
            faults += [str(one) for one in errors if not isinstance(one, FrameMissingError)]
        took = perf_counter() - began
        n = max(1, min(2 * n, int(n * SECONDS / max(took, 1e-6)), MOST))
        yield faults[0] if faults else ""


def _choose(
    subject: Subject,
    filled: Filled,
    waiting: Sequence[Ranges],
    known: set[tuple[int, ...]],
    most: int,
) -> tuple[list[Ranges], list[Ranges]]:
    """Take the next rectangles to read, one at least, and those that are left.

    `known` has the frames of which something was read before.
    """
    group: list[Ranges] = []
    later: list[Ranges] = []
    begun: set[tuple[int, ...]] = set()
    axes, size = frame_axes(subject), float_type(subject).itemsize
    n = n_bytes = 0
    for number, ranges in enumerate(waiting):
        if filled.is_read(ranges):
            continue
        frames = set(product(*ranges[:axes]))
        own = math.prod(map(len, ranges)) * size
        if group and (n + len(frames) > most or n_bytes + own > MOST_BYTES):
            later += waiting[number:]
            break
        if begun & frames:
            later.append(ranges)
            continue
        group.append(ranges)
        begun |= frames - known
        n, n_bytes = n + len(frames), n_bytes + own
    return group, later


def _read(
    subject: Subject, data: VirtualArray, filled: Filled, group: Sequence[Ranges]
) -> Iterator[list[Any]]:
    """Read rectangles in one go, and fill something with them; yield the errors of each."""
    indexes = [tuple(slice(r.start, r.stop, r.step) for r in ranges) for ranges in group]
    read = data.read_together(indexes)
    for ranges, index, (pixels, errors) in zip(group, indexes, read, strict=True):
        marks = np.full(errors.shape, READ, np.uint8)
        for at, error in np.ndenumerate(errors):
            if error is not None:
                marks[at] = ABSENT if isinstance(error, FrameMissingError) else FAILED
        found = finish_pixels(data, subject.mask, index, pixels, subject.convert)
        found = found.astype(float_type(subject), copy=False)
        if (marks != READ).any():
            unknown = (marks != READ).reshape(marks.shape + (1,) * (found.ndim - marks.ndim))
            found = np.where(unknown, np.nan, found)
        filled.put(ranges, found, marks)
        yield [error for error in errors.ravel() if error is not None]


def _give_up(subject: Subject, filled: Filled, group: Sequence[Ranges]) -> None:
    for ranges in group:
        shape = tuple(map(len, ranges))
        unknown: NDArray[Any] = np.full(shape, np.nan, float_type(subject))
        filled.put(ranges, unknown, np.full(shape[: frame_axes(subject)], FAILED, np.uint8))
