"""Ask the Data Center for records of datasets, and for the files that belong to them.

Addresses, translations and names are those of ``dkist.net``; requests are our own, because its
client has no timeout. ``import dkist.net`` makes a request, so functions import it.
"""

from __future__ import annotations

import json
import os
import re
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.error import URLError
from urllib.parse import urlencode

from dkist_virtual.datacenter.ids import is_id
from dkist_virtual.errors import (
    DatasetError,
    DKISTVirtualError,
    DownloadError,
    FrameError,
    FrameMissingError,
    SearchError,
    StoreMissingError,
)
from dkist_virtual.fits.file_check import Checked
from dkist_virtual.io.download.download import Item, download
from dkist_virtual.io.driver import read_files
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.local_file import sync
from dkist_virtual.io.locations import Location
from dkist_virtual.io.safety import unsafe_name
from dkist_virtual.store.format.dataset_asdf import ignore_expected_warnings

if TYPE_CHECKING:
    from sunpy.net.attr import Attr

    from dkist_virtual.io.download.document_check import DocumentKind

__all__ = [
    "Query",
    "Record",
    "answers",
    "ask",
    "endpoint_id",
    "fetch_asdf",
    "fetch_file",
    "find",
    "globus_path",
    "is_id",
    "name_successor",
    "net",
    "status_of",
]

Record: TypeAlias = dict[str, Any]
"""The Data Center's record of a dataset, by the API's own keys, which are the inventory's."""

Query: TypeAlias = dict[str, Any]
"""Parameters of the API's search, as ``dkist.net`` makes them."""

# Proxies are those of the environment; a query is sent as it was encoded.
_HTTP: Final = {"client_kwargs": {"trust_env": True}, "encoded": True}


def net(*, offline: bool = False) -> ModuleType:
    """Import ``dkist.net`` silently: it logs to standard output, where JSON may go.

    With `offline` it does not ask for values that may be searched for, and takes those that it has.
    """
    with ignore_expected_warnings():
        import dkist

    disabled, dkist.log.disabled = dkist.log.disabled, True
    try:
        with _without_requests() if offline else nullcontext():
            import dkist.net
    finally:
        dkist.log.disabled = disabled
    module: ModuleType = dkist.net
    return module


@contextmanager
def _without_requests() -> Iterator[None]:
    """Refuse what this thread requests by ``urllib`` while the block runs."""
    opened, this = urllib.request.urlopen, threading.get_ident()

    def refuse(*args: Any, **options: Any) -> Any:
        if threading.get_ident() == this:
            raise URLError("no request is made for a catalogue")
        return opened(*args, **options)

    urllib.request.urlopen = refuse
    try:
        yield
    finally:
        urllib.request.urlopen = opened


def ask(urls: Sequence[str]) -> list[Any]:
    """Fetch JSON from several URLs of the Data Center at once.

    Raises SearchError if it does not answer after all retries, refuses, or sends something else.
    """
    found = []
    fetcher = Fetcher({"http": _HTTP, "https": _HTTP})
    for url, reply in zip(urls, read_files(urls, fetcher), strict=True):
        if isinstance(reply, FrameError):
            cause = str(reply).removeprefix(f"{url}: ")
            if isinstance(reply, FrameMissingError):
                cause = "no such page (404): check the address in dkist.net's configuration"
            raise SearchError(f"the Data Center could not be asked: {url}: {cause}") from reply
        try:
            found.append(json.loads(reply))
        except (ValueError, RecursionError) as error:
            raise SearchError(
                f"{url}: expected JSON, found {reply[:60]!r}: is that the Data Center, or a page "
                "of a proxy or of a network that requires a login?"
            ) from error
    return found


