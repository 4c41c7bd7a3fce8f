"""Search the Data Center's catalogue, or a published one, for datasets."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from dkist_virtual.datacenter.catalogue import Query, Record, answers, ask, net
from dkist_virtual.datacenter.published.conditions import answer, known_lines
from dkist_virtual.datacenter.published.read import Published, read_catalogue
from dkist_virtual.errors import SearchError
from dkist_virtual.times import EXPECTED, Moment, read_time, read_time_range

if TYPE_CHECKING:
    import dkist.net.attrs as da
    import sunpy.net.attrs as a
    from astropy.coordinates import SkyCoord
    from astropy.time import Time
    from astropy.units import Quantity
    from sunpy.net.attr import Attr
    from sunpy.time import TimeRange

    from dkist_virtual.datacenter.results import Results

__all__ = ["parameters", "search", "spectral_lines"]

T = TypeVar("T")


def search(
    *query: Attr,
    instrument: str | Sequence[str] | None = None,
    time: Sequence[Moment] | TimeRange | a.Time | None = None,
    wavelength: Quantity | Sequence[Quantity] | None = None,
    spectral_line: str | Sequence[str] | None = None,
    target: str | Sequence[str] | None = None,
    proposal: str | Sequence[str] | None = None,
    product: str | Sequence[str] | None = None,
    dataset: str | Sequence[str] | None = None,
    exposure: Sequence[Quantity] | None = None,
    fried: Sequence[Quantity] | None = None,
    stokes: Literal["IQUV", "I"] | None = None,
    bounding_box: SkyCoord | da.BoundingBox | None = None,
    embargoed: bool | None = None,
    status: str | None = None,
    page: int | None = None,
    page_size: int | None = None,
    catalogue: str | os.PathLike[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Results:
    """Search the DKIST Data Center, or a published catalogue.

    A dataset has to match all arguments; of several values of one argument, any. Only active
    datasets are found by default, see `status`.

    Parameters
    ----------
    *query
        Attributes of ``sunpy.net.attrs`` and ``dkist.net.attrs``, such as ``a.Instrument("VISP")
        & a.Time("2022-06-01", "2022-07-01")``; datasets have to match them as well.
    instrument : str, or several
        ``"VISP"``, ``"VBI"``, ``"VTF"``, ``"CRYO-NIRSP"``, ``"DL-NIRSP"``.
    time : pair of times, or a TimeRange
        Datasets that were observed at some time between the two, in UTC unless they have a time
        zone: Time, datetime, datetime64, Timestamp or text; a sunpy TimeRange for both.
    wavelength : Quantity, or a pair
        Datasets whose wavelengths overlap the range; one value for those that include it.
    spectral_line : str, or several
        By element and ion, with or without a wavelength: ``"H alpha"``, ``"Fe I 630.2"``,
        ``"Ca II 8542"``. They are compared with the Data Center's names, see `spectral_lines`.
    target : str, or several
        Such as ``"sunspot"``.
    proposal, product, dataset : str, or several
        IDs. A dataset ID is found with any status.
    exposure, fried : pair of Quantities
        Range of the exposure time, and of the mean Fried parameter.
    stokes : {"IQUV", "I"}
        Datasets with all four Stokes parameters, or with intensity alone.
    bounding_box : SkyCoord or dkist.net.attrs.BoundingBox
        Two corners: datasets within them; an attribute for those that contain it or touch it.
    embargoed : bool
        Only those under embargo, or only those that are not.
    status : {"ACTIVE", "DEPRECATED", "REMOVED", "any"}
    page, page_size : int
        Which part of a long list, counted from 1, and the number of datasets in each.
    catalogue : path or URL, optional
        A file ``catalogue.parquet``, or its directory, as `write_catalogue` wrote it: it is
        searched instead, and the Data Center is not asked. What a catalogue does not say of a
        dataset matches no condition; but a dataset without a status is active.
    storage_options : dict, optional
        To read the catalogue: a URL prefix, or a protocol, to fsspec's options for it.

    Returns
    -------
    Results
        A table of sunpy's. If it is empty, it prints which arguments to leave out. What a catalogue
        found has a column ``Store``, with the address of each dataset's store.

    Raises
    ------
    SearchError
        The Data Center could not be asked, or the catalogue not be read.
    StoreMissingError, StoreCorruptError
        The catalogue does not exist, or cannot be used.
    ValueError
        A value that cannot be searched for.

    Examples
    --------
    >>> found = dv.search(instrument="VISP", spectral_line="Fe I 630.2")  # doctest: +SKIP
    >>> ds = dv.open_dataset(found[0])  # doctest: +SKIP
    >>> found = dv.search(instrument="VISP", catalogue="stores/")  # doctest: +SKIP
    """
    if catalogue is None and storage_options is not None:
        raise ValueError("storage_options are for reading a catalogue: give catalogue= as well")
    published = None if catalogue is None else read_catalogue(catalogue, storage_options)
    source = _source(published)
    net(offline=published is not None)
    from sunpy.net.attr import and_

    from dkist_virtual.datacenter.results import Results

    if dataset is not None and status is None:
        status = "any"
    named = _attributes(
        source,
        instrument=instrument, time=time, wavelength=wavelength, spectral_line=spectral_line,
        target=target, proposal=proposal, product=product, dataset=dataset, exposure=exposure,
        fried=fried, stokes=stokes, bounding_box=bounding_box, embargoed=embargoed, status=status,
        page=page, page_size=page_size,
    )  # fmt: skip
    given = [*query, *named.values()]
    try:
        together = and_(*given) if given else None
    except TypeError:  # sunpy's word for two of a kind that only one may be of
        raise ValueError(
            f"of {', '.join(map(_label, given))} one is given twice: give it once, by name or as "
            "an attribute"
        ) from None
    queries = _listing() if together is None else parameters(together)
    results = Results.of(*_one_page(queries, source), source.columns)
    if not len(results):
        labelled = [(_label(attribute), attribute) for attribute in query]
        results.advice = _advice([*labelled, *named.items()], status, source)
    return results


@dataclass(frozen=True)
class _Source:
    """What is searched: how it answers queries, and names the lines that it has datasets of."""

    answers: Callable[[Sequence[Query]], list[dict[str, Any]]]
    lines: Callable[[], list[str]]
    columns: tuple[str, ...] = ()
    """Of the results, beside those of dkist."""


def _source(published: Published | None) -> _Source:
    if published is None:
        return _Source(answers, spectral_lines)
    return _Source(
        lambda queries: [answer(published, query) for query in queries],
        lambda: known_lines(published),
        ("Store",),
    )


def parameters(query: Attr) -> list[Query]:
    """Translate a query to the API's parameters with ``dkist.net``: one set per alternative.

    Raises ValueError for an attribute that the Data Center's search does not have.
    """
    conf = net().conf
    from dkist.net.attr_walker import walker

    try:
        made = walker.create(query)
    except TypeError as error:
        raise ValueError(
            f"the query contains an attribute that the Data Center cannot search for: {query!r}"
        ) from error
    return [
        {"pageSize": conf.default_page_size} | _in_metres(alternative)
        for alternative in _flat(made)
    ]


def _one_page(queries: list[Query], source: _Source) -> tuple[list[Record], int, int]:
    """Fetch the records of a page; return them, the number of all, and the page's number.

    Each alternative is a query of its own; a page is one of them all together. A dataset that
    matches several is counted once, as far as the pages fetched show it.
    """
    number, size = int(queries[0].get("pageNumber", 1)), int(queries[0]["pageSize"])
    if len(queries) == 1:
        (only,) = source.answers(queries)
        return only["searchResults"], _count(only), number
    pages = [{"pageNumber": n} for n in range(1, number + 1)] if number > 1 else [{}]
    found = source.answers([query | page for query in queries for page in pages])
    every = [record for answer in found for record in answer["searchResults"]]
    # Stores of a catalogue may have no ID.
    distinct = list({str(r.get("Store", r.get("datasetId"))): r for r in reversed(every)}.values())
    distinct.reverse()
    total = sum(map(_count, found[::number])) - (len(every) - len(distinct))
    return distinct[(number - 1) * size : number * size], total, number


def _count(answer: dict[str, Any]) -> int:
    n = answer.get("recordCount") or len(answer["searchResults"])
    if type(n) is not int or not 0 <= n < 2**63:
        raise SearchError(f"the Data Center's recordCount is {n!r:.40}: expected a number")
    return n


def _listing() -> list[Query]:
    return [{"pageSize": net().conf.default_page_size}]


def _flat(made: Iterable[Any]) -> list[Query]:
    # dkist makes a list inside of the list from an OR inside of an OR.
    return [
        query
        for part in made
        for query in (_flat(part) if isinstance(part, list) else [dict(part)])
    ]


FRIED = ("qualityAverageFriedParameterMin", "qualityAverageFriedParameterMax")


def _in_metres(query: Query) -> Query:
    """Convert the Fried parameters of a query to metres.

    The catalogue has the mean of ATMOS_R0, in metres, and states a smallest value of 0.0155; dkist
    1.18 sends centimetres, which match nothing.
    """
    from astropy import units as u
    from dkist.net.attr_walker import walker
    from dkist.net.attrs import FriedParameter

    if FRIED[0] not in query:
        return query
    (metre,) = walker.create(FriedParameter(1 * u.m, 1 * u.m))
    return query | {name: query[name] / metre[name] for name in FRIED}


def _attributes(source: _Source, **given: Any) -> dict[str, Attr]:
    """Make an attribute of each argument that was given, by the argument's name."""
    from dkist.net import attrs as da
    from sunpy.net import attrs as a
    from sunpy.net.attr import or_

    from dkist_virtual.datacenter.results import SpectralLine

    def any_of(kind: Callable[[str], Attr]) -> Callable[[str | Sequence[str]], Attr]:
        return lambda values: or_(*map(kind, _listed(values)))

    def line(names: str | Sequence[str]) -> Attr:
        return any_of(SpectralLine)(
            [known for name in _listed(names) for known in _lines_of(name, source)]
        )

    kinds: dict[str, Callable[[Any], Attr]] = {
        "instrument": any_of(a.Instrument),
        "time": lambda pair: pair if isinstance(pair, a.Time) else a.Time(*_times(pair)),
        "wavelength": lambda value: a.Wavelength(*_one_or_two("wavelength", value)),
        "spectral_line": line,
        "target": any_of(da.TargetType),
        "proposal": any_of(da.Proposal),
        "product": any_of(da.Product),
        "dataset": any_of(da.Dataset),
        "exposure": lambda pair: da.ExposureTime(*_range("exposure", pair)),
        "fried": lambda pair: da.FriedParameter(*_range("fried", pair)),
        "stokes": lambda letters: a.Physobs(_physobs(letters)),
        "bounding_box": lambda box: box if isinstance(box, da.BoundingBox) else da.BoundingBox(box),
        "embargoed": da.Embargoed,
        "status": lambda word: da.Status(_status(word)),
        "page": lambda n: da.Page(_number("page", n)),
        "page_size": lambda n: da.PageSize(_number("page_size", n)),
    }
    return {name: kinds[name](value) for name, value in given.items() if value is not None}


