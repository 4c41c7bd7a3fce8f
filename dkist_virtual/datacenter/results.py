"""Show the results of a search as a sunpy table; add a search attribute that dkist lacks.

This module imports ``dkist.net``, which makes a request: import it inside of functions, as `search`
does.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from astropy.table import TableAttribute
from dkist.net.attr_walker import walker
from dkist.net.client import DKISTClient, DKISTQueryResponseTable
from sunpy.net.attr import SimpleAttr
from sunpy.net.base_client import QueryResponseRow

from dkist_virtual.errors import DatasetError, SearchError
from dkist_virtual.store.format.header_table import OneLineFormatter
from dkist_virtual.text import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.datacenter.catalogue import Query, Record
    from dkist_virtual.store.frame_locations import FramePlaces
    from dkist_virtual.store.read_options import StorageOptions

__all__ = ["ResultRow", "Results", "SpectralLine"]


class SpectralLine(SimpleAttr):
    """A spectral line, by the Data Center's name for it, such as ``"Fe I (630.25 nm)"``."""

    def __init__(self, name: str) -> None:
        super().__init__(name)


@walker.add_applier(SpectralLine)  # type: ignore[untyped-decorator]
def _(_: object, attr: SpectralLine, params: Query) -> None:
    params.update({"spectralLines": attr.value})


SHOWN = [
    "Product ID",
    "Dataset ID",
    "Start Time",
    "End Time",
    "Instrument",
    "Wavelength",
    "Spectral Lines",
    "Stokes Parameters",
    "Number of Frames",
    "Dataset Size",
    "Average Fried Parameter",
    "Embargoed",
]


FORMATS = {
    "Wavelength": ".2f",
    "Dataset Size": ".3g",
    "Average Fried Parameter": ".3f",
}

# Lists of equal length would be a column of two dimensions.
JOINED = {"Stokes Parameters": "", "Spectral Lines": ", ", "Target Types": ", "}


class ResultRow(QueryResponseRow):
    """A dataset that was found."""

    def view(
        self,
        *others: Any,
        frames: FramePlaces = None,
        storage_options: StorageOptions | None = None,
        **page: Any,
    ) -> Any:
        """Open the dataset, and show it in a browser.

        Parameters
        ----------
        *others : Dataset or TiledDataset
            Shown with it, in step by nearest time.
        frames, storage_options : optional
            As `dkist_virtual.open_dataset` takes them.
        **page
            As `Dataset.view` takes them: download_to, browser, host, port.

        Returns
        -------
        Viewer

        Raises
        ------
        DatasetError
            It is an inversion, which is shown one quantity at a time.
        """
        # By its name: opening a dataset imports this module.
        package = import_module("dkist_virtual")
        opened = package.open_dataset(self, frames=frames, storage_options=storage_options)
        if not hasattr(opened, "view"):
            raise DatasetError(
                f"view: {type(opened).__name__}: expected a Dataset or TiledDataset: open it with "
                "dv.open_dataset, and view one of its quantities: inversion[quantity].view()"
            )
        return opened.view(*others, **page)


