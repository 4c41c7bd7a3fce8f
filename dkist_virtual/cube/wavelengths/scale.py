"""Define `WavelengthScale`: the wavelength of each pixel along an axis, as plain numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias, get_args

import numpy as np

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from astropy.units import Quantity
    from numpy.typing import NDArray

    from dkist_virtual.cube.selection import Selection

__all__ = ["Frame", "Medium", "Method", "WavelengthScale"]

Frame: TypeAlias = Literal["observer", "sun"]
Medium: TypeAlias = Literal["air", "vacuum"]
Method: TypeAlias = Literal["values", "headers", "atlas"]

_VERSION: Final = 1
_MOST_NUMBERS: Final = 2**20
_SAME_PIXEL: Final = 1e-6


@dataclass(frozen=True, eq=False, kw_only=True)
class WavelengthScale:
    """The wavelength of each pixel along one axis of a dataset.

    Between pixels wavelengths are interpolated, and beyond the ends they go on as between the last
    two pixels.

    Parameters
    ----------
    axis : int
        The axis of the data.
    pixels : array of float, shape (n,)
        Positions along it, ascending; whole numbers, unless the data was binned.
    values : array of float, shape (n,)
        The wavelengths of these, in `unit`. They may be uneven, and in any order.
    unit : str
        A length.
    medium : {"air", "vacuum"}, optional
        In which the wavelengths are; None where nobody says.
    frame : {"observer", "sun"}
        ``"observer"``: as the telescope measured them. The motion of the observer relative to the
        Sun (OBS_VR) is still in the positions of solar lines, and telluric lines are where they
        are on Earth. ``"sun"``: that motion is taken out already, and must not be subtracted again.
    method : {"values", "headers", "atlas"}
        How it was found: given as values, by the headers of the frames, or by a fit to an atlas.
    source : str
        Where it is from, in words.
    fit : mapping of str to text or number
        What the fit to an atlas found, and what it was given.

    Raises
    ------
    DatasetError
        Arrays of other shapes, or numbers that are not finite or not positive.
    """

    axis: int
    pixels: NDArray[np.float64]
    values: NDArray[np.float64]
    unit: str = "nm"
    medium: Medium | None = None
    frame: Frame = "observer"
    method: Method = "values"
    source: str = ""
    fit: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("pixels", "values"):
            array = np.array(getattr(self, name), np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        pixels, values = self.pixels, self.values
        good = pixels.ndim == 1 and pixels.shape == values.shape and pixels.size > 0
        good = good and bool(np.isfinite(pixels).all() and (np.diff(pixels) > 0).all())
        if not good or self.axis < 0:
            raise DatasetError(
                f"wavelength scale: {values.shape} values at {pixels.shape} pixels of axis "
                f"{self.axis}: expected one for each pixel, in ascending order of the pixels"
            )
        if not (np.isfinite(values) & (values > 0)).all():
            wrong = int(np.count_nonzero(~(np.isfinite(values) & (values > 0))))
            raise DatasetError(
                f"wavelength scale: {wrong} of {values.size} wavelengths are not positive numbers: "
                "expected one for each pixel"
            )
        chosen: dict[str, tuple[str, Any]] = {
            "frame": (self.frame, Frame), "method": (self.method, Method)
        }  # fmt: skip
        if self.medium is not None:
            chosen["medium"] = self.medium, Medium
        for name, (value, among) in chosen.items():
            if value not in get_args(among):
                raise DatasetError(
                    f"wavelength scale: {name}={value!r}: expected "
                    f"{' or '.join(map(repr, get_args(among)))}"
                )
        object.__setattr__(self, "fit", json.loads(json.dumps(dict(self.fit))))

    @property
    def wavelengths(self) -> Quantity:
        """The wavelengths of the pixels, in their order."""
        import astropy.units as u

        return u.Quantity(self.values, self.unit)

    @property
    def is_monotonic(self) -> bool:
        """Whether the wavelengths ascend or descend along the axis."""
        steps = np.diff(self.values)
        return bool((steps > 0).all() or (steps < 0).all())

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WavelengthScale):
            return NotImplemented
        return self.to_document() == other.to_document()

    def __hash__(self) -> int:
        return hash((self.axis, len(self), float(self.values[0]), self.frame, self.method))

    def __str__(self) -> str:
        first, last = self.values[0], self.values[-1]
        said = f"{first:.5f} to {last:.5f} {self.unit}"
        if self.medium is not None:
            said += f" in {'air' if self.medium == 'air' else 'vacuum'}"
        whose = "the observer's" if self.frame == "observer" else "the Sun's"
        said += f", in {whose} frame"
        return said + (f" ({self.source})" if self.source else "")

    def __repr__(self) -> str:
        return f"<WavelengthScale {self}>"

    # Values -----------------------------------------------------------------------------------

    def at(self, positions: Any) -> NDArray[np.float64]:
        """Compute the wavelengths, in `unit`, at pixel positions along the axis.

        Parameters
        ----------
        positions : array of float
            In pixels; NaN gives NaN.

        Returns
        -------
        array of float
            Of the same shape.
        """
        given = np.asarray(positions, np.float64)
        if len(self) == 1:
            return np.where(np.isnan(given), np.nan, self.values[0])
        pixels = self.pixels
        low = np.clip(np.searchsorted(pixels, given, side="right") - 1, 0, len(self) - 2)
        part = (given - pixels[low]) / (pixels[low + 1] - pixels[low])
        found: NDArray[np.float64] = self.values[low] * (1 - part) + self.values[low + 1] * part
        return found

    def pixel_of(self, wavelengths: Any) -> NDArray[np.float64]:
        """Find the pixel positions of wavelengths, given in `unit`.

        Where wavelengths do not ascend or descend, the first pixel that has one is found, or else
        a place between the first two neighbours that it lies between; NaN where there is none.
        """
        given = np.asarray(wavelengths, np.float64)
        if len(self) == 1:
            return np.where(np.isnan(given), np.nan, self.pixels[0])
        if not self.is_monotonic:
            return self._searched(given)
        values, pixels = self.values, self.pixels
        if values[0] > values[-1]:
            values, pixels = values[::-1], pixels[::-1]
        low = np.clip(np.searchsorted(values, given, side="right") - 1, 0, len(self) - 2)
        part = (given - values[low]) / (values[low + 1] - values[low])
        found: NDArray[np.float64] = pixels[low] * (1 - part) + pixels[low + 1] * part
        return found

    def _searched(self, given: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = given.reshape(-1, 1)
        low, high = self.values[:-1], self.values[1:]
        near = np.abs(self.values - flat) <= _SAME_PIXEL * np.abs(np.diff(self.values)).max()
        first = np.argmax(near, axis=1)
        inside = ((low <= flat) & (flat <= high)) | ((high <= flat) & (flat <= low))
        segment = np.argmax(inside, axis=1)
        span = high[segment] - low[segment]
        part = (flat[:, 0] - low[segment]) / np.where(span == 0, 1, span)
        between = self.pixels[segment] * (1 - part) + self.pixels[segment + 1] * part
        between = np.where(inside.any(axis=1), between, np.nan)
        return np.where(near.any(axis=1), self.pixels[first], between).reshape(given.shape)

    # Of parts of the data ---------------------------------------------------------------------

    def sampled(
        self, positions: Sequence[NDArray[np.floating[Any]] | float]
    ) -> WavelengthScale | None:
        """Return it in the axes of data that has its pixels at some positions.

        Parameters
        ----------
        positions : sequence of array or float
            Along each axis of this data: an array for an axis that the other data has, in order; a
            number where that was dropped.

        Returns
        -------
        WavelengthScale or None
            None where the axis of wavelengths was dropped.
        """
        own = positions[self.axis]
        if not isinstance(own, np.ndarray):
            return None
        before = [one for one in positions[: self.axis] if isinstance(one, np.ndarray)]
        return replace(
            self, axis=len(before), pixels=np.arange(len(own), dtype=float), values=self.at(own)
        )

    def select(self, cut: Selection) -> WavelengthScale | None:
        """Return it in the axes of a selection of the data; None where its axis was dropped."""
        return self.sampled(
            [float(pixels) if isinstance(pixels, int) else np.asarray(pixels, float)
             for pixels in cut.axes]
        )  # fmt: skip

    def placed(self, cut: Selection) -> WavelengthScale:
        """Return it in the axes of the data of which `cut` selects those that it has."""
        axis = cut.kept[self.axis]
        pixels = np.asarray(cut.axes[axis], float)
        order = np.argsort(pixels)  # a selection may be reversed
        return replace(self, axis=axis, pixels=pixels[order], values=self.values[order])

    # As JSON ----------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """Say what it is without its values, as values for JSON."""
        return {
            "method": self.method, "frame": self.frame, "medium": self.medium,
            "source": self.source, "fit": dict(self.fit),
        }  # fmt: skip

    def to_document(self) -> dict[str, Any]:
        """Write it as values for JSON, which `from_document` reads."""
        return {
            "version": _VERSION, "axis": self.axis, "pixels": self.pixels.tolist(),
            "values": self.values.tolist(), "unit": self.unit, **self.about(),
        }  # fmt: skip

    @classmethod
    def from_document(cls, given: Any, shape: Sequence[int] | None = None) -> Self:
        """Read what `to_document` wrote, of data of a shape.

        Raises
        ------
        DatasetError
            Something else, or what a newer version wrote.
        """
        if not isinstance(given, Mapping):
            raise DatasetError("wavelength scale: expected an object")
        if given.get("version") != _VERSION:
            raise DatasetError(
                f"wavelength scale: expected version {_VERSION}, found {given.get('version')!r}: a "
                "newer dkist_virtual reads it"
            )
        try:
            known = {key: given[key] for key in given if key != "version"}
            if not all(isinstance(known.get(key, ""), str) for key in ("unit", "source")):
                raise TypeError("unit and source: expected text")
            if max(len(known["pixels"]), len(known["values"])) > _MOST_NUMBERS:
                raise ValueError(f"more than {_MOST_NUMBERS} values")
            known["pixels"] = np.asarray(known["pixels"], float)
            known["values"] = np.asarray(known["values"], float)
            known["axis"] = int(known["axis"])
            found = cls(**known)
            found.wavelengths.to("m")
        except DatasetError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(f"wavelength scale: not one: {error!s:.200}") from error
        if shape is not None and not found.axis < len(shape):
            raise DatasetError(f"wavelength scale: of axis {found.axis} of {len(shape)} axes")
        return found
