"""Say in the root attributes of a cube what its arrays are, and what they were computed from.

The attributes are plain JSON under one key. Everything in them is checked when it is read: a cube
may come from a stranger.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.io.locations import shown
from dkist_virtual.store.cubes.presence import ROOT_NAME
from dkist_virtual.store.format.limits import MAX_TILES
from dkist_virtual.store.format.names import HEADERS_NAME, METADATA_NAME, Place, array_name

__all__ = [
    "ADDED_NAME", "CUBE_KEY", "FRAMES_NAME", "LINEAGE_NAME", "CubeArray", "CubeDocument",
    "CubePart", "Spread", "known_names",
]  # fmt: skip

CUBE_KEY: Final = "dkist_virtual_cube"
"""The key of our attributes in the root's ``zarr.json``."""

CUBE_VERSION: Final = 1

FRAMES_NAME: Final = "frames.json"
"""The name of the references to the frames that a cube was computed from."""
LINEAGE_NAME: Final = "lineage.asdf"
"""The name of what describes the other datasets that were combined into a cube."""
ADDED_NAME: Final = "added.asdf"
"""The name of what a user had added: coordinates, and the point spread function."""

_SPREADS: Final = ("std", "var", "ivar", "unknown")
"""astropy's types of uncertainties."""

_PART: Final = re.compile(r"part_[0-9]{1,6}")
_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Spread:
    """The uncertainty of an array of pixels.

    Parameters
    ----------
    type : {"std", "var", "ivar", "unknown"}
        As astropy calls it.
    unit : str or None
        None where it follows from the unit of the pixels.
    """

    type: str
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.type not in _SPREADS or not isinstance(self.unit, str | None):
            raise ValueError(
                f"an uncertainty of type {self.type!r:.40}: expected one of {_SPREADS}"
            )


