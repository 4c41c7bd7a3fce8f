"""Describe a dataset without reading a pixel: as text, as HTML and as JSON.

An `Overview` has plain values only, so that showing one cannot read a frame.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import Any, Literal, Protocol

import numpy as np

from dkist_virtual.cube.axis_tables import ArrayAxis, WorldAxis, describe_wcs
from dkist_virtual.errors import redacted
from dkist_virtual.text import human_bytes

__all__ = [
    "ArrayAxis",
    "Overview",
    "Printed",
    "WorldAxis",
    "align_table",
    "describe_wcs",
    "escape_text",
    "facts_table",
    "html_table",
    "origin_facts",
    "origin_values",
    "write_facts",
]

_NONE = "-"

# Only what follows the page's own colours: notebooks are light or dark.
_CELL = "padding:0.15em 0.8em;text-align:{align};vertical-align:{valign}"
_RULE = "border-bottom:1px solid currentColor"
_TABLE = "border-collapse:collapse;margin:0.6em 0"
_CAPTION = "caption-side:top;text-align:left;font-weight:bold;color:inherit;padding:0.2em 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A description of a dataset that is shown before anything of it is read.

    Parameters
    ----------
    kind : {"Dataset", "TiledDataset"}
    instrument, dataset_id, product_id : str, optional
        From the inventory.
    n_frames : int, optional
        Frames of this dataset or slice, of all tiles of a mosaic. None for an array that is not of
        frames, such as the sum of two datasets; `place` and `missing` are None then too.
    n_bytes : int, optional
        Size of those frames' files. None when not all of them were scanned.
    total_frames, total_bytes : int, optional
        The same for the dataset that this is a slice of; None when this is the whole one.
    place : str, optional
        The directory or URL of the frames.
    further_places : tuple of str
        Those that are searched after it, in order.
    store : str, optional
        The store; None when the references come from an ASDF alone.
    made_from : tuple of (str, str or None, str or None), optional
        Name and date of the ASDF, and the version of its format.
    computed_from : str, optional
        What the pixels are computed from, where they are not those of frames.
    dtype : str
        The pixels' type, as numpy names it.
    shape : tuple of int
        Of the array. Of a mosaic, that of the first tile that is there, as is all that follows.
    unit : str, optional
        Of the pixels. Empty for dimensionless, None where the ASDF does not say.
    array : str
        One line about the dask array.
    array_axes : tuple of ArrayAxis
        In array order, as many as ``shape`` has.
    world_axes : tuple of WorldAxis
        In the WCS's order, with its names.
    sky_axes : dict of str to int, optional
        Which of them are longitude and latitude. Names and types of early ViSP exchange the two.
    correlation : tuple of tuple of bool
        One row for each world axis, one column for each array axis: whether the coordinate
        changes along it.
    grid : tuple of int, optional
        Shape of the array of tiles; a mosaic only.
    present : tuple of (int, int)
        The tiles ``[i, j]`` that are there, row-major; a mosaic only.
    missing : {"raise", "nan"}, optional
        What happens when an absent frame is read.
    pointing : tuple of str
        What the pointing is corrected by, a line for each correction.
    wavelengths : str, optional
        The calibrated wavelength scale, in words.
    quantity : str, optional
        What the pixels are, where they were measured, such as a Doppler velocity.
    """

    kind: Literal["Dataset", "TiledDataset"]
    instrument: str | None = None
    dataset_id: str | None = None
    product_id: str | None = None
    n_frames: int | None = None
    n_bytes: int | None = None
    total_frames: int | None = None
    total_bytes: int | None = None
    place: str | None = None
    further_places: tuple[str, ...] = ()
    store: str | None = None
    made_from: tuple[str, str | None, str | None] | None = None
    computed_from: str | None = None
    dtype: str
    shape: tuple[int, ...]
    unit: str | None = None
    array: str
    array_axes: tuple[ArrayAxis, ...]
    world_axes: tuple[WorldAxis, ...]
    sky_axes: dict[str, int] | None = None
    correlation: tuple[tuple[bool, ...], ...]
    grid: tuple[int, int] | None = None
    present: tuple[tuple[int, int], ...] = ()
    missing: Literal["raise", "nan"] | None = None
    pointing: tuple[str, ...] = ()
    wavelengths: str | None = None
    quantity: str | None = None

    def __post_init__(self) -> None:
        np.dtype(self.dtype)
        expected = tuple(enumerate(self.shape))
        found = tuple((index, size) for index, _, size in self.array_axes)
        if found != expected:
            raise ValueError(
                f"array_axes has (index, size) {found}: expected {expected}, the shape's"
            )
        rows = tuple(len(row) for row in self.correlation)
        if rows != (len(self.shape),) * len(self.world_axes):
            raise ValueError(
                f"correlation has rows of {rows} entries: expected {len(self.world_axes)} world "
                f"axes of {len(self.shape)} array axes each"
            )
        if (self.total_frames or self.n_frames or 0) < (self.n_frames or 0):
            raise ValueError(
                f"n_frames is {self.n_frames}: expected at most total_frames, {self.total_frames}"
            )
        if not (self.n_frames is None) == (self.place is None) == (self.missing is None):
            raise ValueError(
                f"n_frames is {self.n_frames}, place {self.place!r}, missing {self.missing!r}: "
                "expected all of them, or none where there are no frames"
            )
        if (self.kind == "TiledDataset") != (self.grid is not None):
            raise ValueError(f"grid is {self.grid}: expected one for a TiledDataset, and only then")
        places = list(np.ndindex(*(self.grid or (0, 0))))
        if list(self.present) != [place for place in places if place in self.present]:
            raise ValueError(
                f"present is {self.present}: expected tiles in row-major order within {self.grid}"
            )
        if self.grid is not None and not self.present:
            raise ValueError("present is empty: expected at least one tile")

    def text(self) -> str:
        """Return the overview as plain text, in ASCII but for the names in it."""
        blocks = [write_facts(self._title(), self._facts())]
        if self.grid is not None:
            header, rows = self._tile_table()
            blocks += [align_table([header], rows), self._first_tile() + ":"]
        header, rows = self._array_table()
        blocks.append(align_table([header], rows, right=(0, 2)))
        header, rows = self._world_table()
        blocks.append(align_table([header], rows, right=(0,)))
        blocks += [redacted(self._misnamed()), self._correlation_text()]
        return "\n\n".join(block for block in blocks if block)

    def html(self) -> str:
        """Return the overview as HTML for a notebook: one ``div`` without scripts or downloads.

        Colours are those of the page, and every value is escaped.
        """
        parts = [facts_table(self._title(), self._facts())]
        if self.grid is not None:
            header, rows = self._tile_table()
            parts.append(html_table("Tiles", header, rows, heads=1, centred=True))
            parts.append(f"<p>{escape_text(self._first_tile())}.</p>")
        if self.array_axes:
            parts.append(html_table("Array axes", *self._array_table(), right=(0, 2)))
        if self.world_axes:
            parts.append(html_table("World axes", *self._world_table(), right=(0,)))
        if said := self._misnamed():
            parts.append(f"<p>{escape_text(said)}</p>")
        if self.world_axes and self.array_axes:
            header = ["World axis", *(f"{index} {name}" for index, name, _ in self.array_axes)]
            rows = self._correlation_rows()
            parts.append(html_table(_CORRELATION, header, rows, heads=1, centred=True))
        return f'<div class="dkist-virtual-overview">{"".join(parts)}</div>'

    def as_json(self) -> dict[str, Any]:
        """Return the overview as values for `json`: always the same keys, null where not known."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        grid, present, missing = (values.pop(name) for name in ("grid", "present", "missing"))
        array, world = ("index", "name", "size"), ("index", "name", "physical_type", "unit")
        return {
            **values,
            "further_places": list(self.further_places),
            "pointing": list(self.pointing),
            "made_from": origin_values(self.made_from),
            "shape": list(self.shape),
            "array_axes": [dict(zip(array, axis, strict=True)) for axis in self.array_axes],
            "world_axes": [dict(zip(world, axis, strict=True)) for axis in self.world_axes],
            "sky_axes": self.sky_axes and dict(self.sky_axes),
            "correlation": [list(row) for row in self.correlation],
            "tiles": grid and {"shape": list(grid), "present": [list(place) for place in present]},
            "missing": missing,
        }

    def _title(self) -> str:
        of = f"{self.instrument} " if self.instrument else ""
        return f"{of}{self.kind} {self.dataset_id or '(no dataset ID)'}"

    def _facts(self) -> list[tuple[str, str]]:
        facts = [("product ID", self.product_id or _NONE)]
        if self.n_frames is not None:
            facts.append(("frames", self._frames(self.n_frames)))
        if self.grid is not None:
            n_tiles = self.grid[0] * self.grid[1]
            there = f"{len(self.present)} of {n_tiles}, in a grid of {self.grid[0]}x{self.grid[1]}"
            facts.append(("tiles", there))
        if self.quantity is not None:
            facts.append(("quantity", self.quantity))
        facts += [("data", self.array), ("unit", self._unit())]
        if self.pointing:
            facts.append(("pointing", "corrected by " + "; then ".join(self.pointing)))
        if self.wavelengths is not None:
            facts.append(("wavelengths", self.wavelengths))
        facts += origin_facts(self, "frames in")
        if self.computed_from is not None:
            facts.append(("computed from", self.computed_from))
        if self.missing == "raise":
            facts.append(("absent frames", "raise an error (missing='raise')"))
        elif self.missing == "nan":
            fill = "NaN" if np.dtype(self.dtype).kind == "f" else "0"
            facts.append(("absent frames", f"are read as {fill} (missing='nan')"))
        return facts

    def _frames(self, n_frames: int) -> str:
        n = f"{n_frames:,}"
        of = n if self.total_frames is None else f"{n} of {self.total_frames:,}"
        if self.n_bytes is None:
            return f"{of}, size not known (not all were scanned)"
        size = human_bytes(self.n_bytes)
        whole = "" if self.total_bytes is None else f" of {human_bytes(self.total_bytes)}"
        return f"{of}, {size}{whole}"

    def _unit(self) -> str:
        if self.unit is None:
            return _NONE
        return self.unit or "dimensionless"

    def _first_tile(self) -> str:
        i, j = self.present[0]
        return f"Data, unit and axes of tile [{i}, {j}], the first that is there"

    def _tile_table(self) -> tuple[list[str], list[list[str]]]:
        n_rows, n_columns = self.grid or (0, 0)
        present = set(self.present)
        header = ["Tiles", *(f"j={j}" for j in range(n_columns))]
        rows = [
            [f"i={i}", *("x" if (i, j) in present else "." for j in range(n_columns))]
            for i in range(n_rows)
        ]
        return header, rows

    def _array_table(self) -> tuple[list[str], list[list[str]]]:
        rows = [[str(index), name, str(size)] for index, name, size in self.array_axes]
        return ["Array axis", "Name", "Size"], rows

    def _world_table(self) -> tuple[list[str], list[list[str]]]:
        rows = [[str(axis[0]), *(value or _NONE for value in axis[1:])] for axis in self.world_axes]
        return ["World axis", "Name", "Physical type", "Unit"], rows

    def _misnamed(self) -> str:
        """Say which axes are longitude and latitude where their names or types are exchanged."""
        ends = {"longitude": (".lon", ".ra"), "latitude": (".lat", ".dec")}
        other = {"longitude": "latitude", "latitude": "longitude"}
        called = {index: (name.lower(), physical) for index, name, physical, _ in self.world_axes}
        wrong = [
            kind
            for kind, index in (self.sky_axes or {}).items()
            if other[kind] in called[index][0] or called[index][1].endswith(ends[other[kind]])
        ]
        if not wrong:
            return ""
        said = " and ".join(f"{index} is the {k}" for k, index in (self.sky_axes or {}).items())
        return f"World axis {said}, by the coordinates that the WCS makes of them"

    def _correlation_rows(self) -> list[list[str]]:
        return [
            [f"{axis[0]} {axis[1] or _NONE}", *("x" if cell else "." for cell in row)]
            for axis, row in zip(self.world_axes, self.correlation, strict=True)
        ]

    def _correlation_text(self) -> str:
        if not self.world_axes or not self.array_axes:
            return ""
        # A column as wide as its label's longest word keeps the matrix of five axes on a
        # terminal of 80 columns.
        labels = []
        for index, name, _ in self.array_axes:
            name = redacted(name)
            width = max(map(len, name.split()), default=1)
            labels.append([*textwrap.wrap(name, width), str(index)])
        depth = max(len(label) for label in labels)
        filled = [[""] * (depth - len(label)) + label for label in labels]
        head = [["", *line] for line in zip(*filled, strict=True)]
        head[-1][0] = "World axis \\ array axis"
        return f"{_CORRELATION}:\n\n{align_table(head, self._correlation_rows())}"


_CORRELATION = "Which world coordinate changes along which array axis"


class _Origin(Protocol):
    """What overviews say of the places of files, and of the store."""

    @property
    def place(self) -> str | None: ...
    @property
    def further_places(self) -> tuple[str, ...]: ...
    @property
    def store(self) -> str | None: ...
    @property
    def made_from(self) -> tuple[str, str | None, str | None] | None: ...


def origin_facts(overview: _Origin, files_in: str) -> list[tuple[str, str]]:
    """Say where the files are, under the label `files_in`, and which store of what this is."""
    facts = []
    if overview.place is not None:
        facts.append((files_in, ", then ".join((overview.place, *overview.further_places))))
    if overview.store is not None:
        facts.append(("store", overview.store))
    if overview.made_from is not None:
        name, date, version = overview.made_from
        said = name if date is None else f"{name} of {date}"
        facts.append(("made from", said if version is None else f"{said}, {version}"))
    return facts


def origin_values(made_from: tuple[str, str | None, str | None] | None) -> Any:
    """Return what a store was made from as values for `json`."""
    return made_from and dict(zip(("asdf", "date", "version"), made_from, strict=True))


def write_facts(title: str, facts: Sequence[tuple[str, str]]) -> str:
    """Write a title, and under it labels with what is said of them, as plain text."""
    width = max((len(label) for label, _ in facts), default=0)
    lines = [f"  {label:<{width}}  {redacted(value)}" for label, value in facts]
    return "\n".join([redacted(title), *lines])


class Printed:
    """Print an object as its overview, in a terminal and in a notebook."""

    def overview(self) -> Overview:
        """Return what is printed, as values."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.overview().text()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>\n{self}"

    def _repr_html_(self) -> str:
        return self.overview().html()