def _listed(values: str | Sequence[str]) -> list[str]:
    return [values] if isinstance(values, str) else list(values)


def _pair(name: str, given: Sequence[T]) -> tuple[T, T]:
    try:
        first, second = given
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {given!r}: expected two values, from and to") from None
    return first, second


def _times(given: Sequence[Moment] | TimeRange) -> tuple[Time, Time]:
    """Read two moments."""
    ends = read_time_range(given) or tuple(map(_time, _pair("time", given)))
    first, second = (end.utc for end in ends)  # as the Data Center's
    return first, second


def _time(given: Moment) -> Time:
    try:
        moment = read_time(given)
    except ValueError as error:
        raise ValueError(f"time: {error}: expected {EXPECTED}") from None
    if moment is None or not moment.isscalar:
        raise ValueError(f"time: {given!r}: expected {EXPECTED}")
    return moment


def _range(name: str, given: Sequence[Quantity]) -> tuple[Quantity, Quantity]:
    """Check two quantities; return the smaller one first."""
    pair = _pair(name, given)
    for value in pair:
        _check_quantity(name, value)
    first, second = sorted(pair)
    return first, second


def _check_quantity(name: str, value: object) -> None:
    from astropy import units as u

    if not isinstance(value, u.Quantity) or not value.isscalar or not np.isfinite(value.value):
        raise ValueError(
            f"{name} = {value!r}: expected a finite value with a unit, such as 630.25 * u.nm"
        )