@dataclass(frozen=True, slots=True)
class CubePart:
    """One more dataset that was combined into an array of pixels.

    Parameters
    ----------
    name : str
        Of its description in ``lineage.asdf``, and of its frames where it has such.
    unit : str or None
        Of its pixels.
    frames : bool
        Whether its pixels are of one frame each, so that it has a header table.
    """

    name: str
    unit: str | None
    frames: bool

    def __post_init__(self) -> None:
        fine = isinstance(self.name, str) and _PART.fullmatch(self.name) is not None
        if not fine or not isinstance(self.unit, str | None) or type(self.frames) is not bool:
            raise ValueError(f"a part called {self.name!r:.40}: expected part_ and a number")


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeArray:
    """What belongs to one array of pixels.

    Parameters
    ----------
    index : Place
        The place of the tile in the grid of a mosaic; None for the only array.
    source : str
        What the pixels were computed from, in words.
    past : str or None
        See `dkist_virtual.dataset.derived.lineage.Lineage`.
    is_copy : bool
        Whether the pixels are those of frames, unchanged.
    operations : str
        Which functions were called, as far as they are known.
    frame_axes : int or None
        How many axes, the first ones, run over frames; None where a pixel is not of one frame.
    header_rows : int
        Rows of ``headers.parquet`` where it has no frames: a table that was given.
    mask : bool or None
        Of all pixels; None where there is none, or where there is an array of it.
    mask_array : bool
        Whether there is an array of the mask.
    uncertainty : Spread or None
    parts : tuple of CubePart
        What was combined, beside the first.
    added_meta, added_keywords : tuple of str
        Keys of the meta, and columns of the header table, that the user had added.
    pointing : tuple of dict
        The corrections of the pointing that its WCS has in it.
    columns : tuple of str
        The columns of header tables that were combined with the pixels.
    """

    index: Place = None
    source: str = "an array"
    past: str | None = None
    is_copy: bool = False
    operations: str = ""
    frame_axes: int | None = None
    header_rows: int = 0
    mask: bool | None = None
    mask_array: bool = False
    uncertainty: Spread | None = None
    parts: tuple[CubePart, ...] = ()
    added_meta: tuple[str, ...] = ()
    added_keywords: tuple[str, ...] = ()
    pointing: tuple[dict[str, Any], ...] = ()
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        texts = [self.source, self.operations, *self.added_meta, *self.added_keywords]
        texts += self.columns
        numbers = (self.header_rows, 0 if self.frame_axes is None else self.frame_axes)
        good = (
            all(isinstance(text, str) for text in texts)
            and isinstance(self.past, str | None)
            and all(type(n) is int and n >= 0 for n in numbers)
            and all(type(flag) is bool for flag in (self.is_copy, self.mask_array))
            and self.mask in (None, True, False)
            and all(isinstance(one, dict) for one in self.pointing)
            and not (self.mask is not None and self.mask_array)
        )
        if not good:
            raise ValueError(f"{self.name}: expected what is said of an array of pixels")

    @property
    def name(self) -> str:
        """The name of the array of pixels."""
        return array_name(self.index)

    @property
    def mask_name(self) -> str:
        """The name of the array of its mask."""
        return self.name.replace("data", "mask", 1)

    @property
    def uncertainty_name(self) -> str:
        """The name of the array of its uncertainty."""
        return self.name.replace("data", "uncertainty", 1)

    @property
    def array_names(self) -> tuple[str, ...]:
        """The names of all its arrays."""
        mask = (self.mask_name,) * self.mask_array
        return self.name, *mask, *(self.uncertainty_name,) * (self.uncertainty is not None)

    @property
    def has_frames(self) -> bool:
        """Whether each pixel is of one frame, so that the header table has rows for them."""
        return self.frame_axes is not None

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Read what `CubeDocument.to_json` wrote of it."""
        values = {one.name: given[one.name] for one in fields(cls) if one.name in given}
        index = values.pop("index", None)
        if index is not None:
            i, j = index
            index = (int(i), int(j))
        spread = values.pop("uncertainty", None)
        parts = tuple(CubePart(**part) for part in values.pop("parts", ()))
        for name in ("added_meta", "added_keywords", "pointing", "columns"):
            values[name] = tuple(values.get(name, ()))
        return cls(
            index=index, uncertainty=None if spread is None else Spread(**spread), parts=parts,
            **values,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeDocument:
    """What the root attributes of a cube say.

    Parameters
    ----------
    cube_id : str
        32 hexadecimal digits, others for every cube that is written.
    grid : tuple of int or None
        Of a mosaic.
    is_row : bool
        Whether the mosaic has one axis, the second one of its grid.
    arrays : tuple of CubeArray
        One; of a mosaic one for each tile that is there, row-major.
    record : dict
        Where the pixels come from, when and by what they were written: for people.

    Raises
    ------
    ValueError
        Something is of another type, or does not fit.
    """

    cube_id: str
    grid: tuple[int, int] | None
    arrays: tuple[CubeArray, ...]
    record: dict[str, Any] = field(default_factory=dict)
    is_row: bool = False

    def __post_init__(self) -> None:
        indices = [array.index for array in self.arrays]
        fits = indices == [None]
        if self.grid is not None:
            rows, columns = self.grid
            places = [index for index in indices if isinstance(index, tuple)]
            fits = (
                0 < len(places) == len(indices) <= MAX_TILES
                and places == sorted(set(places))
                and all(0 <= i < rows and 0 <= j < columns for i, j in places)
            )
        if not fits:
            raise ValueError(f"arrays at {indices!r:.80} in a grid of {self.grid}")
        if not isinstance(self.cube_id, str) or not _ID.fullmatch(self.cube_id):
            raise ValueError(f"cube_id = {self.cube_id!r:.40}: expected 32 hexadecimal digits")

    def to_json(self) -> dict[str, Any]:
        """Write the attributes of the root."""
        about = asdict(self)
        return {CUBE_KEY: {"format_version": CUBE_VERSION, **about}}

    @classmethod
    def read(cls, text: bytes, place: str) -> Self:
        """Read the root's ``zarr.json``; `place` is the cube, for messages.

        Raises
        ------
        StoreCorruptError
            It is not that of a cube, or of a newer version.
        """
        try:
            attributes = json.loads(text)["attributes"]
            about = attributes.get(CUBE_KEY)
            if about is None:
                raise StoreCorruptError(
                    f"{shown(place)}: is a Zarr group, and not one that ds.save wrote: expected "
                    f"the attribute {CUBE_KEY}. xarray.open_zarr or zarr.open_group opens it"
                )
            version = about["format_version"]
            if version != CUBE_VERSION:
                raise StoreCorruptError(
                    f"{shown(place)}: format_version is {version!r:.20}: this version of "
                    f"dkist_virtual reads cubes of {CUBE_VERSION}. Upgrade it"
                )
            grid = about["grid"]
            if grid is not None:
                rows, columns = grid
                grid = (int(rows), int(columns))
            return cls(
                cube_id=about["cube_id"],
                grid=grid,
                arrays=tuple(map(CubeArray.from_json, about["arrays"])),
                record=dict(about["record"]),
                is_row=about.get("is_row") is True,
            )
        except StoreCorruptError:
            raise
        except (
            KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError,
        ) as error:  # fmt: skip
            raise StoreCorruptError(
                f"{shown(place)}: {ROOT_NAME} is not that of a saved cube: "
                f"{type(error).__name__}: {error}. Save it again"
            ) from error


def known_names(document: CubeDocument) -> set[str]:
    """List all files and directories that a cube may have at its root."""
    arrays = {name for array in document.arrays for name in array.array_names}
    files = {ROOT_NAME, METADATA_NAME, HEADERS_NAME, FRAMES_NAME, LINEAGE_NAME, ADDED_NAME}
    return files | arrays
