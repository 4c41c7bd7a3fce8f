"""Average the spectrum of the field of a page: all of it, or the box that was drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dkist_virtual.plot.planes import labels_of
from dkist_virtual.view.pictures.geometry import geometry_of
from dkist_virtual.view.reading.kept import Readers
from dkist_virtual.view.reading.profiles import along_axis
from dkist_virtual.view.reading.reference import ReferenceReader, intensity_pixel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dkist_virtual.view.reading.reference import Reference
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import ViewState

__all__ = ["MeanSpectra", "field_of"]

NO_WAVELENGTHS: Final = "the data have no wavelengths"
NO_INTENSITY: Final = "Stokes I is not in the data"


class MeanSpectra:
    """The mean spectra of a dataset's tiles, which all panels of a page share.

    Parameters
    ----------
    source : Source

    Attributes
    ----------
    along, stokes : int or None
        The array axes of profiles and of Stokes parameters.
    intensity : int
        The pixel of Stokes I; 0 where it is not among them.
    lacks : str
        The reason why a mean spectrum cannot be made; empty where it can.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        subject = source.subject
        self.along, self.stokes = along_axis(subject)
        index = labels_of(subject.world, (self.along,))[self.along]
        kind = "other" if index is None else subject.world.axes[index].kind
        found = intensity_pixel(subject)
        self.intensity = found or 0
        # Also where several pixels have one wavelength, which are counted then.
        self.lacks = (
            NO_WAVELENGTHS if kind != "wavelength" else NO_INTENSITY if found is None else ""
        )
        self._readers = Readers(self._make)

    def _make(self, tile: int) -> ReferenceReader:
        source, roles = self._source, self._source.roles
        sky = roles.sky or tuple(axis for axis in roles.frame if axis != self.along)
        return ReferenceReader(source.subjects[tile], self.along, self.stokes, sky, roles.time)

    def key(self, state: ViewState) -> object:
        """Return what the mean spectrum of a state depends on."""
        roles = self._source.roles
        own = {self.along, self.stokes, roles.time, *(roles.sky or roles.frame)}
        others = tuple(p for axis, p in enumerate(state.point) if axis not in own)
        return state.tile, others, state.box, state.pictures[:1] if state.box else None

    def steps(self, state: ViewState) -> Iterator[Reference]:
        """Average the spectrum of a state's field; yield it after each batch of frames."""
        reader = self._readers.of(state.tile)
        yield from reader.steps(state.point, field_of(self._source, state))

    def forget_absent(self) -> None:
        """Average again where frames were absent."""
        self._readers.forget_absent()


def field_of(source: Source, state: ViewState) -> dict[int, range]:
    """Find the pixels that the box has, along the axes of the main picture.

    They are those of a rectangle around it, where the picture is turned against the pixels.
    """
    if state.box is None or not state.pictures:
        return {}
    axes = state.pictures[0].axes
    geometry = geometry_of(source.subjects[state.tile], axes, [float(p) for p in state.point])
    left, right, bottom, top = state.box
    x, y = np.array([left, right, left, right]), np.array([bottom, bottom, top, top])
    field = {}
    for axis, places in zip(axes, geometry.pixels(x, y), strict=True):
        n = source.shape[axis]
        first = min(max(int(np.ceil(places.min() - 0.5)), 0), n - 1)
        last = min(max(int(np.floor(places.max() + 0.5)), first), n - 1)
        field[axis] = range(first, last + 1)
    return field
