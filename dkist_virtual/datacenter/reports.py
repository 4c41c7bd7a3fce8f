"""Fetch the quality report and the preview movie of a dataset, as ``dkist`` offers them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dkist_virtual.datacenter.catalogue import fetch_file

__all__ = ["FetchedFile", "QualityReport", "fetch_movie", "fetch_quality_report"]

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # the one of this system, which Python 3.11 wants


class FetchedFile(_Path):
    """The path of a file that was fetched; also the list of one path that ``dkist`` returns."""

    @property
    def errors(self) -> list[object]:
        """Nothing: a download that fails raises."""
        return []

    def __len__(self) -> int:
        return 1

    def __getitem__(self, item: Any) -> Any:
        return [str(self)][item]

    def __iter__(self) -> Iterator[str]:
        return iter([str(self)])

    def with_segments(self, *segments: str | os.PathLike[str]) -> Any:
        """Make paths of it, its directory say, ordinary ones; Python 3.12 asks for this."""
        return Path(*segments)


def fetch_quality_report(
    identity: str,
    path: str | os.PathLike[str] | None = None,
    overwrite: bool | None = None,
    format: str = "pdf",  # noqa: A002  # as dkist calls it
) -> FetchedFile:
    """Fetch the Data Center's quality report of a dataset to a file, or a directory.

    Parameters
    ----------
    identity : str
        The dataset's ID.
    path : path, optional
        A file, or a directory, which is created if the path ends with a slash; by default the
        current directory.
    overwrite : bool, optional
        False keeps a file that is there, and fetches nothing. Otherwise it is replaced once the new
        one is whole.
    format : {"pdf", "json"}

    Raises
    ------
    SearchError
        The Data Center has none, does not answer, or sends something else.
    DownloadError
        The file cannot be written.
    """
    wanted = format.lower() if isinstance(format, str) else format
    if wanted not in ("pdf", "json"):
        raise ValueError(
            f"Unsupported quality report format: format = {format!r}: expected 'pdf' or 'json'"
        )
    return _fetch("quality", identity, path, overwrite, wanted)


def fetch_movie(
    identity: str, path: str | os.PathLike[str] | None = None, overwrite: bool | None = None
) -> FetchedFile:
    """Fetch the Data Center's preview movie of a dataset; see `fetch_quality_report`."""
    return _fetch("movie", identity, path, overwrite, "pdf")


def _fetch(
    kind: Literal["quality", "movie"],
    identity: str,
    path: str | os.PathLike[str] | None,
    overwrite: bool | None,
    form: Any,
) -> FetchedFile:
    if overwrite not in (True, False, None):
        raise ValueError(f"overwrite = {overwrite!r}: expected True, False or None")
    place = os.curdir if path is None else path
    return FetchedFile(fetch_file(kind, identity, place, form=form, keep=overwrite is False))


class QualityReport(Mapping[str, Any]):
    """What the dataset's meta says of its quality; called, it fetches the whole report.

    Empty, and False, where the meta says nothing.

    Parameters
    ----------
    stated : mapping or None
    fetch : callable
        Takes the arguments of `fetch_quality_report` after the ID.
    """

    def __init__(self, stated: Any, fetch: Callable[..., FetchedFile]) -> None:
        given = {} if stated is None else stated
        self._stated = given if isinstance(given, Mapping) else {"quality": given}
        self._fetch = fetch

    def __getitem__(self, key: str) -> Any:
        return self._stated[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stated)

    def __len__(self) -> int:
        return len(self._stated)

    def __call__(
        self,
        path: str | os.PathLike[str] | None = None,
        overwrite: bool | None = None,
        format: str = "pdf",  # noqa: A002  # as dkist calls it
    ) -> FetchedFile:
        """Fetch the report to a file, or a directory; see `fetch_quality_report`."""
        return self._fetch(path, overwrite, format)

    def __repr__(self) -> str:
        return repr(self._stated)
