"""Describe an inversion without reading a pixel: as text, as HTML and as JSON.

A store says all that is in it without its WCS.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from dkist_virtual.cube.axis_tables import axis_names
from dkist_virtual.dataset.overview import (
    align_table,
    escape_text,
    facts_table,
    html_table,
    origin_facts,
    origin_values,
    write_facts,
)
from dkist_virtual.text import human_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.cube.virtual_array import VirtualArray

__all__ = ["InversionOverview", "MemberText"]


class MemberText(NamedTuple):
    """What is said of a quantity, or of a profile.

    Attributes
    ----------
    key : str
    shape : tuple of int
    dtype : str
    unit : str or None
        Empty for dimensionless.
    axes : tuple of str
        Names of its axes.
    """

    key: str
    shape: tuple[int, ...]
    dtype: str
    unit: str | None
    axes: tuple[str, ...]

    @classmethod
    def of_stored(cls, array: VirtualArray) -> Self:
        """Describe an array of a store by its attributes."""
        about = array.metadata.attributes
        names = axis_names(array.metadata, array.selection) or []
        key = str(about.get("key", array.name))
        return cls(key, array.shape, str(array.dtype), about.get("unit"), tuple(names))

    def cells(self) -> list[str]:
        """Write it as a row of a table."""
        unit = "-" if self.unit is None else self.unit or "dimensionless"
        shape = " x ".join(map(str, self.shape))
        return [self.key, shape, self.dtype, unit, ", ".join(self.axes)]


_HEAD = ["Shape", "Type", "Unit", "Axes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InversionOverview:
    """A description of an inversion that is shown before anything of it is read.

    Parameters
    ----------
    inversion_id : str, optional
        From the inventory.
    quantities, profiles : tuple of MemberText
    aligned_axes : tuple of str
        Names of the axes along which the quantities are sliced together.
    n_files, n_bytes : int, optional
        The files of the selection; their length where all were scanned. None where the pixels
        are in no files.
    place, store, made_from, missing
        As in `Overview`.
    """

    inversion_id: str | None = None
    quantities: tuple[MemberText, ...]
    profiles: tuple[MemberText, ...] = ()
    aligned_axes: tuple[str, ...] = ()
    n_files: int | None = None
    n_bytes: int | None = None
    place: str | None = None
    further_places: tuple[str, ...] = ()
    store: str | None = None
    made_from: tuple[str, str | None, str | None] | None = None
    missing: Literal["raise", "nan"] | None = None

    def text(self) -> str:
        """Return the overview as plain text."""
        blocks = [write_facts(self._title(), self._facts())]
        for title, members in self._tables():
            rows = [member.cells() for member in members]
            blocks.append(align_table([[title, *_HEAD]], rows))
        return "\n\n".join(blocks)

    def html(self) -> str:
        """Return the overview as HTML for a notebook: one ``div`` without scripts or downloads."""
        parts = [facts_table(self._title(), self._facts())]
        for title, members in self._tables():
            rows = [member.cells() for member in members]
            parts.append(html_table(title, ["Key", *_HEAD], rows, heads=1))
        if self.aligned_axes:
            said = f"Sliced together along {', '.join(self.aligned_axes)}."
            parts.append(f"<p>{escape_text(said)}</p>")
        return f'<div class="dkist-virtual-overview">{"".join(parts)}</div>'

    def as_json(self) -> dict[str, Any]:
        """Return the overview as values for `json`: always the same keys, null where not known."""

        def group(members: Sequence[MemberText]) -> list[dict[str, Any]]:
            return [
                {
                    "key": member.key,
                    "shape": list(member.shape),
                    "dtype": member.dtype,
                    "unit": member.unit,
                    "axes": list(member.axes),
                }
                for member in members
            ]

        return {
            "kind": "Inversion",
            **asdict(self),
            "quantities": group(self.quantities),
            "profiles": group(self.profiles),
            "aligned_axes": list(self.aligned_axes),
            "further_places": list(self.further_places),
            "made_from": origin_values(self.made_from),
        }

    def _title(self) -> str:
        return f"Inversion {self.inversion_id or '(no inversion ID)'}"

    def _tables(self) -> list[tuple[str, tuple[MemberText, ...]]]:
        tables = [("Quantities", self.quantities), ("Profiles", self.profiles)]
        return [(title, members) for title, members in tables if members]

    def _facts(self) -> list[tuple[str, str]]:
        facts = []
        if self.n_files is not None:
            known = self.n_bytes is not None
            size = human_bytes(self.n_bytes or 0) if known else "size not known (not all scanned)"
            facts.append(("files", f"{self.n_files:,}, {size}"))
        if self.aligned_axes:
            facts.append(("aligned axes", ", ".join(self.aligned_axes)))
        facts += origin_facts(self, "files in")
        if self.missing is not None:
            absent = {"raise": "raise an error", "nan": "are read as NaN"}[self.missing]
            facts.append(("absent files", f"{absent} (missing={self.missing!r})"))
        return facts