def answers(queries: Sequence[Query]) -> list[dict[str, Any]]:
    """Send queries to the Data Center's search; return the answer to each, or raise SearchError."""
    conf = net().conf
    url = conf.dataset_endpoint + conf.dataset_search_path
    found: list[dict[str, Any]] = ask(
        [f"{url}?{urlencode(query, doseq=True)}" for query in queries]
    )
    for answer in found:
        records = answer.get("searchResults") if isinstance(answer, dict) else None
        if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
            raise SearchError(f"{url}: expected searchResults, found {str(answer)[:80]}")
    return found


def endpoint_id() -> str:
    """Ask for the ID of the Globus endpoint with the frames; raise SearchError if there is none."""
    conf = net().conf
    (found,) = ask([conf.dataset_endpoint + conf.dataset_config_path])
    identity = found.get("globusDataEndpointID") if isinstance(found, dict) else None
    if not isinstance(identity, str) or not identity:
        raise SearchError(f"the Data Center names no Globus endpoint: {found!r:.80}")
    return identity


# One dataset --------------------------------------------------------------------------------


def find(identity: str) -> tuple[Record, Record | None]:
    """Find the record of a dataset, and that of the dataset that replaced it.

    A product ID finds its newest dataset. The second record is the newest of the same product, if
    the first is no longer active; otherwise None. Raises SearchError, or StoreMissingError for an
    unknown ID.
    """
    net()
    from dkist.net.attrs import Dataset, Product, Status

    if identity.startswith("L"):
        records = _records(Product(identity)) or _records(Product(identity) & Status("any"))
    else:
        records = []
    # A dataset ID may begin with an L as well.
    records = records or _records(Dataset(identity) & Status("any"))
    if not records:
        raise StoreMissingError(
            f"{identity}: the Data Center knows no dataset or product of this ID, and there is no "
            "file or directory of that name here"
        )
    record = max(records, key=_age)
    if status_of(record) == "ACTIVE":
        return record, None
    product = record.get("productId")
    newer = _records(Product(product)) if product else []
    return record, max(newer, key=_age, default=None)


def _records(query: Attr) -> list[Record]:
    from dkist.net.attr_walker import walker

    return [
        record for answer in answers(walker.create(query)) for record in answer["searchResults"]
    ]


def _age(record: Record) -> tuple[bool, str, str]:
    """Return a key that sorts records from old to new, active ones last."""
    created = str(record.get("createDate") or record.get("headerDataUnitCreationDate") or "")
    return status_of(record) == "ACTIVE", created, str(record.get("datasetId"))


def status_of(record: Mapping[str, Any]) -> str:
    """Return ACTIVE, DEPRECATED or REMOVED."""
    return str(record.get("status") or "ACTIVE").upper()


def dataset_id(record: Mapping[str, Any]) -> str:
    """Return the dataset's ID; raise SearchError if it does not fit the name of a directory."""
    identity = str(record.get("datasetId"))
    if not is_id(identity):
        raise SearchError(f"datasetId is {identity!r}: expected capital letters and digits")
    return identity


def name_successor(newer: Record | None) -> str:
    """Write which dataset replaced one, and how to open it; nothing where there is none."""
    if newer is None:
        return ""
    return f"{dataset_id(newer)} replaced it: dv.open_dataset({dataset_id(newer)!r})"


def globus_path(record: Mapping[str, Any]) -> str:
    """Make the path of the frames' directory on the Data Center's endpoint.

    Raises DatasetError if the record lacks a part of it.
    """
    try:
        path: str = net().conf.dataset_path.format(**record)
    except KeyError as error:
        raise DatasetError(
            f"{record.get('datasetId')}: its record has no {error}, so the directory of its frames "
            "on the Data Center's Globus endpoint is unknown"
        ) from None
    if reason := unsafe_name(path.strip("/")):
        raise DatasetError(
            f"{record.get('datasetId')}: its directory on the Data Center's Globus endpoint would "
            f"be {path!r:.80}, which {reason}"
        )
    return path


# Files --------------------------------------------------------------------------------------


