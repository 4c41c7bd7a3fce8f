"""Define `Pointing`: the corrections of a dataset's position on the Sun, as plain numbers.

A correction is an affine map of (Tx, Ty), which may differ from frame to frame: it scales about a
centre, rotates about it counter-clockwise, with north up and Tx to the right, and shifts. Several
corrections follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import numpy as np

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from astropy.units import Quantity
    from numpy.typing import NDArray

    from dkist_virtual.cube.selection import Selection

__all__ = ["Correction", "Numbers", "Pointing"]

Numbers: TypeAlias = "NDArray[np.floating[Any]]"

_VERSION: Final = 1
_LEAST: Final = 1e-3
_MOST_NUMBERS: Final = 2**24


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Correction:
    """One correction: scale, then rotate, then shift.

    Arrays have an axis for each axis of the data, of one entry where all of its pixels have the
    same. Between the pixels of an axis values are interpolated, beyond the first and the last they
    stay.

    Parameters
    ----------
    at : tuple of range
        The pixels along each axis of the data for which arrays have values.
    dx, dy : array of float
        Added to Tx and Ty, in arcsec.
    rotation : array of float, optional
        Degrees, counter-clockwise with north up and Tx to the right.
    scale : array of float of shape (..., 2), optional
        Factors of the distances from the centre along the two directions `along`.
    along : array of float of shape (2, 2), optional
        The directions of the two factors on the sky, as unit vectors (Tx, Ty): those of the axes of
        the array, the last first. By default Tx and Ty.
    matrix : array of float of shape (..., 2, 2), optional
        In place of rotation and scale: multiplies (Tx, Ty), as seen from the centre.
    center : array of float of shape (2,), optional
        (Tx, Ty) in arcsec; required by rotation, scale and matrix.
    source : str
        Where the values are from, in words; empty where they were given.

    Raises
    ------
    DatasetError
        Arrays of other shapes, or numbers that are not finite.
    """

    at: tuple[range, ...]
    dx: Numbers
    dy: Numbers
    rotation: Numbers | None = None
    scale: Numbers | None = None
    along: Numbers | None = None
    matrix: Numbers | None = None
    center: Numbers | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for name, after in _ARRAYS.items():
            given = getattr(self, name)
            if given is None:
                continue
            array = np.array(given, float)
            for axis in range(array.ndim - len(after)):
                if array.shape[axis] > 1 and (array == array.take([0], axis)).all():
                    array = array.take([0], axis)  # the same along it
            array.flags.writeable = False
            object.__setattr__(self, name, array)
            own = name in ("along", "center")
            lead = array.shape[: array.ndim - len(after)]
            fits = not lead if own else len(lead) == len(self.at)
            fits = fits and array.shape[array.ndim - len(after) :] == after
            fits = fits and all(n in (1, len(a)) for n, a in zip(lead, self.at, strict=False))
            if not fits or not np.isfinite(array).all():
                raise DatasetError(
                    f"pointing: {name} of shape {array.shape}: expected finite numbers for "
                    f"{tuple(map(len, self.at))} pixels, one along axes where they are the same"
                )
        if self.center is None and not self.is_shift:
            raise DatasetError("pointing: rotation and scale need a centre: center=")
        matrix = self.linear
        if matrix is not None and (np.abs(np.linalg.det(matrix)) < _LEAST**2).any():
            raise DatasetError(
                "pointing: a scale of 0, or two directions of it that are the same: no position "
                "could be told from another"
            )

    @property
    def is_shift(self) -> bool:
        """Whether it shifts alone."""
        return self.rotation is None and self.scale is None and self.matrix is None

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of the data along which it varies."""
        arrays = (self.dx, self.dy, self.rotation, self.scale, self.matrix)
        n = len(self.at)
        shapes = [array.shape[:n] for array in arrays if array is not None]
        return tuple(axis for axis in range(n) if any(shape[axis] > 1 for shape in shapes))

    @property
    def shift(self) -> Numbers:
        """The shift (dx, dy), of shape (..., 2)."""
        return np.stack(np.broadcast_arrays(self.dx, self.dy), axis=-1)

    @property
    def linear(self) -> Numbers | None:
        """The matrix that multiplies (Tx, Ty) as seen from the centre; None for a shift alone."""
        if self.matrix is not None:
            return self.matrix
        if self.is_shift:
            return None
        made: Numbers = np.eye(2)
        if self.scale is not None:
            along = np.eye(2) if self.along is None else self.along.T
            made = along @ (self.scale[..., :, None] * np.linalg.inv(along))
        if self.rotation is not None:
            made = _turned(self.rotation) @ made
        return np.asarray(made, float)

    def sampled(self, positions: Sequence[Numbers | float]) -> Correction:
        """Return it in the axes of data that has its pixels at some positions.

        Parameters
        ----------
        positions : sequence of array or float
            Along each axis of this one: an array for one that the data has, in order; a number
            where it was dropped.
        """
        n = len(self.at)
        lengths = [len(p) for p in positions if isinstance(p, np.ndarray)]

        def part(array: Numbers | None) -> Any:
            if array is None:
                return None
            varies = [axis for axis in range(n) if array.shape[axis] > 1]
            kept = [axis for axis in range(n) if isinstance(positions[axis], np.ndarray)]
            grid = np.meshgrid(*(np.atleast_1d(positions[axis]) for axis in varies), indexing="ij")
            pixels: list[Numbers | None] = [None] * n
            for axis, along in zip(varies, grid, strict=True):
                pixels[axis] = along
            found = self.values_at(array, pixels)
            size = {axis: np.size(positions[axis]) for axis in varies}
            lead = tuple(size.get(axis, 1) for axis in kept)
            return found.reshape(lead + array.shape[n:])

        return replace(
            self, at=tuple(map(range, lengths)), dx=part(self.dx), dy=part(self.dy),
            rotation=part(self.rotation), scale=part(self.scale), matrix=part(self.matrix),
        )  # fmt: skip

    def placed(self, cut: Selection) -> Correction:
        """Return it in the axes of the data of which `cut` selects those that it has."""
        n, kept = len(cut.axes), cut.kept

        def whole(array: Numbers | None) -> Any:
            if array is None:
                return None
            own, after = array.shape[: len(self.at)], array.shape[len(self.at) :]
            lead = [1] * n
            for axis, size in zip(kept, own, strict=True):
                lead[axis] = size
            return array.reshape((*lead, *after))

        at = tuple(
            range(pixels, pixels + 1) if isinstance(pixels, int) else pixels for pixels in cut.axes
        )
        return replace(
            self, at=at, dx=whole(self.dx), dy=whole(self.dy), rotation=whole(self.rotation),
            scale=whole(self.scale), matrix=whole(self.matrix),
        )  # fmt: skip

    def values_at(self, array: Numbers, pixels: Sequence[Numbers | None]) -> Numbers:
        """Interpolate an array of it at pixel positions, given for each axis along which it varies.

        Returns an array of the shape of the positions, with the array's own axes behind the data's
        after it.
        """
        n = len(self.at)
        axes = [axis for axis in range(n) if array.shape[axis] > 1]
        after = array.shape[n:]
        table = array.reshape(tuple(array.shape[axis] for axis in axes) + after)
        if not axes:
            return table
        places = []
        for axis in axes:
            at, position = self.at[axis], pixels[axis]
            assert position is not None
            place = (np.nan_to_num(np.asarray(position, float)) - at.start) / at.step
            places.append(np.clip(place, 0, len(at) - 1))
        places = list(np.broadcast_arrays(*places))
        low = [np.floor(place).astype(np.int64) for place in places]
        found = np.asarray(table[tuple(low)])
        away = [place - below for place, below in zip(places, low, strict=True)]
        if not any(part.any() for part in away):
            return found
        made = np.zeros_like(found)
        for corner in np.ndindex(*(2,) * len(axes)):
            weight = np.ones(places[0].shape)
            entry = []
            for high, below, part, axis in zip(corner, low, away, axes, strict=True):
                weight = weight * (part if high else 1 - part)
                entry.append(np.minimum(below + high, len(self.at[axis]) - 1))
            made += weight.reshape(weight.shape + (1,) * len(after)) * table[tuple(entry)]
        return made

    def displacement(
        self, tx: Numbers | None, ty: Numbers | None, pixels: Sequence[Numbers | None]
    ) -> tuple[Numbers, Numbers]:
        """Compute what is added to Tx and Ty, in arcsec, at pixels with these coordinates.

        The coordinates are only needed by what is not a shift.
        """
        dx, dy = self.values_at(self.dx, pixels), self.values_at(self.dy, pixels)
        linear = self.linear
        if linear is None:
            return dx, dy
        assert self.center is not None
        assert tx is not None
        assert ty is not None
        more = self.values_at(linear, pixels) - np.eye(2)
        x, y = tx - self.center[0], ty - self.center[1]
        return (
            more[..., 0, 0] * x + more[..., 0, 1] * y + dx,
            more[..., 1, 0] * x + more[..., 1, 1] * y + dy,
        )

    def undone(
        self, tx: Numbers, ty: Numbers, pixels: Sequence[Numbers | None]
    ) -> tuple[Numbers, Numbers]:
        """Compute the (Tx, Ty) that it makes these of, in arcsec."""
        x, y = tx - self.values_at(self.dx, pixels), ty - self.values_at(self.dy, pixels)
        linear = self.linear
        if linear is None:
            return x, y
        assert self.center is not None
        inverse = np.linalg.inv(self.values_at(linear, pixels))
        x, y = x - self.center[0], y - self.center[1]
        return (
            inverse[..., 0, 0] * x + inverse[..., 0, 1] * y + self.center[0],
            inverse[..., 1, 0] * x + inverse[..., 1, 1] * y + self.center[1],
        )

    def __str__(self) -> str:
        parts = []
        if self.matrix is not None:
            parts.append(f"matrix about {_place(self.center)}")
        if self.scale is not None:
            one = np.array_equal(self.scale[..., 0], self.scale[..., 1])
            factors = [self.scale[..., 0]] if one else [self.scale[..., 0], self.scale[..., 1]]
            said = " and ".join(_span(factor, "", "") for factor in factors)
            parts.append(f"scale {said} about {_place(self.center)}")
        if self.rotation is not None:
            about = "" if self.scale is not None else f" about {_place(self.center)}"
            parts.append(f"rotation {_span(self.rotation, 'deg')}{about}")
        if not parts or self.dx.any() or self.dy.any():
            parts.append(f"dx {_span(self.dx)}, dy {_span(self.dy)}")
        return ", ".join(parts) + (f" ({self.source})" if self.source else "")

    def __repr__(self) -> str:
        return f"<Correction {self}>"

    def to_document(self) -> dict[str, Any]:
        """Write it as values for JSON."""
        made: dict[str, Any] = {"pixels": [[a.start, a.stop, a.step] for a in self.at]}
        for name in _ARRAYS:
            array = getattr(self, name)
            if array is not None:
                made[name] = array.tolist()
        return {**made, "source": self.source}

    @classmethod
    def from_document(cls, given: Any) -> Self:
        """Read what `to_document` wrote."""
        try:
            ends = [tuple(map(int, one)) for one in given["pixels"]]
            at = tuple(range(*one) for one in ends if len(one) == 3 and one[2] > 0)
            arrays = {
                name: np.asarray(given[name], float)
                for name in _ARRAYS
                if given.get(name) is not None
            }
            good = len(at) == len(ends) and isinstance(given.get("source", ""), str)
            good = good and set(given) <= {"pixels", "source", *_ARRAYS}
            good = good and sum(array.size for array in arrays.values()) <= _MOST_NUMBERS
            if not good or not all(len(a) for a in at):
                raise ValueError("other keys or pixels")
            return cls(at=at, source=given.get("source", ""), **arrays)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise DatasetError(f"pointing: not a correction of it: {error}") from error


