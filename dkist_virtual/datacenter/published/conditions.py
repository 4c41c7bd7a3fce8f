"""Apply the parameters of the Data Center's search to a catalogue.

The parameters are those that ``dkist.net`` makes of attributes, so the same words find the same
datasets. A null matches no condition; but a dataset whose status nobody said is active.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dkist_virtual.datacenter.published.addresses import resolve_address
from dkist_virtual.datacenter.published.table import BY_KEY

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dkist_virtual.datacenter.published.read import Published

    Mask: TypeAlias = NDArray[np.bool_]

__all__ = ["answer", "known_lines", "matches", "records"]

Condition: TypeAlias = "Callable[[pa.Table, Any], Mask]"

UNKNOWN_STATUS: Final = "ACTIVE"
"""What a dataset is whose record does not say its status, as where a dataset is opened by ID."""


# Conditions ---------------------------------------------------------------------------------


def _one_of(key: str, default: str | None = None) -> Condition:
    """Whether the value, or one in a list of values, is one of those that are asked for."""

    def wanted(table: pa.Table, value: Any) -> Mask:
        asked = {str(each) for each in _listed(value)}
        column = table[BY_KEY[key].name]
        if BY_KEY[key].kind == "texts":
            return np.array(
                [bool(asked.intersection(own or ())) for own in column.to_pylist()], bool
            )
        own = column.to_pylist()
        return np.array([(default if each is None else str(each)) in asked for each in own], bool)

    return wanted


def _is(key: str) -> Condition:
    def wanted(table: pa.Table, value: Any) -> Mask:
        return np.array([each is bool(value) for each in table[BY_KEY[key].name].to_pylist()], bool)

    return wanted


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Give a column of numbers, NaN where it is null: all comparisons with it are false."""
    column = table[name].combine_chunks()
    found: NDArray[np.float64] = column.cast("float64").to_numpy(zero_copy_only=False)
    return found


def _limits(key: str) -> dict[str, Condition]:
    name = BY_KEY[key].name
    return {
        f"{key}Min": lambda table, value: _numbers(table, name) >= float(value),
        f"{key}Max": lambda table, value: _numbers(table, name) <= float(value),
    }


def _moments(key: str) -> dict[str, Condition]:
    def moment(table: pa.Table) -> tuple[NDArray[np.int64], Mask]:
        column = table[BY_KEY[key].name].combine_chunks()
        there = column.is_valid().to_numpy(zero_copy_only=False)
        return column.cast("int64").fill_null(0).to_numpy(zero_copy_only=False), there

    def at_least(table: pa.Table, value: Any) -> Mask:
        own, there = moment(table)
        return np.asarray(there & (own >= microseconds(value)))

    def at_most(table: pa.Table, value: Any) -> Mask:
        own, there = moment(table)
        return np.asarray(there & (own <= microseconds(value)))

    return {f"{key}Min": at_least, f"{key}Max": at_most}


def microseconds(text: str) -> int:
    """Convert a moment in ISO 8601, UTC unless it says otherwise, to microseconds since 1970.

    Digits beyond microseconds are cut off.
    """
    moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _wavelengths(table: pa.Table, value: Any) -> Mask:
    low, high = map(float, value)
    return np.asarray(
        (_numbers(table, "wavelength_min") <= high) & (_numbers(table, "wavelength_max") >= low)
    )


_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+|nan|inf)(?:[eE][-+]?\d+)?"
_BOX: Final = re.compile(rf"\(({_NUMBER}),({_NUMBER})\),\(({_NUMBER}),({_NUMBER})\)")


def _box(compare: Callable[[Any, Any, Any, Any], Any]) -> Condition:
    """Compare a box with those of the datasets, by their smallest and largest values on an axis."""

    def wanted(table: pa.Table, value: Any) -> Mask:
        found = _BOX.fullmatch(str(value).replace(" ", ""))
        if found is None:
            raise ValueError(f"a box is {value!r:.80}: expected (x1,y1),(x2,y2) in arcsec")
        x1, y1, x2, y2 = map(float, found.groups())
        result = np.ones(table.num_rows, bool)
        for axis, pair in (("tx", (x1, x2)), ("ty", (y1, y2))):
            low, high = (_numbers(table, f"{axis}_{end}") for end in ("min", "max"))
            result &= compare(min(pair), max(pair), low, high)
        return result

    return wanted


