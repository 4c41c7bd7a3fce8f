"""Open an Icechunk repository with the user's credentials, and translate its errors.

Credentials come from ``storage_options``, where a user gives those of frames too, and are never
written. Icechunk has a runtime of its own with threads, which a forked process does not have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import StoreCorruptError, StoreError, StoreMissingError
from dkist_virtual.io.locations import Location, local_path, shown
from dkist_virtual.store.icechunk.address import (
    RepositoryAddress,
    is_repository,
    no_repository_error,
)

if TYPE_CHECKING:
    import icechunk

    from dkist_virtual.io.fetcher import Fetcher

__all__ = [
    "COMMIT_KEY",
    "OpenSnapshot",
    "import_icechunk",
    "open_repository",
    "open_session",
    "quiet",
    "storage_of",
    "translate_errors",
]

COMMIT_KEY: Final = "dkist_virtual"
"""Where the metadata of a commit say which store was written."""

_S3: Final = frozenset({"anon", "key", "secret", "token", "endpoint_url", "client_kwargs"})
_S3_CLIENT: Final = frozenset({"endpoint_url", "region_name"})

_used_in: list[int] = []
"""The process in which Icechunk's threads run."""


def import_icechunk() -> Any:
    """Import Icechunk.

    Raises
    ------
    StoreError
        It is not installed, or was used before this process was forked: it would wait for ever.
    """
    try:
        import icechunk
    except ImportError:
        raise StoreError(
            "an Icechunk repository is read and written by the package icechunk, which is not "
            "installed: python -m pip install 'dkist-virtual[icechunk]'"
        ) from None
    if _used_in and _used_in[0] != os.getpid():
        raise StoreError(
            "an Icechunk repository was opened before this process was forked, and Icechunk's "
            "threads are not in a forked process: start processes by 'spawn' or 'forkserver', or "
            "open the dataset in this one first"
        )
    _used_in[:] = [os.getpid()]
    return icechunk


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Icechunk from warning, at every opening, that files on a disk have no locks.

    Where it matters, in writing, there is a lock of ours.
    """
    import icechunk

    if "ICECHUNK_LOG" in os.environ:
        yield
        return
    icechunk.set_logs_filter("error")
    try:
        yield
    finally:
        icechunk.set_logs_filter(None)


def storage_of(address: RepositoryAddress, fetcher: Fetcher) -> Any:
    """Make Icechunk's storage of a repository.

    Raises
    ------
    StoreError
        The installed version of Icechunk cannot read it.
    ValueError
        `storage_options` has what Icechunk does not know.
    """
    icechunk = import_icechunk()
    if address.is_local:
        return icechunk.local_filesystem_storage(local_path(address.place))
    location = Location.of(address.place)
    options = fetcher.options(address.place)
    if location.scheme == "s3":
        return icechunk.s3_storage(
            bucket=location.host,
            prefix=location.path.strip("/") or None,
            **s3_options(options, address.place),
        )
    if not hasattr(icechunk, "http_storage"):
        raise StoreError(
            f"{shown(address.repository)}: a repository on a web server is read by icechunk 2, and "
            f"{icechunk.__version__} is installed: python -m pip install --upgrade icechunk"
        )
    _refuse_unknown(options, {"headers"}, address.place)
    return icechunk.http_storage(address.place, headers=dict(options.get("headers") or {}) or None)


def s3_options(options: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Translate s3fs's options to Icechunk's.

    Raises
    ------
    ValueError
        There are others, which would be ignored.
    """
    _refuse_unknown(options, _S3, place)
    client = dict(options.get("client_kwargs") or {})
    _refuse_unknown(client, _S3_CLIENT, place, "client_kwargs")
    made: dict[str, Any] = {}
    endpoint = options.get("endpoint_url") or client.get("endpoint_url")
    if endpoint is not None:
        made["endpoint_url"] = endpoint
        made["force_path_style"] = True  # as s3fs asks servers of their own
        made["allow_http"] = str(endpoint).lower().startswith("http://")
    region = client.get("region_name")
    if region is not None or endpoint is not None:
        made["region"] = region or "us-east-1"
    if options.get("anon"):
        made["anonymous"] = True
    elif options.get("key") is not None:
        made["access_key_id"] = options["key"]
        made["secret_access_key"] = options.get("secret")
        made["session_token"] = options.get("token")
    else:
        made["from_env"] = True
    return made


