"""Hold what an overview says of a dataset's description, as plain values for JSON.

``dataset.asdf`` takes seconds to open, for the packages that make a WCS of it. A conversion writes
this beside the digest of the file, so that an overview needs none of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self, TypeAlias

__all__ = ["Summary", "WorldAxisText"]

WorldAxisText: TypeAlias = tuple[str, str, str]
"""Name, physical type and unit of a world axis; empty where there is none."""

_MAX_AXES: Final = 64
"""Axes of an array, or of a WCS; numpy has at most so many."""

_KINDS: Final = ("longitude", "latitude")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is said of a dataset's description; of a mosaic, of its first tile.

    Parameters
    ----------
    instrument, dataset_id, product_id : str or None
        From the inventory.
    unit : str or None
        Of the pixels.
    made_from : tuple of (str, str or None, str or None)
        Name and date of the ASDF, and the version of its format.
    shapes : tuple of tuple of int
        Of each array as it is opened, for which the description was checked.
    axis_names : tuple of str
        Of the first array's axes.
    world_axes : tuple of WorldAxisText
        In the WCS's order.
    sky_axes : dict of str to int
        Which of them are longitude and latitude, as far as there are such.
    correlation : tuple of tuple of bool
        One row for each world axis, one column for each array axis.

    Raises
    ------
    ValueError
        Something is of another type, or of another number of axes.
    """

    instrument: str | None
    dataset_id: str | None
    product_id: str | None
    unit: str | None
    made_from: tuple[str, str | None, str | None]
    shapes: tuple[tuple[int, ...], ...]
    axis_names: tuple[str, ...]
    world_axes: tuple[WorldAxisText, ...]
    sky_axes: dict[str, int]
    correlation: tuple[tuple[bool, ...], ...]

    def __post_init__(self) -> None:
        texts = (self.instrument, self.dataset_id, self.product_id, self.unit, *self.made_from)
        names = (*self.axis_names, *(text for axis in self.world_axes for text in axis))
        n = len(self.axis_names)
        n_world = len(self.world_axes)
        good = (
            all(isinstance(text, str | None) for text in texts)
            and len(self.made_from) == 3
            and isinstance(self.made_from[0], str)
            and all(isinstance(name, str) for name in names)
            and all(len(axis) == 3 for axis in self.world_axes)
            and max(n, n_world) <= _MAX_AXES
            and len(self.shapes) > 0
            and all(type(size) is int and size > 0 for shape in self.shapes for size in shape)
            and len(self.shapes[0]) == n
            and list(self.sky_axes) == sorted(self.sky_axes, key=self.sky_axes.__getitem__)
            and all(kind in _KINDS for kind in self.sky_axes)
            and all(type(i) is int and 0 <= i < n_world for i in self.sky_axes.values())
            and [len(row) for row in self.correlation] == [n] * n_world
            and all(type(cell) is bool for row in self.correlation for cell in row)
        )
        if not good:
            raise ValueError("expected the summary of a dataset")

    def to_json(self) -> dict[str, Any]:
        """Write it as values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Any) -> Self | None:
        """Read what `to_json` wrote; None for anything else, of which the ASDF says more."""
        try:
            values = {field.name: given[field.name] for field in fields(cls)}
            for name in ("made_from", "axis_names"):
                values[name] = _tuple(values[name])
            for name in ("shapes", "world_axes", "correlation"):
                values[name] = tuple(map(_tuple, _tuple(values[name])))
            values["sky_axes"] = dict(values["sky_axes"])
            return cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def _tuple(value: object) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r:.80}: expected a list")
    return tuple(value)
