"""Read one image that stands for a dataset, by as few bytes as show what is in it.

- frames that are images of the sky: the middle one, of a mosaic that of each tile, by every n-th
  row;
- frames of a slit: a map of one bright wavelength, by some hundred columns, where a column takes
  few bytes; else the spectrum of the middle step.

What is read is counted (`Counted`), and stops at a limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.world_axes import World, wrap
from dkist_virtual.errors import DKISTVirtualError, FrameMissingError
from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.publish.page.picture import Plane, TooLargeError, block_means

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray

    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.dataset.provenance import Provenance
    from dkist_virtual.io.byte_range import Reply, Request

__all__ = ["MAP_BYTES", "MOST_BYTES", "Counted", "ShownPlane", "read_plane"]

PIXELS: Final = 640
"""Of a side that are read: two for each pixel of the picture."""
COLUMNS: Final = 128
"""Steps of a raster that are read for a map."""
PROBED: Final = 3
"""Of them are read first, to find out how many bytes a column takes."""
MAP_BYTES: Final = 2**24
"""Bytes of all columns of a map, beside the spectrum that its wavelength is chosen from."""
MOST_BYTES: Final = 160 * 2**20
"""Of a picture: nine frames of 4096 x 4096 pixels in square tiles, which are read whole."""
COVERED: Final = 0.3
"""Tiles that cover less than this of their field are drawn side by side instead."""
GAP: Final = 4
"""Pixels between those."""
EDGE: Final = 20
"""The continuum is not looked for in this part of a spectrum, at each end: one in so many."""


@dataclass(frozen=True, eq=False)
class Counted(Fetcher):
    """Fetch bytes, count them, and refuse more than a limit.

    Parameters
    ----------
    storage_options, cache
        As of the fetcher that it takes the place of.
    most : int
        Bytes.
    """

    most: int = MOST_BYTES
    _read: list[int] = field(default_factory=lambda: [0], repr=False)
    _one: ThreadLock = field(default_factory=ThreadLock, repr=False)

    @classmethod
    def of(cls, fetcher: Fetcher) -> Self:
        """Count what this fetcher would fetch."""
        return cls(fetcher.storage_options, fetcher.cache)

    @property
    def nbytes(self) -> int:
        """Bytes that were fetched so far."""
        return self._read[0]

    def _add(self, reply: Reply) -> Reply:
        with self._one:
            self._read[0] += len(reply.data)
        return reply

    def _refuse(self) -> None:
        if self.nbytes > self.most:
            raise TooLargeError(f"its picture takes more than {self.most} bytes")

    def answer(self, request: Request) -> Reply:
        """Answer a request, as `Fetcher.answer`, and count."""
        self._refuse()
        return self._add(super().answer(request))

    async def answer_async(self, request: Request) -> Reply:
        """Answer a request on fsspec's event loop, and count."""
        self._refuse()
        return self._add(await super().answer_async(request))


@dataclass(frozen=True, eq=False)
class ShownPlane:
    """What a picture shows.

    Parameters
    ----------
    plane : Plane
    what : str
        In words, for somebody who does not see it.
    n_frames : int
        Frames that were read, or a part of them.
    """

    plane: Plane
    what: str
    n_frames: int