def _one_or_two(name: str, given: Quantity | Sequence[Quantity]) -> tuple[Quantity, ...]:
    if isinstance(given, (str, int, float)) or getattr(given, "isscalar", False):
        _check_quantity(name, given)
        return (given,)
    return _range(name, given)


def _physobs(letters: str) -> str:
    known = {"IQUV": "stokes_parameters", "I": "intensity"}
    if letters not in known:
        raise ValueError(f"stokes = {letters!r}: expected 'IQUV' or 'I'")
    return known[letters]


def _status(word: str) -> str:
    known = {"active": "ACTIVE", "deprecated": "DEPRECATED", "removed": "REMOVED", "any": "any"}
    if str(word).lower() not in known:
        raise ValueError(f"status = {word!r}: expected one of {', '.join(known.values())}")
    return known[word.lower()]


def _number(name: str, n: object) -> int:
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"{name} = {n!r}: expected a whole number of at least 1")
    return n


# Spectral lines -----------------------------------------------------------------------------


def spectral_lines() -> list[str]:
    """List the spectral lines that the Data Center has datasets of, by its own names.

    Raises
    ------
    SearchError
    """
    conf = net().conf
    (found,) = ask([conf.dataset_endpoint + conf.dataset_search_values_path])
    try:
        values = {each["parameterName"]: each["values"] for each in found["parameterValues"]}
        lines = sorted(values["spectralLines"]["categoricalValues"])
        if not all(isinstance(line, str) for line in lines):
            raise TypeError(f"{lines!r:.80}: expected names")
        return lines
    except (AttributeError, KeyError, TypeError) as error:
        raise SearchError(
            f"the Data Center's search values have no spectralLines: {error}"
        ) from None