def align_table(
    head: Sequence[Sequence[str]], rows: Sequence[Sequence[str]], *, right: tuple[int, ...] = ()
) -> str:
    """Lay out a table in columns, with a rule below its head; empty without rows."""
    if not rows:
        return ""
    head, rows = ([[redacted(cell) for cell in line] for line in part] for part in (head, rows))
    widths = [max(map(len, column)) for column in zip(*head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(aligned).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([*map(line, head), rule, *map(line, rows)])


def escape_text(text: str) -> str:
    """Write text in HTML."""
    return escape(redacted(text))


def _caption(text: str) -> str:
    return f'<caption style="{_CAPTION}">{escape_text(text)}</caption>'


def _cell(
    text: str,
    tag: Literal["td", "th"] = "td",
    *,
    scope: Literal["row", "col"] = "row",
    align: Literal["left", "right", "center"] = "left",
) -> str:
    style = _CELL.format(align=align, valign="bottom" if scope == "col" else "top")
    if tag == "td":
        return f'<td style="{style};overflow-wrap:anywhere">{escape_text(text)}</td>'
    rule = f";{_RULE}" if scope == "col" else ""
    return f'<th scope="{scope}" style="{style}{rule}">{escape_text(text)}</th>'


def facts_table(caption: str, facts: Sequence[tuple[str, str]]) -> str:
    """Make a table in HTML of labels and what is said under them."""
    rows = "".join(
        f"<tr>{_cell(label, 'th', scope='row')}{_cell(value)}</tr>" for label, value in facts
    )
    return f'<table style="{_TABLE}">{_caption(caption)}<tbody>{rows}</tbody></table>'


def html_table(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: tuple[int, ...] = (),
    heads: int = 0,
    centred: bool = False,
) -> str:
    """Make a table with a caption; the first `heads` cells of a row are its heading."""

    def align(column: int) -> Literal["left", "right", "center"]:
        if column in right:
            return "right"
        return "center" if centred and column else "left"

    head = "".join(
        _cell(cell, "th", scope="col", align=align(column)) for column, cell in enumerate(header)
    )
    body = "".join(
        "<tr>"
        + "".join(
            _cell(cell, "th" if column < heads else "td", align=align(column))
            for column, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<table style="{_TABLE}">{_caption(caption)}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
