"""Read moments in the types that people hold them in."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
from astropy.time import Time

__all__ = ["EXPECTED", "read_time", "read_time_range"]

EXPECTED = "a Time, datetime, datetime64, Timestamp, TimeRange or ISO text"
"""What is read, for messages."""


def read_time(given: Any) -> Time | None:
    """Read one moment or several; without a time zone they are UTC.

    Parameters
    ----------
    given : object
        `~astropy.time.Time`; `datetime.datetime` or `datetime.date`; `numpy.datetime64` or a pandas
        Timestamp; text as ISO 8601, or in another form that sunpy reads; arrays of these, such as
        a header column, those of pandas and xarray included; a sunpy TimeRange, for its two ends.

    Returns
    -------
    Time or None
        None for a type that holds no moment.

    Raises
    ------
    ValueError
        Text that is not a moment, or a moment that is missing (NaT).
    """
    if isinstance(given, str):
        return _from_text(given)
    read = _read(given)
    if read is not None and np.any(read.mask):
        raise ValueError(f"{given!r}: holds a moment that is missing")
    return read


def _read(given: Any) -> Time | None:
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


def read_time_range(given: Any) -> tuple[Time, Time] | None:
    """The two ends of a sunpy TimeRange; None for anything else."""
    from sunpy.time import TimeRange

    return (given.start, given.end) if isinstance(given, TimeRange) else None