@dataclass
class _Queue:
    """Records the URLs that ``DKISTClient.fetch`` gives to its downloader.

    Our own download has timeouts, retries, and continues files that were interrupted.
    """

    urls: list[str] = field(default_factory=list)

    def enqueue_file(self, url: str, **_: object) -> None:
        self.urls.append(url)


def fetch_asdf(record: Record, directory: Path) -> Path:
    """Fetch the ASDF of a dataset, whole or not at all, from the URL of ``dkist.net.DKISTClient``.

    Creates the directory, and returns the path of the file. Raises SearchError.
    """
    from dkist.net.client import DKISTClient, DKISTQueryResponseTable

    identity = dataset_id(record)
    client, queue = DKISTClient(), _Queue()
    found = {"recordCount": 1, "searchResults": [record]}
    try:
        table = DKISTQueryResponseTable.from_results([found], client=client)
        client.fetch(table[0], downloader=queue)
        (url,) = queue.urls
    except MemoryError:
        raise
    except Exception as error:  # dkist, astropy and sunpy each have errors of their own
        raise SearchError(
            f"{identity}: its record cannot be read: {type(error).__name__}: {error}"
        ) from error
    name = PurePosixPath(str(record.get("asdfObjectKey") or "")).name
    if not re.fullmatch(r"\w[\w.-]*\.asdf", name):
        name = f"{identity}.asdf"
    return _fetch(url, directory / name, f"the ASDF of {identity}", "asdf")


def fetch_file(
    kind: Literal["quality", "movie"],
    identity: str,
    path: str | os.PathLike[str],
    *,
    form: Literal["pdf", "json"] = "pdf",
    keep: bool = False,
) -> Path:
    """Fetch the quality report or the preview movie of a dataset, or raise SearchError.

    The path is a file, or a directory, which is created if the path ends with a slash. With `keep`
    a file that is there stays, and nothing is fetched.
    """
    if form not in ("pdf", "json"):
        raise ValueError(f"form = {form!r}: expected 'pdf' or 'json'")
    text = os.path.expanduser(os.fspath(path))
    if not text:
        raise ValueError("path is empty: expected a file or a directory")
    name = f"{identity}_quality_report.{form}" if kind == "quality" else f"{identity}_movie.mp4"
    target = Path(text) / name if text.endswith("/") or os.path.isdir(text) else Path(text)
    if keep and target.exists():
        return target
    what = "quality report" if kind == "quality" else "preview movie"
    url = f"{net().conf.download_endpoint}/{kind}?{urlencode({'datasetId': identity})}"
    accept = {"Accept": "application/json"} if form == "json" else {}
    return _fetch(
        url, target, f"the {what} of {identity}", form if kind == "quality" else "mp4", accept
    )


MOST: Final = 2**31
"""The largest ASDF, report or movie: an ASDF of 200,000 frames has 1.4 GB."""


def _fetch(
    url: str,
    target: Path,
    what: str,
    kind: DocumentKind,
    headers: Mapping[str, str] | None = None,
) -> Path:
    """Fetch one file under a temporary name; rename it when it is whole."""
    directory = str(replace(Location.of(url).parent, query=""))
    fetcher = Fetcher({directory: {**_HTTP, "headers": dict(headers or {})}})
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent, prefix=".fetching-") as temporary:
            item = Item(target.name, (url,), -1, fetcher, Checked(None, 0), MOST, kind)
            try:
                download([item], temporary)
            except DownloadError as error:
                cause = error.failures.get(target.name, str(error))
                cause = cause.replace(f"{temporary}", str(target.parent))
                raise SearchError(f"{what} could not be fetched: {cause}") from error
            os.replace(Path(temporary) / target.name, target)
            sync(target.parent)
    except OSError as error:
        if isinstance(error, DKISTVirtualError):
            raise
        raise DownloadError(
            f"{what} cannot be written to {target}: {error.strerror or error}"
        ) from error
    return target