def _refuse_unknown(
    given: Mapping[str, Any], known: frozenset[str] | set[str], place: str, of: str = ""
) -> None:
    if unknown := sorted(set(given) - known):
        raise ValueError(
            f"storage_options for {shown(place)}: {of and f'{of} '}{', '.join(unknown)}: Icechunk "
            f"has no such option: expected some of {', '.join(sorted(known))}. Options for this "
            "repository alone are given under its URL"
        )


def open_repository(address: RepositoryAddress, fetcher: Fetcher) -> icechunk.Repository:
    """Open a repository.

    Raises
    ------
    StoreMissingError
        There is none.
    StoreError
        It cannot be read.
    """
    package = import_icechunk()
    if address.is_local:
        _refuse_other_directory(package, address)
    with quiet(), translate_errors(address):
        opened: icechunk.Repository = package.Repository.open(storage_of(address, fetcher))
    return opened


def _refuse_other_directory(icechunk: Any, address: RepositoryAddress) -> None:
    path = local_path(address.place)
    if not is_repository(path):
        raise no_repository_error(address)
    newer = os.path.lexists(os.path.join(path, "repo"))
    if newer and int(icechunk.__version__.partition(".")[0]) < 2:
        raise StoreError(
            f"{path}: is a repository of Icechunk's format 2, and icechunk {icechunk.__version__} "
            "is installed, which reads format 1: python -m pip install --upgrade icechunk"
        )


@dataclass(frozen=True, slots=True, eq=False)
class OpenSnapshot:
    """A snapshot that is open to read.

    Parameters
    ----------
    session : icechunk.Session
    address : RepositoryAddress
        That of the snapshot, which never changes.
    store_id : str or None
        The ID of the store that its commit says it wrote; None of other programs' commits.
    """

    session: icechunk.Session
    address: RepositoryAddress
    store_id: str | None


def open_session(address: RepositoryAddress, fetcher: Fetcher) -> OpenSnapshot:
    """Open the chosen snapshot to read.

    Raises
    ------
    StoreMissingError
        There is no such repository, branch, tag or snapshot.
    StoreError
        It cannot be read.
    """
    repository = open_repository(address, fetcher)
    with translate_errors(address):
        if address.snapshot is not None:
            session = repository.readonly_session(snapshot_id=address.snapshot)
        elif address.tag is not None:
            session = repository.readonly_session(tag=address.tag)
        else:
            session = repository.readonly_session(address.branch or "main")
        about = repository.lookup_snapshot(session.snapshot_id)
        mark = dict(about.metadata or {}).get(COMMIT_KEY)
        return OpenSnapshot(session, address.at(session.snapshot_id), mark)


_ABSENT: Final = re.compile(r"repository (doesn't|does not) exist|repository not found", re.I)
_NO_REF: Final = re.compile(
    r"ref not found|snapshot (id )?not found|invalid (snapshot id|ref name)|not find", re.I
)


@contextmanager
def translate_errors(address: RepositoryAddress) -> Iterator[None]:
    """Raise what Icechunk raises as errors of stores."""
    import icechunk

    try:
        yield
    except icechunk.ConflictError:
        raise
    except icechunk.IcechunkError as error:
        text = _said(error)
        place = shown(address.repository)
        if _ABSENT.search(text):
            older = int(icechunk.__version__.partition(".")[0]) < 2 and not address.is_local
            more = (
                f", or one of format 2, which the installed icechunk {icechunk.__version__} does "
                "not read"
            )
            raise no_repository_error(address, more * older) from error
        if _NO_REF.search(text):
            raise StoreMissingError(f"{place}: has no {address.chosen}: {text}") from error
        corrupt = re.search(r"deserializ|decode|invalid|version|node not found", text, re.I)
        kind = StoreCorruptError if corrupt else StoreError
        raise kind(f"{place}: Icechunk cannot read {address.chosen}: {text}") from error


def _said(error: Exception) -> str:
    """Give the first sentence of one of Icechunk's errors, which come with a trace of its code."""
    text = str(error).strip()
    first = re.split(r"\n|\s+\|", text, maxsplit=1)[0]
    return first.strip().removeprefix("x ").strip() or type(error).__name__