_ARRAYS: Final[dict[str, tuple[int, ...]]] = {
    "dx": (), "dy": (), "rotation": (), "scale": (2,), "along": (2, 2), "matrix": (2, 2),
    "center": (2,),
}  # fmt: skip
"""The arrays of a correction, and their axes behind those of the data."""


def _turned(degrees: Numbers) -> Numbers:
    """Make matrices that turn (Tx, Ty) counter-clockwise."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _span(values: Numbers, unit: str = "arcsec", sign: str = "+") -> str:
    # Without what is rounding, and no minus before a zero.
    low, high = (round(float(value), 9) + 0.0 for value in (values.min(), values.max()))
    said = [f"{value:{sign}.6g}" for value in ((low,) if low == high else (low, high))]
    return f"{' to '.join(said)} {unit}".rstrip()


def _place(center: Numbers | None) -> str:
    assert center is not None
    return f"(Tx, Ty) = ({center[0]:.2f}, {center[1]:.2f}) arcsec"


@dataclass(frozen=True, eq=False)
class Pointing:
    """The corrections of a dataset's pointing, in the order in which they are applied.

    Parameters
    ----------
    corrections : tuple of Correction
        At least one; each in the axes of the data.
    """

    corrections: tuple[Correction, ...]

    def __post_init__(self) -> None:
        if not self.corrections or len({len(one.at) for one in self.corrections}) > 1:
            raise DatasetError("pointing: expected corrections of the same axes, at least one")

    def __len__(self) -> int:
        return len(self.corrections)

    def __iter__(self) -> Iterator[Correction]:
        return iter(self.corrections)

    def __getitem__(self, number: int) -> Correction:
        return self.corrections[number]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pointing):
            return NotImplemented
        return self.to_document() == other.to_document()

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def dx(self) -> Quantity:
        """The sum of the shifts in Tx, +west: one value, or an array over the axes of the data."""
        return self._sum("dx", "arcsec")

    @property
    def dy(self) -> Quantity:
        """The sum of the shifts in Ty, +north, as `dx`."""
        return self._sum("dy", "arcsec")

    @property
    def rotation(self) -> Quantity:
        """The sum of the rotations, counter-clockwise with north up and Tx to the right."""
        return self._sum("rotation", "deg")

    @property
    def center(self) -> Quantity | None:
        """The centre (Tx, Ty) of the last rotation or scale; None where there are shifts alone."""
        import astropy.units as u

        found = [one.center for one in self.corrections if one.center is not None]
        return u.Quantity(found[-1], u.arcsec) if found else None

    def _sum(self, name: str, unit: str) -> Quantity:
        import astropy.units as u

        given = [getattr(one, name) for one in self.corrections]
        total = sum((array for array in given if array is not None), np.zeros(()))
        return u.Quantity(total.reshape(()) if total.size == 1 else total, unit)

    @cached_property
    def axes(self) -> tuple[int, ...]:
        """The axes of the data along which a correction varies."""
        return tuple(sorted({axis for one in self.corrections for axis in one.axes}))

    @property
    def is_shift(self) -> bool:
        """Whether there are shifts alone."""
        return all(one.is_shift for one in self.corrections)

    def then(self, *corrections: Correction) -> Pointing:
        """Return it followed by further corrections."""
        return Pointing((*self.corrections, *corrections))

    def select(self, cut: Selection) -> Pointing:
        """Return it in the axes of a selection of the data."""
        return self.sampled(
            [float(pixels) if isinstance(pixels, int) else np.asarray(pixels, float)
             for pixels in cut.axes]
        )  # fmt: skip

    def sampled(self, positions: Sequence[Numbers | float]) -> Pointing:
        """Return it in the axes of data with its pixels at positions, see `Correction.sampled`."""
        return Pointing(tuple(one.sampled(positions) for one in self.corrections))

    def displacement(
        self, tx: Numbers | None, ty: Numbers | None, pixels: Sequence[Numbers | None]
    ) -> tuple[Numbers, Numbers]:
        """Compute what is added to Tx and Ty in total, in arcsec.

        Parameters
        ----------
        tx, ty : array of float or None
            Coordinates without a correction, in arcsec; None is enough for shifts.
        pixels : sequence of array or None
            Positions along each axis of the data; None where no correction varies.
        """
        first, *others = self.corrections
        dx, dy = first.displacement(tx, ty, pixels)
        for one in others:
            more = one.displacement(
                None if tx is None else tx + dx, None if ty is None else ty + dy, pixels
            )
            dx, dy = dx + more[0], dy + more[1]
        return dx, dy

    def undone(
        self, tx: Numbers, ty: Numbers, pixels: Sequence[Numbers | None]
    ) -> tuple[Numbers, Numbers]:
        """Compute the coordinates without a correction from those with it, in arcsec."""
        for one in reversed(self.corrections):
            tx, ty = one.undone(tx, ty, pixels)
        return tx, ty

    def lines(self) -> tuple[str, ...]:
        """Describe each correction in a line."""
        return tuple(map(str, self.corrections))

    def __str__(self) -> str:
        return "; then ".join(self.lines())

    def __repr__(self) -> str:
        return f"<Pointing {self}>"

    def to_document(self) -> dict[str, Any]:
        """Write it as values for JSON, which `from_document` reads."""
        made = [one.to_document() for one in self.corrections]
        return {"version": _VERSION, "corrections": made}

    @classmethod
    def from_document(cls, given: Any, shape: Sequence[int] | None = None) -> Self:
        """Read what `to_document` wrote, of data with the axes of a shape.

        Raises
        ------
        DatasetError
            Something else, or what a newer version wrote.
        """
        if not isinstance(given, Mapping) or not isinstance(given.get("corrections"), list):
            raise DatasetError("pointing: expected a list of corrections")
        if given.get("version") != _VERSION:
            raise DatasetError(
                f"pointing: expected version {_VERSION}, found {given.get('version')!r}: a newer "
                "dkist_virtual reads it"
            )
        found = cls(tuple(Correction.from_document(one) for one in given["corrections"]))
        if shape is not None and any(len(one.at) != len(shape) for one in found):
            raise DatasetError(f"pointing: expected corrections of {len(shape)} axes")
        return found
