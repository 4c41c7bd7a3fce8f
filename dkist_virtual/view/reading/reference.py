"""Average the spectrum of a field from a sample of its pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import SelectionError
from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.view.reading.kept import Kept
from dkist_virtual.view.reading.pixels import ABSENT, around, frame_axes, read_into

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.reading.pixels import Ranges
    from dkist_virtual.view.state.state import Point

__all__ = ["Reference", "ReferenceReader", "continuum_pixel", "intensity_pixel", "sample"]

MOST_FRAMES: Final = 16
"""Of a raster that are read."""
MOST_ROWS: Final = 16
"""Of each frame that are read."""
KEEP_BYTES: Final = 2**22
CONTINUUM: Final = 95.0
"""Percentile of a spectrum that its continuum is nearest to."""


def sample(pixels: range, most: int) -> range:
    """Take about every n-th of some pixels, `most` at most, the same distance from both ends."""
    step = -(-len(pixels) // most)
    left = (len(pixels) - 1) % step // 2
    return pixels[left::step]


@dataclass(frozen=True, eq=False)
class Reference:
    """An averaged spectrum, as far as it was read.

    Parameters
    ----------
    values : numpy.ndarray
        NaN where no pixel was read.
    pixels : int
        Of the sky that were averaged, at the wavelength with most of them.
    of : int
        Pixels in the field.
    fault : str
        What the first frame said that could not be read; empty where there is none.
    """

    values: NDArray[np.float64]
    pixels: int
    of: int
    fault: str = ""

    @property
    def text(self) -> str:
        """Say what it is: ``"mean of 16 x ... pixels"``."""
        if self.pixels == self.of:
            return f"mean of all {self.of} pixels"
        return f"mean of {self.pixels} of {self.of} pixels"


@dataclass(eq=False)
class _Sums:
    """Sums and counts of pixels along an axis, and whether they are of all frames, none absent."""

    along: int
    start: int
    sums: NDArray[np.float64]
    counts: NDArray[np.int64]
    done: set[Ranges]
    has_absent: bool = False
    is_complete: bool = False
    lock: ThreadLock = field(default_factory=ThreadLock)

    @property
    def nbytes(self) -> int:
        return self.sums.nbytes + self.counts.nbytes

    def is_read(self, ranges: Ranges) -> bool:
        return ranges in self.done

    def put(self, ranges: Ranges, pixels: NDArray[Any], marks: NDArray[np.uint8]) -> None:
        others = tuple(axis for axis in range(pixels.ndim) if axis != self.along)
        known = np.isfinite(pixels)  # unread pixels are NaN
        on = slice(ranges[self.along].start, ranges[self.along].stop)
        sums = np.where(known, pixels, 0).sum(axis=others, dtype=float)
        with self.lock:
            if ranges in self.done:  # the request before this one was still reading it
                return
            self.sums[on] += sums
            self.counts[on] += known.sum(axis=others)
            self.has_absent |= bool((marks == ABSENT).any())
            self.done.add(ranges)


def intensity_pixel(subject: Subject) -> int | None:
    """Find Stokes I along the axis of Stokes parameters.

    Returns 0 where no parameter is stated: the pixels are intensities. None where others than I are
    stated.
    """
    stated = subject.world.stokes()
    if stated is None:
        return 0
    return stated[1].index("I") if "I" in stated[1] else None


class ReferenceReader:
    """Averages the Stokes I profiles of a field, from some of its frames and rows.

    Of a raster at most 16 frames are read, and of each frame at most 16 rows: of those all pixels.

    Parameters
    ----------
    subject : Subject
    along, stokes : int or None
        The array axes of the profiles and of the Stokes parameters.
    sky : tuple of int
        The array axes that are averaged.
    time : int or None
        The axis along which the field is seen again: it is averaged in the middle of it.

    Raises
    ------
    SelectionError
        Stokes I is not among the parameters.
    """

    def __init__(
        self,
        subject: Subject,
        along: int,
        stokes: int | None,
        sky: tuple[int, ...],
        time: int | None = None,
    ) -> None:
        self.subject = subject
        self.along, self.stokes, self.time = along, stokes, time
        found = intensity_pixel(subject)
        if found is None:
            letters = ", ".join((subject.world.stokes() or (None, ()))[1])
            raise SelectionError(f"a mean spectrum: found Stokes {letters}: expected I among them")
        self._intensity = found
        self.sky = tuple(axis for axis in sky if axis not in (along, stokes))
        self._shape = subject.world.shape
        self._frames = frame_axes(subject)
        self._kept: Kept[_Sums] = Kept(KEEP_BYTES)

    def ranges(self, point: Point, field: dict[int, range] | None = None) -> Ranges:
        """Return the pixels that are read, for all wavelengths.

        Parameters
        ----------
        point : Point
            The pixels of other axes.
        field : dict of int to range, optional
            Pixels along axes of the sky; by default all.
        """
        ranges = [range(pixel, pixel + 1) for pixel in point]
        ranges[self.along] = range(self._shape[self.along])
        if self.stokes is not None:
            ranges[self.stokes] = range(self._intensity, self._intensity + 1)
        if self.time is not None and self.time != self.along:
            middle = self._shape[self.time] // 2
            ranges[self.time] = range(middle, middle + 1)
        for axis in self.sky:
            pixels = (field or {}).get(axis, range(self._shape[axis]))
            if axis < self._frames:
                pixels = sample(pixels, MOST_FRAMES)
            elif axis < len(self._shape) - 1:
                pixels = sample(pixels, MOST_ROWS)
            ranges[axis] = pixels
        return tuple(ranges)

    def steps(self, point: Point, field: dict[int, range] | None = None) -> Iterator[Reference]:
        """Average the spectrum of a field; yield it after each batch of frames.

        Parameters
        ----------
        point, field
            As for `ranges`.
        """
        ranges = self.ranges(point, field)
        n, of = self._shape[self.along], 1
        for axis in self.sky:
            of *= len((field or {}).get(axis, range(self._shape[axis])))

        def empty() -> _Sums:
            return _Sums(self.along, 0, np.zeros(n), np.zeros(n, np.int64), set())

        sums = self._kept.get(ranges, empty)
        assert sums is not None

        def reference(fault: str = "") -> Reference:
            with np.errstate(invalid="ignore", divide="ignore"):
                return Reference(sums.sums / sums.counts, int(sums.counts.max()), of, fault)

        if sums.done:
            yield reference()
        for fault in read_into(self.subject, sums, self._parts(ranges, point)):
            if fault:  # some of it is in pieces: another request begins anew, and tries all again
                self._kept.drop(ranges, sums)
            yield reference(fault)
        sums.is_complete = not sums.has_absent

    def forget_absent(self) -> None:
        """Average again where frames were absent, or where some may have been read as absent."""
        self._kept.replace(lambda sums: sums if sums.is_complete else None)

    def _parts(self, ranges: Ranges, point: Point) -> Iterator[Ranges]:
        n = len(ranges[self.along])
        batches = [range(n)]
        if self.along < self._frames:
            batches = list(around(min(point[self.along], n - 1), n))
        rasters = [axis for axis in self.sky if axis < self._frames]
        steps = [()] if not rasters else [(pixel,) for pixel in ranges[rasters[0]]]
        for step in steps:
            for batch in batches:
                part = list(ranges)
                part[self.along] = batch
                for axis, pixel in zip(rasters, step, strict=False):
                    part[axis] = range(pixel, pixel + 1)
                yield tuple(part)


def continuum_pixel(spectrum: NDArray[Any]) -> int | None:
    """Find the pixel of a spectrum in the continuum: the nearest to its 95th percentile.

    None where nothing of the spectrum is known.
    """
    known = np.isfinite(spectrum)
    if not known.any():
        return None
    away = np.abs(spectrum - np.percentile(spectrum[known], CONTINUUM))
    return int(np.nanargmin(away))
