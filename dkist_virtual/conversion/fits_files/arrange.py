"""Put files into the places of a grid, by the values of their keywords."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import DatasetError
from dkist_virtual.io.locations import shown
from dkist_virtual.store.format.limits import MAX_FRAMES

if TYPE_CHECKING:
    from dkist_virtual.fits.references.cards import Value

__all__ = ["Grid", "grid_of"]


@dataclass(frozen=True, slots=True)
class Grid:
    """Where files are in a grid.

    Attributes
    ----------
    shape : tuple of int
        How many different values each keyword has.
    files : list of int or None
        For each place, in C order, the number of the file; None where there is none.
    values : list of list
        Of each keyword, ascending: the coordinates along its axis.
    """

    shape: tuple[int, ...]
    files: list[int | None]
    values: list[list[Value]]


_OLD_DATE: Final = re.compile(r"\d\d/\d\d/\d\d")


def grid_of(
    urls: Sequence[str],
    found: Sequence[Sequence[Value]],
    keywords: Sequence[str],
    *,
    complete: bool,
) -> Grid:
    """Arrange files by keywords, each of which becomes an axis, its values ascending.

    Parameters
    ----------
    urls : sequence of str, (n,)
    found : sequence of sequences of values, (n, m)
        The values of the keywords in each file.
    keywords : sequence of str, (m,)
    complete : bool
        Whether there has to be a file at every place.

    Raises
    ------
    DatasetError
        A file lacks a keyword, its values cannot be sorted, two files have the same ones, or a
        place has no file.
    """
    axes: list[list[Value]] = []
    for number, keyword in enumerate(keywords):
        column = [values[number] for values in found]
        for url, value in zip(urls, column, strict=True):
            if value is None:
                raise DatasetError(
                    f"{shown(url)}: {keyword} is missing: expected a value, by which to arrange "
                    "the files. primary=True (--primary) takes those of the primary header too"
                )
        _check_sortable(keyword, column)
        axes.append(sorted(set(column)))  # type: ignore[type-var]  # of one kind
    shape = tuple(map(len, axes))
    n = math.prod(shape)
    if n > MAX_FRAMES:
        raise DatasetError(f"by: {_said(keywords, shape)} are {n} places: more than {MAX_FRAMES}")
    places = [{value: i for i, value in enumerate(axis)} for axis in axes]
    files: list[int | None] = [None] * n
    for number, values in enumerate(found):
        at = 0
        for place, value in zip(places, values, strict=True):
            at = at * len(place) + place[value]
        other = files[at]
        if other is not None:
            raise DatasetError(
                f"{shown(urls[number])}: {_at(keywords, values)}, as {shown(urls[other])} has: "
                "expected one file for each. Give by= another keyword that tells them apart"
            )
        files[at] = number
    if complete and len(found) < n:
        gap = files.index(None)
        lacks: list[Value] = []
        for axis in reversed(axes):
            gap, i = divmod(gap, len(axis))
            lacks.append(axis[i])
        raise DatasetError(
            f"by: {len(found)} files do not fill a grid of {_said(keywords, shape)}: none has "
            f"{_at(keywords, lacks[::-1])}. missing='absent' (--missing absent) leaves such places "
            "empty"
        )
    return Grid(shape, files, axes)


def _check_sortable(keyword: str, column: Sequence[Value]) -> None:
    kinds = {str if isinstance(value, str) else float for value in column}
    if len(kinds) > 1:
        raise DatasetError(f"{keyword}: is text in some files and a number in others")
    if any(isinstance(value, str) and _OLD_DATE.fullmatch(value) for value in column):
        raise DatasetError(
            f"{keyword}: has dates such as {column[0]!r}, day before month before year, whose "
            "order as text is not that in time: expected ISO dates. Give the files in order"
        )


def _at(keywords: Sequence[str], values: Sequence[Value]) -> str:
    return ", ".join(f"{key} = {value!r}" for key, value in zip(keywords, values, strict=True))


def _said(keywords: Sequence[str], shape: Sequence[int]) -> str:
    return " by ".join(f"{n} {keyword}" for keyword, n in zip(keywords, shape, strict=True))
