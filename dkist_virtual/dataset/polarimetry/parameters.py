"""Find the Stokes parameters of a dataset, and the frame that they are in."""

from __future__ import annotations

import warnings
from typing import Any

from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.derived.frame_columns import read_common, read_instrument
from dkist_virtual.errors import DKISTVirtualWarning, SelectionError
from dkist_virtual.science.polarimetry.frame import StokesFrame, documented_frame

__all__ = ["StokesParameters", "read_frame", "warn_of_unknown"]


class StokesParameters:
    """The Stokes parameters along an axis of a dataset, found by its WCS.

    Parameters
    ----------
    ds : Dataset

    Raises
    ------
    SelectionError
        No Stokes parameter changes along an axis of this selection.
    """

    def __init__(self, ds: Any) -> None:
        axis, letters = World(ds.wcs, ds.shape).stokes() or (None, ())
        if axis is None:
            raise SelectionError(
                "polarimetry: along no axis of this selection the Stokes parameter changes: select "
                "all that are needed, not one of them: ds.polarimetry, not ds[3].polarimetry"
            )
        self.ds = ds
        self.array_axis, self.letters = axis, letters

    def place(self, letter: str) -> int:
        """Return where a parameter is along the axis."""
        if letter not in self.letters:
            raise SelectionError(
                f"polarimetry: Stokes {letter} is needed, and this selection has "
                f"{', '.join(self.letters)}"
            )
        return self.letters.index(letter)

    def __getitem__(self, letter: str) -> Any:
        """Select a parameter: a dataset without the axis of them."""
        return self.ds[(slice(None),) * self.array_axis + (self.place(letter),)]

    def together(self, *letters: str) -> list[Any]:
        """Select several, each with what is masked in any of them masked."""
        parts = [self[letter] for letter in letters]
        masks = [part._masked for part in parts]
        if all(mask is None or mask is False for mask in masks):
            return parts
        joined: Any = None
        for part in parts:
            mask = part.mask
            if mask is not None and mask is not False:
                joined = mask if joined is None else joined | mask
        for part in parts:
            part.mask = joined
        return parts


def read_frame(ds: Any) -> StokesFrame:
    """Return the frame that the Stokes parameters of a dataset are in, and how that is known."""
    result = ds.meta.get("result")
    said = result.get("stokes_frame") if isinstance(result, dict) else None
    if isinstance(said, dict) and {"name", "known_by", "axes"} <= set(said):
        return StokesFrame(**{key: str(said[key]) for key in ("name", "known_by", "axes")})
    return documented_frame(read_instrument(ds), read_common(ds, "CALVERS"))


def warn_of_unknown(frame: StokesFrame, what: str, depends: str) -> None:
    """Warn where a result depends on a frame that is not known."""
    if not frame.is_known:
        warnings.warn(
            f"{what}: the frame of the Stokes parameters is unknown, as {frame.known_by}: "
            f"{depends}",
            DKISTVirtualWarning,
            stacklevel=4,
        )
