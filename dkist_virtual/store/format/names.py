"""Name the files of a store, and the arrays of an inversion's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

__all__ = [
    "HEADERS_NAME", "JSON_NAME", "METADATA_NAME", "PARQUET_NAME", "POINTING_NAME", "SURVEY_KEY",
    "VERIFY_NAME", "ArrayGroups", "Place", "array_name", "identity_in", "is_array_name",
    "is_zarr_name", "safe_array_names",
]  # fmt: skip

JSON_NAME: Final = "references.json"
PARQUET_NAME: Final = "references.parq"

METADATA_NAME: Final = "dataset.asdf"
"""The name of the description's file in a store."""

HEADERS_NAME: Final = "headers.parquet"
"""The header table's name in a store."""

VERIFY_NAME: Final = "verify.json"
"""The name of what the last verification found."""

POINTING_NAME: Final = "pointing.json"
"""The name of what the pointing of a store's dataset is corrected by."""

SURVEY_KEY: Final = "fits_references"
"""The key of the root's attributes that tells references of any FITS files from a dataset's."""

Place: TypeAlias = "tuple[int, int] | str | None"
"""Which array of a dataset: a tile by its place in the grid of a mosaic, an array of an inversion
by its name in the store, None the only one."""

_LONGEST: Final = 64
_ARRAY_NAME: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{_LONGEST - 1}}}")


def array_name(index: Place) -> str:
    """Name an array in a store."""
    if isinstance(index, str):
        return index
    return "data" if index is None else f"data_{index[0]}_{index[1]}"


def is_array_name(name: object) -> bool:
    """Tell whether an array of an inversion may have this name: an identifier in ASCII."""
    return isinstance(name, str) and _ARRAY_NAME.fullmatch(name) is not None


_ZARR_NAME: Final = re.compile(r"(?!__)[\w+\-][\w+\- ]{0,99}")


def is_zarr_name(name: object) -> bool:
    """Tell whether any Zarr array may have this name: others would be groups, or Zarr's files."""
    return isinstance(name, str) and _ZARR_NAME.fullmatch(name) is not None


def safe_array_names(keys: Iterable[str]) -> list[str]:
    """Make array names of the keys of an inversion: identifiers, unique on any disk."""
    names: list[str] = []
    taken: set[str] = set()
    for key in keys:
        stem = re.sub(r"\W+", "_", key, flags=re.ASCII).strip("_") or "array"
        stem = (f"array_{stem}" if stem[0].isdigit() else stem)[: _LONGEST - 8]
        name, n = stem, 2
        while name.casefold() in taken:
            name, n = f"{stem}_{n}", n + 1
        taken.add(name.casefold())
        names.append(name)
    return names


def identity_in(inventory: Mapping[str, Any] | None) -> str | None:
    """Find in an inventory the ID of the dataset, or of the inversion."""
    record = inventory or {}
    found: str | None = record.get("datasetId", record.get("inversionId"))
    return found


@dataclass(frozen=True, slots=True)
class ArrayGroups:
    """Say which arrays of an inversion's store are quantities, and which are profiles.

    Parameters
    ----------
    quantities : dict of str to tuple of int
        By the name of the array, in order, the axes of it that are aligned with those of the
        other quantities.
    profiles : dict of str to tuple of int, optional
        The same of the profiles; None where the inversion has none.

    Raises
    ------
    ValueError
        There are no quantities, or names or axes cannot be.
    """

    quantities: dict[str, tuple[int, ...]]
    profiles: dict[str, tuple[int, ...]] | None

    def __post_init__(self) -> None:
        if not self.quantities or self.profiles == {}:
            raise ValueError("an inversion without quantities, or with an empty list of profiles")
        names = self.names
        if not all(map(is_array_name, names)) or len({n.casefold() for n in names}) < len(names):
            raise ValueError(f"names of arrays {names!r:.200}: expected identifiers, each once")
        for group in (self.quantities, self.profiles or {}):
            axes = list(group.values())
            right = all(type(a) is int and a >= 0 for part in axes for a in part)
            if not right or any(len(set(part)) != len(axes[0]) for part in axes):
                raise ValueError(
                    f"aligned axes {axes!r:.200}: expected as many different axes of each array"
                )

    @property
    def names(self) -> list[str]:
        """The names of all arrays in their order, quantities first."""
        return [*self.quantities, *(self.profiles or {})]

    @property
    def axes(self) -> dict[str, tuple[int, ...]]:
        """The aligned axes of all arrays, by name."""
        return {**self.quantities, **(self.profiles or {})}

    def to_json(self) -> dict[str, Any]:
        """Write it as values for JSON."""
        return {
            kind: None
            if group is None
            else [{"array": name, "aligned_axes": list(axes)} for name, axes in group.items()]
            for kind, group in (("quantities", self.quantities), ("profiles", self.profiles))
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; raise ValueError, TypeError or KeyError for anything else."""
        groups: list[dict[str, tuple[int, ...]] | None] = []
        for entries in (given["quantities"], given.get("profiles")):
            if entries is None:
                groups.append(None)
                continue
            pairs = [(entry["array"], tuple(entry["aligned_axes"])) for entry in entries]
            if len({name for name, _ in pairs}) != len(pairs):
                raise ValueError("an array is named twice")
            groups.append(dict(pairs))
        quantities, profiles = groups
        return cls(quantities or {}, profiles)
