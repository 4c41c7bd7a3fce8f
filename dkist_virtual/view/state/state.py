"""Describe what a page shows: one point of the data, and the pictures through it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, Self, TypeAlias

from dkist_virtual.errors import SelectionError

__all__ = ["KINDS", "Bounds", "PictureState", "Point", "ViewState", "carried"]

Point: TypeAlias = tuple[int, ...]
"""A pixel for each axis of the array."""

Bounds: TypeAlias = tuple[float, float, float, float]
"""Left, right, bottom and top, in the coordinates of a picture's axes."""

Kind: TypeAlias = Literal["data", "fraction", "doppler"]
KINDS: Final = ("data", "fraction", "doppler")
"""What a picture shows: pixels, pixels in units of the continuum, red minus blue wing."""

OWN_SHAPE: Final = 0.01
"""How much more an axis is zoomed than the other where a window has a shape of its own."""


@dataclass(frozen=True)
class PictureState:
    """One picture of a page: a plane through the point, and its look.

    Parameters
    ----------
    axes : (int, int)
        The array axes that run to the right and upwards.
    held : tuple of (int, int)
        Array axes, each with its own pixel in place of the point's: Stokes V beside I.
    lag : tuple of (int, int)
        Array axes, each with the pixels by which this picture is ahead of the point.
    dataset : int
        Which of the page's datasets.
    kind : {"data", "fraction", "doppler"}
    window : Bounds or None
        The part that is shown; None for all of it.
    limits : (float, float) or None
        The ends of the contrast; None for robust ones of each plane.
    cmap : str or None
        None for the one that fits the quantity.
    """

    axes: tuple[int, int]
    held: tuple[tuple[int, int], ...] = ()
    lag: tuple[tuple[int, int], ...] = ()
    dataset: int = 0
    kind: Kind = "data"
    window: Bounds | None = None
    limits: tuple[float, float] | None = None
    cmap: str | None = None

    def __post_init__(self) -> None:
        if len(self.axes) != 2 or self.axes[0] == self.axes[1]:
            raise SelectionError(f"axes of a picture: {self.axes}: expected two different ones")
        if self.kind not in KINDS:
            raise SelectionError(f"kind of a picture: {self.kind!r}: expected one of {KINDS}")

    def at(self, point: Point, shape: tuple[int, ...]) -> Point:
        """Return the pixel of each array axis that this picture is drawn for.

        `shape` is that of the dataset's array; a lag stops at its ends.
        """
        pixels = list(point)
        for axis, pixel in self.held:
            pixels[axis] = pixel
        for axis, by in self.lag:
            pixels[axis] = min(max(pixels[axis] + by, 0), shape[axis] - 1)
        return tuple(pixels)


@dataclass(frozen=True)
class ViewState:
    """All that a page shows.

    Parameters
    ----------
    point : Point
        The pixel of each axis of the first dataset that all panels show slices through: sliders
        move it, and so does the pointer along the axes that are drawn.
    pictures : tuple of PictureState
        The first is the main one, whose box and path are drawn.
    is_locked : bool
        Whether the point stays where it is when the pointer moves.
    pins : tuple of Point
        Pixels whose profiles are compared.
    box : Bounds or None
        Marked on the main picture, in the coordinates of its axes.
    ranges : tuple of (int, int, int)
        Array axis, first pixel, and the pixel after the last one, of the marked times, wavelengths.
    path : tuple of (float, float)
        The corners of a path, in the coordinates of the main picture's axes.
    line : float or None
        The wavelength at rest, in nm, from which velocities count.
    panels : tuple of str
        The panels that are open, by name; None for those that fit the data.
    detrended : bool
        Whether profiles are divided by the reference spectrum.
    fractions : bool
        Whether profiles are in units of the continuum of Stokes I.
    wing : float
        How far the wings of a Doppler picture are from the line, or where none is chosen from the
        wavelength of the point, in km/s.
    tile : int
        Which of a mosaic's tiles (`Source.tiles`) the point is in; 0 for other datasets.
    """

    point: Point
    pictures: tuple[PictureState, ...]
    is_locked: bool = False
    pins: tuple[Point, ...] = ()
    box: Bounds | None = None
    ranges: tuple[tuple[int, int, int], ...] = ()
    path: tuple[tuple[float, float], ...] = ()
    line: float | None = None
    panels: tuple[str, ...] | None = None
    detrended: bool = False
    fractions: bool = False
    wing: float = 5.0
    tile: int = 0

    def moved(self, axis: int, pixel: int) -> Self:
        """Return the state with another pixel of one axis."""
        return replace(self, point=(*self.point[:axis], pixel, *self.point[axis + 1 :]))

    def toggle_pin(self, pin: Point) -> Self:
        """Return the state with a pixel pinned, or unpinned if it was."""
        left = tuple(one for one in self.pins if one != pin)
        return replace(self, pins=left if len(left) < len(self.pins) else (*self.pins, pin))

    def with_picture(self, number: int, picture: PictureState) -> Self:
        """Return the state with another picture in place of one."""
        return replace(
            self, pictures=(*self.pictures[:number], picture, *self.pictures[number + 1 :])
        )

    def with_window(self, number: int, window: Bounds | None) -> Self:
        """Return the state with another window of a picture; None for all of it.

        Other pictures of the same dataset that draw the same axes move with it, so that what is
        beside each other is the same place. Pictures on other axes keep their own windows.
        """
        moved = self.pictures[number]
        pictures = (
            replace(one, window=window)
            if (one.dataset, one.axes) == (moved.dataset, moved.axes) else one
            for one in self.pictures
        )  # fmt: skip
        return replace(self, pictures=tuple(pictures))


def carried(window: Bounds | None, shown: Bounds, to: Bounds) -> Bounds:
    """Move a window as the user moved what the screen showed of it.

    A picture with equal scales shows its window and whatever has room around it. If all of that
    were its next window, pictures of different shapes that move together would show more with
    each move.

    Parameters
    ----------
    window : Bounds or None
        Of the picture that was drawn.
    shown, to : Bounds
        What the screen showed then, and what the user moved that to.
    """
    across = (to[1] - to[0]) / (shown[1] - shown[0])
    up = (to[3] - to[2]) / (shown[3] - shown[2])
    if window is None or abs(across / up - 1) > OWN_SHAPE:
        return to
    (left, right, bottom, top), (x, _, y, _) = window, shown
    return (
        to[0] + (left - x) * across, to[0] + (right - x) * across,
        to[2] + (bottom - y) * up, to[2] + (top - y) * up,
    )  # fmt: skip
