"""Read moments and dates of many types, and convert dates to datetime64.

Microseconds reach from 290,000 years before today to as long after it; nanoseconds end in 1678 and
2262, and wrap around silently. A leap second cannot be written as datetime64.
"""

from __future__ import annotations

import re
import warnings
from datetime import date, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from astropy.time import Time

from dkist_virtual.errors import DKISTVirtualWarning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = [
    "EXPECTED",
    "dates_of_texts",
    "dates_of_times",
    "is_blank",
    "read_time",
    "read_time_range",
]

EXPECTED = "a Time, datetime, datetime64, Timestamp, TimeRange or ISO text"
"""The types that can be read, for messages."""

Moment: TypeAlias = Time | date | np.datetime64 | str
"""One moment."""


def read_time(given: object) -> Time | None:
    """Read one moment or several; without a time zone they are UTC.

    Reads `~astropy.time.Time`; `datetime.datetime` or `datetime.date`; `numpy.datetime64` or a
    pandas Timestamp; text in ISO 8601, or in another form that sunpy reads; arrays of these, such
    as a header column, also of pandas and xarray; a sunpy TimeRange, for its two ends. Returns None
    for other types.

    Raises
    ------
    ValueError
        Text that is not a moment, or a missing moment (NaT).
    """
    if isinstance(given, str):
        return _from_text(given)
    read = _read(given)
    if read is not None and np.any(read.mask):
        raise ValueError(f"{given!r}: holds a moment that is missing")
    return read


def _read(given: object) -> Time | None:
    if isinstance(given, Time):
        return given
    if (ends := read_time_range(given)) is not None:
        return Time(list(ends))
    if hasattr(given, "to_datetime64"):  # a Timestamp: a datetime too, with nanoseconds
        given = given.to_datetime64()
    if isinstance(given, datetime):
        return Time(given)
    if isinstance(given, date):
        return Time(given.isoformat())
    array = np.asarray(given) if hasattr(given, "dtype") else None
    if array is None:
        return None
    if array.dtype.kind == "M" and not np.isnat(array).any():
        return Time(array, format="datetime64")
    if array.dtype.kind == "M":
        raise ValueError(f"{given!r}: holds a moment that is missing")
    if array.dtype.kind in "OU" and array.size:  # those of pandas with a time zone; a header's text
        each = [read_time(moment) for moment in array.ravel().tolist()]
        if all(moment is not None for moment in each):
            return Time(each)
    return None


def _from_text(text: str) -> Time:
    from sunpy.time import parse_time

    # The first keeps every digit of a second, the second knows time zones.
    for read in (Time, datetime.fromisoformat, parse_time):
        try:
            return Time(read(str(text)))
        except ValueError:
            continue
    raise ValueError(f"{text!r} is not a moment")


def read_time_range(given: object) -> tuple[Time, Time] | None:
    """Return the two ends of a sunpy TimeRange; None for anything else."""
    from sunpy.time import TimeRange

    return (given.start, given.end) if isinstance(given, TimeRange) else None


_DATE: Final = re.compile(
    # FITS 4.0, section 9.1.1; a Z and (UTC) say nothing else.
    r"([+-]?\d{4,5}-\d\d-\d\d)(?:T(\d\d:\d\d):(\d\d)(?:\.(\d*))?)?(?:Z|\(UTC(?:\(\w+\))?\))?"
)
_LEAP_SECOND: Final = "60"
_NANOSECONDS: Final = ("1678-01-01", "2262-01-01")
"""The years that datetime64[ns] includes in full."""


def is_blank(value: object) -> bool:
    """Whether a cell of a header table has no value: masked, None, or nothing but blanks."""
    return value is None or value is np.ma.masked or (isinstance(value, str) and not value.strip())


def dates_of_texts(texts: Iterable[object], where: str) -> NDArray[np.datetime64] | None:
    """Convert the dates of a header column, UTC.

    Texts are those of FITS; a blank one, and None, become NaT. Dates are in microseconds; in
    nanoseconds where a date needs them and all dates are within their years. Returns None where no
    text is a date.

    Warns
    -----
    DKISTVirtualWarning
        Some texts are dates and others are not, or are leap seconds: these become NaT. The warning
        names the column, `where`.
    """
    cells = list(texts)
    parsed = [None if is_blank(cell) else _parse(cell) for cell in cells]
    given = [(cell, date) for cell, date in zip(cells, parsed, strict=True) if not is_blank(cell)]
    refused = [str(cell) for cell, date in given if date is None]
    leaps = [cell for cell in refused if _is_leap_second(cell)]
    if refused and not leaps and len(refused) == len(given):
        return None
    if refused:
        n = f"{len(refused)} cells" if len(refused) > 1 else "a cell"
        why = "is a leap second, which datetime64 cannot hold" if leaps else "is not a date"
        warnings.warn(
            f"{where}: {n} became NaT: {(leaps or refused)[0]!r} {why}. ds.headers has the text",
            DKISTVirtualWarning,
            stacklevel=2,
        )
    seconds = np.array(["NaT" if date is None else date[0] for date in parsed], "M8[s]")
    billionths = np.array([0 if date is None else date[1] for date in parsed], "i8")
    first, end = (np.datetime64(year, "s") for year in _NANOSECONDS)
    known = seconds[~np.isnat(seconds)]
    if (billionths % 1000).any() and (known >= first).all() and (known < end).all():
        return np.asarray(seconds.astype("M8[ns]") + billionths.astype("m8[ns]"))
    return np.asarray(seconds.astype("M8[us]") + ((billionths + 500) // 1000).astype("m8[us]"))


def _parse(cell: object) -> tuple[np.datetime64, int] | None:
    """Read the whole second of a date, and the billionths after it; None if it is not a date."""
    found = _DATE.fullmatch(str(cell).strip())
    if found is None:
        return None
    day, minute, second, fraction = found.groups()
    try:
        whole = np.datetime64(f"{day.removeprefix('+')}T{minute or '00:00'}:{second or '00'}", "s")
    except ValueError:
        return None
    digits = (fraction or "").ljust(10, "0")
    return whole, int(digits[:9]) + (digits[9] >= "5")


def _is_leap_second(cell: object) -> bool:
    found = _DATE.fullmatch(str(cell).strip())
    return found is not None and found[2] == "23:59" and found[3] == _LEAP_SECOND


def dates_of_times(times: Time, where: str) -> NDArray[np.datetime64]:
    """Convert moments to datetime64, UTC, in microseconds.

    Digits below microseconds are noise: a WCS counts seconds as floats from an epoch. The warning
    of a leap second names `where`.
    """
    try:  # quick, and right but for leap seconds and years of five digits
        return np.asarray(Time(times.utc, format="isot", precision=6).value, "M8[us]")
    except ValueError:
        texts = np.asarray(Time(times.utc, format="fits", precision=6).value)
    dates = dates_of_texts(texts.ravel().tolist(), where)
    assert dates is not None  # each is a date
    return dates.reshape(texts.shape)