def read_plane(sources: Sequence[Provenance], counted: Counted, *, mosaic: bool) -> ShownPlane:
    """Read the image that stands for a dataset.

    Parameters
    ----------
    sources : sequence of Provenance
        One; of a mosaic one a tile; of an inversion its quantities and profiles.
    counted : Counted
        What its frames are read by.
    mosaic : bool
        Whether the sources are tiles of one field.

    Raises
    ------
    FrameMissingError
        None of the frames is there.
    FrameError, TooLargeError
    """
    first = _Layout.of(sources[0])
    sky = first.sky_pixels
    if len(sky) >= 2:
        return _image(sources if mosaic else sources[:1], first)
    step = first.steps(sky)
    if step is not None and first.spectral in first.pixel_axes:
        return _map_or_spectrum(first, step, sky[0], first.spectral, counted)
    return _spectrum(first)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Which axes of an array are the sky's, and which are in each frame."""

    source: Provenance
    world: World

    @classmethod
    def of(cls, source: Provenance) -> Self:
        return cls(source, World(source.tile.wcs, source.array.shape))

    @property
    def array(self) -> VirtualArray:
        return self.source.array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def pixel_axes(self) -> tuple[int, ...]:
        """Axes of the selection that are in each frame."""
        n = self.array.metadata.n_frame_axes
        return tuple(i for i, axis in enumerate(self.array.selection.kept) if axis >= n)

    def _of(self, *kinds: str) -> list[int]:
        """Return the array axes along which a coordinate of these kinds changes."""
        return sorted(
            {axis for one in self.world.axes if one.kind in kinds for axis in one.array_axes}
        )

    @property
    def spectral(self) -> int | None:
        """The axis of wavelengths: where several are, the last one."""
        return next(reversed(self._of("wavelength")), None)

    @property
    def sky_pixels(self) -> list[int]:
        """Axes of each frame along which the place on the sky changes, and not the wavelength."""
        sky, spectral = self._of("longitude", "latitude"), self._of("wavelength")
        return [axis for axis in self.pixel_axes if axis in sky and axis not in spectral]

    def steps(self, sky: Sequence[int]) -> int | None:
        """Return the axis of a raster's steps: the last one that moves on the sky."""
        if len(sky) != 1:
            return None
        moving = set(self._of("longitude", "latitude")) - set(self._of("stokes"))
        frames = [axis for axis in moving if axis not in self.pixel_axes and self.shape[axis] > 2]
        return max(frames, default=None)

    def middle(self) -> list[int]:
        """Return the middle of each axis; the first Stokes parameter, which is the intensity."""
        stokes = self._of("stokes")
        return [0 if axis in stokes else n // 2 for axis, n in enumerate(self.shape)]

    def matrix(self, y: int, x: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Compute where two axes lead on the sky, in arcsec for a pixel, and where the middle is.

        None where that is not known.
        """
        import astropy.units as u

        axes = [self.world.of_kind(kind) for kind in ("longitude", "latitude")]
        if None in axes:
            return None
        # From end to end: the sky beside a slit is not where it is on a detector's first pixels.
        points = np.tile(np.array(self.middle(), float)[:, None], 5)
        for column, axis in ((0, x), (2, y)):
            points[axis, column], points[axis, column + 1] = 0, self.shape[axis] - 1
        points[[y, x], 4] = 0
        try:
            values = self.world.values(*points)
        except Exception:  # noqa: BLE001  # gwcs', astropy's, dkist's: then its north is not known
            return None
        rows = []
        for one in axes:
            assert one is not None
            of_axis = values[one.index]
            if one.kind == "longitude":
                of_axis = wrap(of_axis, one.unit, float(of_axis[4]))
            rows.append(of_axis * u.Unit(one.unit).to(u.arcsec))
        at = np.array(rows)
        lengths = [max(1, self.shape[axis] - 1) for axis in (x, y)]
        found = np.stack([(at[:, 1] - at[:, 0]) / lengths[0], (at[:, 3] - at[:, 2]) / lengths[1]])
        return (found.T, at[:, 4]) if np.isfinite(at).all() else None


def _step(n: int, most: int) -> int:
    return max(1, -(-n // most))


# Images of the sky --------------------------------------------------------------------------


def _image(sources: Sequence[Provenance], first: _Layout) -> ShownPlane:
    """Read the middle frame of an imager; of a mosaic the field of all tiles."""
    y, x = first.sky_pixels[-2:]
    longest = max(first.shape[y], first.shape[x])
    step = _step(longest, PIXELS)
    # A mosaic is drawn smaller: few of each tile's pixels are needed.
    if len(sources) > 1:
        step = _step(longest * int(np.ceil(np.sqrt(len(sources)))), PIXELS)
    blocks: list[tuple[NDArray[np.float32] | None, _Layout]] = []
    absent: FrameMissingError | None = None
    for source in sources:
        layout = first if source is first.source else _Layout.of(source)
        index: list[Any] = list(layout.middle())
        index[y], index[x] = slice(None, None, step), slice(None)
        try:
            pixels = block_means(np.asarray(layout.array[tuple(index)]), (1, step))
        except FrameMissingError as error:
            absent = error
            blocks.append((None, layout))
            continue
        blocks.append((pixels, layout))
    n_read = sum(pixels is not None for pixels, _ in blocks)
    if not n_read:
        assert absent is not None
        raise absent
    known = first.matrix(y, x)
    plane, in_place = _joined(blocks, known, (y, x), step)
    if len(sources) == 1:
        return ShownPlane(plane, "intensity in the middle frame", n_read)
    which = "all tiles" if absent is None else f"{n_read} of {len(sources)} tiles"
    what = f"the field of {which}" if in_place else f"{which} side by side"
    return ShownPlane(plane, what + ", the others are absent" * (absent is not None), n_read)


def _joined(
    blocks: Sequence[tuple[NDArray[np.float32] | None, _Layout]],
    known: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    axes: tuple[int, int],
    step: int,
) -> tuple[Plane, bool]:
    """Put tiles together, and tell whether they are at their places on the sky."""
    matrix = None if known is None else known[0] * step
    if len(blocks) == 1:
        only = blocks[0][0]
        assert only is not None
        return Plane(only, matrix), True
    shapes = np.array([[-(-layout.shape[axis] // step) for axis in axes] for _, layout in blocks])
    places = _places([layout for _, layout in blocks], known, axes, step)
    size = (places + shapes).max(axis=0) if places is not None else np.array([0, 0])
    covered = float(shapes.prod(axis=1).sum()) / max(1.0, float(np.prod(size)))
    in_place = places is not None and covered >= COVERED
    if places is None or not in_place:
        places = _counted_places([layout for _, layout in blocks], places, shapes)
        size = (places + shapes).max(axis=0)
    if (size > 8 * PIXELS).any():
        raise TooLargeError(f"a mosaic of {len(blocks)} tiles is too large for one picture")
    field_ = np.full(tuple(size), np.nan, np.float32)
    for (pixels, _), (top, left) in zip(blocks, places, strict=True):
        if pixels is not None:
            part = field_[top : top + pixels.shape[0], left : left + pixels.shape[1]]
            np.copyto(part, pixels, where=np.isfinite(pixels))
    return Plane(field_, matrix), in_place


def _places(
    layouts: Sequence[_Layout],
    known: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    axes: tuple[int, int],
    step: int,
) -> NDArray[np.int64] | None:
    """Find the row and column of each tile's first pixel by its place on the sky."""
    origins = [layout.matrix(*axes) for layout in layouts]
    if known is None or None in origins or abs(np.linalg.det(known[0])) < 1e-12:
        return None
    at = np.array([own[1] - known[1] for own in origins if own is not None])
    pixels = np.linalg.solve(known[0], at.T).T[:, ::-1] / step
    if not (np.abs(pixels) < 1e6).all():
        return None
    places = np.round(pixels).astype(np.int64)
    first: NDArray[np.int64] = places - places.min(axis=0)
    return first


def _counted_places(
    layouts: Sequence[_Layout], places: NDArray[np.int64] | None, shapes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Put tiles side by side as they are counted, in the directions in which they are on the sky.

    For tiles without coordinates, and for those with more sky between them than in them.
    """
    indices = [layout.source.tile.description.indices[n] for n, layout in enumerate(layouts)]
    counted = np.array([(*index, 0)[1::-1] if isinstance(index, tuple) else (0, 0)
                        for index in indices], np.int64)  # fmt: skip
    if places is not None:
        along = ((counted - counted.mean(axis=0)) * (places - places.mean(axis=0))).sum(axis=0)
        counted *= np.where(along < 0, -1, 1)
    counted -= counted.min(axis=0)
    found: NDArray[np.int64] = counted * (shapes.max(axis=0) + GAP)
    return found


# Slits --------------------------------------------------------------------------------------


def _spectrum(layout: _Layout) -> ShownPlane:
    """Read the last two axes of the middle frame, or of the middle of all frames."""
    axes = [axis for axis, n in enumerate(layout.shape) if n > 1][-2:]
    if len(axes) < 2:
        raise DKISTVirtualError(f"an array of shape {layout.shape} has no image to show")
    pixels = _read_middle(layout, axes)
    return ShownPlane(_across(layout, axes, pixels), _words(layout, axes), 1)


def _across(layout: _Layout, axes: Sequence[int], pixels: NDArray[np.float32]) -> Plane:
    """Put wavelengths from left to right."""
    return Plane(pixels.T if layout.spectral == axes[0] else pixels)


def _words(layout: _Layout, axes: Sequence[int]) -> str:
    return (
        "the spectrum along the slit in the middle frame"
        if layout.spectral in axes
        else "the middle frame"
    )


def _read_middle(layout: _Layout, axes: Sequence[int]) -> NDArray[np.float32]:
    index: list[Any] = list(layout.middle())
    for axis in axes:
        index[axis] = slice(None)
    pixels = np.asarray(layout.array[tuple(index)])
    steps = _step(pixels.shape[0], PIXELS), _step(pixels.shape[1], PIXELS)
    return block_means(pixels, steps)


def _map_or_spectrum(
    layout: _Layout, step: int, slit: int, spectral: int, counted: Counted
) -> ShownPlane:
    """Read a map of one wavelength; or a spectrum, where a map takes many bytes."""
    pair = sorted((spectral, slit))
    index: list[Any] = list(layout.middle())
    for axis in pair:
        index[axis] = slice(None)
    try:
        middle = np.asarray(layout.array[tuple(index)])
    except FrameMissingError:
        middle = None
    wavelength = layout.shape[spectral] // 2
    if middle is not None:
        wavelength = _bright(middle if pair[0] == spectral else middle.T)
    before = counted.nbytes
    every = _step(layout.shape[step], COLUMNS)
    steps = range(0, layout.shape[step], every)
    index = list(layout.middle())
    index[spectral], index[slit] = wavelength, slice(None)

    def columns(some: range) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        index[step] = slice(some.start, some.stop, some.step)
        return layout.array.select(tuple(index)).read_marked()

    probed, gone = columns(steps[:PROBED])
    each = (counted.nbytes - before) / max(1, len(gone) - int(gone.sum()))
    if each * len(steps) > MAP_BYTES:
        if middle is None:
            raise FrameMissingError("its middle frame is absent")
        shown = block_means(
            middle, (_step(middle.shape[0], PIXELS), _step(middle.shape[1], PIXELS))
        )
        return ShownPlane(_across(layout, pair, shown), _words(layout, pair), 1)
    rest, more = columns(steps[PROBED:]) if len(steps) > PROBED else (probed[:0], gone[:0])
    absent = np.concatenate([gone, more])
    if absent.all():
        raise FrameMissingError("none of its frames is here")
    pixels = np.concatenate([probed, rest]).astype(np.float32)
    pixels[absent] = np.nan
    shrink = _step(pixels.shape[1], PIXELS)
    found = layout.matrix(slit, step)
    matrix = None if found is None else found[0] * [every, shrink]
    what = "a map of the intensity at one wavelength of the continuum"
    if absent.any():
        what += f", {int(absent.sum())} of {len(absent)} steps are absent"
    n_read = int((~absent).sum())
    return ShownPlane(Plane(block_means(pixels.T, (shrink, 1)), matrix), what, n_read)


def _bright(spectra: NDArray[Any]) -> int:
    """Choose the wavelength of a continuum: where the mean spectrum is brightest.

    Takes wavelengths along the first axis. Neighbours are averaged, ends left out.
    """
    is_there = np.isfinite(spectra)
    n = is_there.sum(axis=1)
    mean = np.where(is_there, spectra, 0).sum(axis=1) / np.maximum(n, 1)
    smooth = np.convolve(mean, np.ones(5) / 5, "same")
    edge = max(2, len(mean) // EDGE)
    inner = np.where(n > 0, smooth, -np.inf)[edge : len(mean) - edge]
    return edge + int(np.argmax(inner)) if inner.size else len(mean) // 2