def _lines_of(name: str, source: _Source) -> list[str]:
    """Find the Data Center's names of the lines that match a name, one at least."""
    known = source.lines()
    if name in known:
        return [name]
    found = [line for line in known if _matches(name, line)]
    if not found:
        raise ValueError(
            f"spectral_line = {name!r}: expected one of {', '.join(known) or 'none: it names none'}"
        )
    return found


# Words begin with a letter ("Mg I b1"), a wavelength does not.
_LINE = re.compile(
    r"(?P<words>[A-Za-z]\S*(\s+[A-Za-z]\S*)*)?[\s(]*(?P<number>\d+(\.\d+)?)?\s*(nm|Å|A)?[\s)]*"
)


def _matches(name: str, line: str) -> bool:
    """Whether a name matches a line: the same element and ion, and the wavelength if given.

    A wavelength may be rounded, and in nanometres or in Ångström: ``Fe I 6302`` is both of 630.15
    and 630.25 nm.
    """
    asked, known = (
        _LINE.fullmatch(text.replace("\N{GREEK SMALL LETTER ALPHA}", " alpha"))
        for text in (name, line)
    )
    if asked is None or known is None or not (asked["words"] or asked["number"]):
        return False
    words = [(match["words"] or "").lower().split() for match in (asked, known)]
    same = words[1][: len(words[0])] == words[0] or "".join(words[0]) == "".join(words[1])
    if asked["number"] is None:
        return same
    decimals = len(asked["number"].partition(".")[2])
    return same and any(
        abs(float(known["number"]) - float(asked["number"]) / unit)
        <= 0.5 * 10**-decimals / unit + 1e-9
        for unit in (1, 10)
    )


# Nothing found ------------------------------------------------------------------------------


def _label(attribute: Attr) -> str:
    from sunpy.net.attr import AttrOr

    if isinstance(attribute, AttrOr):
        kinds = {type(part).__name__ for part in attribute.attrs}
        return kinds.pop() if len(kinds) == 1 else "the alternatives"
    return type(attribute).__name__


def _advice(named: Sequence[tuple[str, Attr]], status: str | None, source: _Source) -> str:
    """Search again without one argument each, and write how many datasets that finds."""
    from dkist.net.attrs import Page, PageSize, Status
    from sunpy.net.attr import AttrAnd, and_

    parts: list[tuple[str, Attr]] = []
    for name, attribute in named:
        inner = attribute.attrs if isinstance(attribute, AttrAnd) else [attribute]
        parts += [(name if len(inner) == 1 else _label(part), part) for part in inner]
    parts = [(name, part) for name, part in parts if not isinstance(part, (Page, PageSize))]
    trials = [
        (f"without {name}", [other for other in parts if other[1] is not part])
        for name, part in parts
        if name != "status"
    ]
    if status is None and not any(isinstance(part, Status) for _, part in parts):
        trials.append(("with status='any'", [*parts, ("status", Status("any"))]))
    lines = []
    for words, kept in trials:
        attributes = [part for _, part in kept]
        queries = parameters(and_(*attributes)) if attributes else _listing()
        counts = source.answers([query | {"pageSize": 1} for query in queries])
        n = sum(map(_count, counts))
        if n:
            lines.append(f"  {words}: {n}")
    if "page" in dict(named):
        lines.append("  with an earlier page")
    if not lines:
        return "Nothing found, nor without any one of the arguments: leave out several."
    return "Nothing found. There are datasets\n" + "\n".join(lines)
