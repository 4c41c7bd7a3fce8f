"""Write what is known of a pixel of a picture: its value, and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sunpy.coordinates import Helioprojective

from dkist_virtual.view.axes import coordinate_text
from dkist_virtual.view.pictures.geometry import drawn_unit

if TYPE_CHECKING:
    from dkist_virtual.cube.world_axes import WorldAxis
    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.pictures.render import Drawn

__all__ = ["read_out"]


def read_out(
    drawn: Drawn, tile: int, column: int, row: int, value: float | None, away: str = ""
) -> str:
    """Write the value of a pixel, its index, and its coordinates.

    Parameters
    ----------
    drawn : Drawn
        The picture.
    tile, column, row : int
        The pixel.
    value : float or None
        None for that of the point, whose value is not read.
    away : str
        How far it is from the point; empty for nothing.
    """
    request = drawn.request
    subject, layers = request.source.subjects[tile], request.layers
    point = list(layers.points[0])
    for axis, pixel in zip(request.picture.axes, (column, row), strict=True):
        point[axis] = pixel
    values = subject.world.values(*map(float, point))
    coordinates = [
        _coordinate(subject, axis, float(one))
        for axis, one in zip(subject.world.axes, values, strict=True)
        # Those of one of the planes that others are computed from would mislead.
        if layers.combine is None or axis.kind not in ("wavelength", "time")
    ]
    said = "point"
    if value is not None:
        name, _, _ = layers.label.partition("\n")
        is_data = request.picture.kind == "data"
        said = f"{value:.6g} {subject.unit}".rstrip() if is_data else f"{name} = {value:.6g}"
    # As an index of Python has them.
    pixels = ", ".join(str(point[axis]) for axis in sorted(request.picture.axes))
    where = f"pixel [{pixels}]" + f" of tile {tile}" * (len(drawn.tiles) > 1)
    far = [f"{away} from the point"] if away else []
    parts = [said, *far, where, *coordinates]
    return " \N{MIDDLE DOT} ".join(parts).replace("\\$", "$")


def _coordinate(subject: Subject, axis: WorldAxis, value: float) -> str:
    """Write a coordinate with its name where its unit does not tell which it is."""
    if axis.kind in ("longitude", "latitude"):
        unit, scale = drawn_unit(subject, axis.unit)
        value = float(subject.world.wrap_as_frame(axis, np.asarray(value))) * scale
        short = ("Tx", "Ty") if isinstance(subject.world.frame, Helioprojective) else ("lon", "lat")
        mark = "\N{DOUBLE PRIME}" if unit == "arcsec" else f" {unit}"
        return f"{short[axis.kind == 'latitude']} {value:.2f}{mark}"
    # The day is below the strip of times, and the room is for two lines.
    text = coordinate_text(subject.world, axis, value, has_day=False)
    return f"Stokes {text}" if axis.kind == "stokes" else text