class Results(DKISTQueryResponseTable):
    """Datasets that were found; `dkist_virtual.open_dataset` takes a row, and its `view` shows it.

    A table of sunpy's: ``results.sort("Start Time")``, ``results[results["Embargoed"] == False]``,
    ``results.show("Dataset ID", "Primary Proposal ID")``, ``results.show()`` for all columns.
    """

    Row = ResultRow

    TableFormatter = OneLineFormatter

    advice = TableAttribute(default="")

    pages = TableAttribute(default="")

    @classmethod
    def of(cls, records: list[Record], total: int, page: int, further: Sequence[str] = ()) -> Self:
        """Make the table of the records of a page, with the columns of dkist, or raise SearchError.

        `total` is the number of records of all pages; `further` columns are shown beside dkist's.
        """
        try:
            # A key that one of them lacks breaks dkist's table.
            keys = dict.fromkeys(key for record in records for key in record)
            alike = [{key: record.get(key) for key in keys} for record in records]
            answer = {"recordCount": len(alike), "searchResults": alike}
            return cls._made(answer, total, page, further)
        except MemoryError:
            raise
        except Exception as error:  # dkist, astropy and sunpy each have errors of their own
            raise SearchError(
                f"the Data Center's records cannot be read: {shorten(error)}"
            ) from error

    @classmethod
    def _made(cls, answer: dict[str, Any], total: int, page: int, further: Sequence[str]) -> Self:
        made = cls.from_results([answer], client=DKISTClient())
        made.total_available_results = 0  # dkist says on every page that Page(2) is the next
        if not len(made):  # dkist makes no columns then
            names = [*SHOWN, *further]
            return cls({name: np.array([], str) for name in names}, client=DKISTClient())
        if further:  # dkist removes columns that nothing is known of
            for name in SHOWN:
                if name not in made.colnames:
                    made[name] = np.array([None] * len(made), object)
        for name, between in JOINED.items():
            if name in made.colnames:
                made[name] = [
                    each if isinstance(each, str) else between.join(each or ())
                    for each in made[name].tolist()
                ]
        for name, form in FORMATS.items():
            if name in made.colnames:
                made[name].info.format = form
        active = "Status" not in made.colnames or not (made["Status"] != "ACTIVE").any()
        shown = SHOWN if active else [*SHOWN[:2], "Status", *SHOWN[2:]]
        made.display_keys = [*shown, *further]
        if total > len(made):
            made.pages = f"{len(made)} of {total} datasets, page {page}: page= shows the others"
        return made  # type: ignore[no-any-return]

    # Slices of astropy's tables share their attributes with the whole table. sunpy resets the
    # columns to show on a slice, which would change the table when it is printed first. Only these
    # private methods of theirs come in between.
    def _with_own_attributes(self, table: Self) -> Self:
        table.meta = {**self.meta, "__attributes__": dict(self.meta.get("__attributes__", {}))}
        return table

    def _new_from_slice(self, slice_: slice) -> Self:
        made = self._with_own_attributes(super()._new_from_slice(slice_))
        made.pages = ""  # some rows are not a page of a longer list
        return made

    @property
    def _display_table(self) -> DKISTQueryResponseTable:
        twin = self._with_own_attributes(self.copy(copy_data=False))
        return DKISTQueryResponseTable._display_table.fget(twin)

    def __str__(self) -> str:
        return self.advice or "\n".join(filter(None, [str(super().__str__()), self.pages]))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>\n{self}"

    def _repr_html_(self) -> str:
        from html import escape

        if self.advice:
            return f"<pre>{escape(self.advice)}</pre>"
        return str(super()._repr_html_()) + (f"<p>{escape(self.pages)}</p>" if self.pages else "")

    def numbered(self) -> str:
        """Write the table as text, with the number of each row for ``--open``."""
        if not len(self):
            return str(self)
        shown = self._display_table
        shown.add_column(np.arange(1, len(self) + 1), index=0, name="N")
        lines: list[str] = shown.pformat(max_lines=-1, max_width=-1)
        if self.pages:
            lines.append(self.pages.replace("page=", "--page"))
        return "\n".join(lines)

    def as_json(self) -> list[dict[str, Any]]:
        """Convert every column of every row to JSON: times as text, quantities as their values."""
        return [
            {name: _plain(value) for name, value in zip(self.colnames, row, strict=True)}
            for row in self
        ]


def _plain(value: Any) -> Any:
    from astropy.time import Time
    from astropy.units import Quantity

    if isinstance(value, Time):
        return value.isot
    if isinstance(value, Quantity):
        value = value.value
    value = np.asarray(value).tolist() if isinstance(value, (np.ndarray, np.generic)) else value
    if isinstance(value, float) and not np.isfinite(value):
        return None
    try:
        json.dumps(value)
    except TypeError:
        return str(value)
    return value