CONDITIONS: Final[dict[str, Condition]] = {
    "instrumentNames": _one_of("instrumentName"),
    "datasetIds": _one_of("datasetId"),
    "productIds": _one_of("productId"),
    "primaryProposalIds": _one_of("primaryProposalId"),
    "primaryExperimentIds": _one_of("primaryExperimentId"),
    "targetTypes": _one_of("targetTypes"),
    "spectralLines": _one_of("spectralLines"),
    "status": _one_of("status", UNKNOWN_STATUS),
    "recipeId": _one_of("recipeId"),
    "highLevelSoftwareVersion": _one_of("highLevelSoftwareVersion"),
    "workflowName": _one_of("workflowName"),
    "workflowVersion": _one_of("workflowVersion"),
    "headerVersion": _one_of("headerVersion"),
    "observingProgramExecutionId": _one_of("observingProgramExecutionId"),
    "instrumentProgramExecutionId": _one_of("instrumentProgramExecutionId"),
    "browseMovieUrl": _one_of("browseMovieUrl"),
    "browseMovieObjectKey": _one_of("browseMovieObjectKey"),
    "endTimeMin": _moments("endTime")["endTimeMin"],
    "startTimeMax": _moments("startTime")["startTimeMax"],
    "hasAllStokes": _is("hasAllStokes"),
    "hasSpectralAxis": _is("hasSpectralAxis"),
    "hasTemporalAxis": _is("hasTemporalAxis"),
    "isEmbargoed": _is("isEmbargoed"),
    "wavelengthRanges": _wavelengths,
    "rectangleContainingBoundingBox": _box(lambda a, b, low, high: (a <= low) & (b >= high)),
    "rectangleContainedByBoundingBox": _box(lambda a, b, low, high: (low <= a) & (high >= b)),
    "rectangleIntersectingBoundingBox": _box(lambda a, b, low, high: (a <= high) & (b >= low)),
    **_moments("embargoEndDate"),
    **_limits("exposureTime"),
    **_limits("qualityAverageFriedParameter"),
    **_limits("averageDatasetSpectralSampling"),
    **_limits("averageDatasetSpatialSampling"),
    **_limits("averageDatasetTemporalSampling"),
}
"""The condition of each parameter of the Data Center's search, by its name there."""

_PAGES: Final = ("pageSize", "pageNumber")


def matches(table: pa.Table, query: Mapping[str, Any]) -> NDArray[np.int64]:
    """Find the rows that match all parameters of a query; only active ones unless it names others.

    Returns
    -------
    array of int64, shape (m,)
        Their positions, in order.

    Raises
    ------
    ValueError
        A parameter that a catalogue cannot be searched by.
    """
    asked = {name: value for name, value in query.items() if name not in _PAGES}
    asked.setdefault("status", UNKNOWN_STATUS)
    if unknown := sorted(set(asked) - set(CONDITIONS)):
        raise ValueError(
            f"a catalogue cannot be searched by {', '.join(unknown)}: expected some of "
            f"{', '.join(sorted(CONDITIONS))}"
        )
    wanted = np.ones(table.num_rows, bool)
    for name, value in asked.items():
        wanted &= CONDITIONS[name](table, value)
    return np.flatnonzero(wanted)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


# Answers ------------------------------------------------------------------------------------


def answer(published: Published, query: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a query as the Data Center does: with the records of a page, and their number."""
    found = matches(published.table, query)
    size, page = int(query["pageSize"]), int(query.get("pageNumber", 1))
    shown = found[(page - 1) * size : page * size]
    return {"recordCount": len(found), "searchResults": records(published, shown)}


def records(published: Published, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Make records, with the Data Center's keys, of some rows; ``Store`` is the address.

    Raises `StoreCorruptError` for an address that leads elsewhere.
    """
    made = []
    for row in published.table.take(rows).to_pylist():
        record = {key: _plain(row[column.name]) for key, column in BY_KEY.items()}
        corners = [row[name] for name in ("tx_max", "ty_max", "tx_min", "ty_min")]
        box = "({},{}),({},{})".format(*corners)  # upper right first, as the Data Center writes it
        record["boundingBox"] = None if None in corners else box
        record["Store"] = resolve_address(published.file, row["store"])
        made.append(record)
    return made


def _plain(value: Any) -> Any:
    return value.replace(tzinfo=None).isoformat() if isinstance(value, datetime) else value


def known_lines(published: Published) -> list[str]:
    """List the names of the spectral lines that a catalogue has datasets of."""
    return sorted({line for lines in published.table["lines"].to_pylist() for line in lines or ()})
