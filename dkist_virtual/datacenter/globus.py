"""Get frames through Globus: transfers as ``dkist`` makes them, logins, collections over HTTPS."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from dkist_virtual.datacenter.catalogue import (
    Record,
    dataset_id,
    endpoint_id,
    find,
    globus_path,
    net,
    status_of,
)
from dkist_virtual.errors import (
    AccessError,
    DatasetError,
    DKISTVirtualError,
    DownloadError,
    EmbargoError,
    FrameLoginError,
    HTTPSOffError,
    LocationError,
    LoginError,
    RemovedError,
    redacted,
)
from dkist_virtual.io.locations import Location
from dkist_virtual.text import counted

__all__ = ["Transfer", "check_access", "login", "over_https", "transfer"]

TRANSFER: Final = "transfer.api.globus.org"

_LOG_IN: Final = (
    "run `dkist-virtual login`, or `dkist-virtual login --no-browser` on a machine without a "
    "browser: it prints an address to open on another one, and takes the code that is shown there"
)


@dataclass(frozen=True)
class Transfer:
    """What was handed to Globus; its text is the line that the command closes with.

    Attributes
    ----------
    task_id : str
    destination : str
        The directory at the destination endpoint.
    n_files : int
        The ASDF included.
    done : bool
        Whether it was waited for.
    local : str or None
        The same directory on this machine, where the endpoint is its own.
    """

    task_id: str
    destination: str
    n_files: int
    done: bool
    local: str | None

    def __str__(self) -> str:
        said = "transferred to" if self.done else "are being transferred to"
        return (
            f"{counted(self.n_files, 'file')} {said} {redacted(self.destination)}\n"
            f"Task: https://app.globus.org/activity/{redacted(self.task_id)}"
        )


def check_access(record: Record, newer: Record | None) -> None:
    """Refuse to fetch frames that were removed, or that are under embargo.

    Parameters
    ----------
    record, newer : dict
        As `catalogue.find` gives them.

    Raises
    ------
    RemovedError, EmbargoError
    """
    own = dataset_id(record)
    if status_of(record) == "REMOVED":
        instead = (
            "and nothing replaced it so far"
            if newer is None
            else f"{dataset_id(newer)} replaced it: dv.open_dataset({dataset_id(newer)!r})"
        )
        raise RemovedError(f"{own}: its frames were removed by the Data Center; {instead}")
    if record.get("isEmbargoed"):
        until = record.get("embargoEndDate") or "a date that the Data Center does not say"
        raise EmbargoError(
            f"{own}: is under embargo until {until}. Until then only those of proposal "
            f"{record.get('primaryProposalId')} may have its frames; if you are one of them, say "
            "embargoed=True (--embargoed)"
        )


def transfer(
    names: Sequence[str],
    inventory: Mapping[str, Any] | None,
    path: str | os.PathLike[str],
    *,
    destination_endpoint: str | None = None,
    label: str | None = None,
    wait: bool = True,
    progress: bool | Literal["verbose"] = True,
    embargoed: bool = False,
) -> Transfer:
    """Have Globus transfer frames from the Data Center, and the dataset's ASDF with them.

    Parameters
    ----------
    names : sequence of str
        The frames', relative to the dataset's directory.
    inventory : mapping
        The dataset's, which names it.
    path : path
        A directory at the destination; ``{instrument}/{dataset_id}`` and the like are filled in,
        as ``dkist`` does.
    destination_endpoint : str, optional
        By ID or name; by default Globus Connect Personal of this machine.
    label : str, optional
    wait : bool
        Whether to return only once the files are there.
    progress : bool or "verbose"
        Whether to show a bar meanwhile, and everything that Globus says.
    embargoed : bool
        Try though the dataset is under embargo.

    Raises
    ------
    DatasetError
        The inventory does not say which dataset it is.
    SearchError
        The Data Center, which is asked who may have the frames, does not answer.
    AccessError
        Nobody may have them, or not yet, or nobody is logged in.
    DownloadError
        Globus did not take the task, or did not bring it to an end.
    """
    if not inventory or not inventory.get("datasetId"):
        raise DatasetError("the dataset's inventory names no dataset ID to transfer frames of")
    record, newer = find(str(inventory["datasetId"]))
    check_access({**record, "isEmbargoed": record.get("isEmbargoed") and not embargoed}, newer)
    source = PurePosixPath(globus_path(record))
    destination = _destination(path, record, here=destination_endpoint is None)
    files = {source / name: destination / name for name in names}
    if record.get("asdfObjectKey"):
        asdf = PurePosixPath("/", str(record.get("bucket")), str(record["asdfObjectKey"]))
        files[asdf] = destination / asdf.name

    from dkist.net.globus.endpoints import get_local_endpoint_id
    from dkist.net.globus.transfer import start_transfer_from_file_list, watch_transfer_progress

    if destination_endpoint is None:
        try:
            endpoint = get_local_endpoint_id()
        except ConnectionError as error:
            raise DownloadError(
                "no Globus Connect Personal was found on this machine: set it up, or say which "
                "endpoint shall take the files with destination_endpoint= (--to)"
            ) from error
    else:
        endpoint = destination_endpoint
    with _globus():
        center = endpoint_id()
        client, _ = _client(center)
        task_id = start_transfer_from_file_list(
            center, endpoint, list(files.values()), list(files), label=label
        )
        if wait:
            if progress:
                watch_transfer_progress(task_id, client, verbose=progress == "verbose")
            else:
                client.task_wait(task_id, timeout=10**6)
            task = client.get_task(task_id)
            if task["status"] != "SUCCEEDED":
                raise DownloadError(
                    f"Globus ended the transfer as {task['status']}, with "
                    f"{task.get('files_transferred')} of {task.get('files')} files transferred: "
                    f"{task.get('nice_status_details') or 'it says no more'}. See "
                    f"https://app.globus.org/activity/{task_id}"
                )
    local = _on_this_machine(destination) if destination_endpoint is None else None
    return Transfer(task_id, str(destination), len(files), wait, local)


def _destination(path: str | os.PathLike[str], record: Record, *, here: bool) -> PurePosixPath:
    """The directory at the destination, with its patterns filled in."""
    text = os.fspath(path)
    if "{" in text:
        from dkist.utils.inventory import path_format_inventory

        values = path_format_inventory(record)
        try:
            filled = text.format(**values)
        except (KeyError, IndexError) as error:
            known = ", ".join(values)
            raise ValueError(f"path {text!r}: there is no {error}; there is {known}") from None
        if filled.count("/") != text.count("/") or ".." in PurePosixPath(filled).parts:
            raise DownloadError(f"path {text!r}: became {filled!r}, which leads elsewhere")
        text = filled
    if here and not text.startswith("/~/"):
        text = os.path.abspath(os.path.expanduser(text))
    return PurePosixPath(text)


def _on_this_machine(destination: PurePosixPath) -> str:
    text = str(destination)
    return os.path.expanduser(text.removeprefix("/") if text.startswith("/~") else text)


@contextmanager
def _globus() -> Iterator[None]:
    """Say of what Globus refuses what it means, and what to do."""
    import globus_sdk

    try:
        yield
    except globus_sdk.AuthAPIError as error:
        raise LoginError(f"the login to Globus has expired: {_LOG_IN}") from error
    except globus_sdk.GlobusAPIError as error:
        if error.http_status == 401:
            raise LoginError(f"Globus does not accept the login: {_LOG_IN}") from error
        said = f"Globus answered {error.http_status} {error.code}: {error.message}"
        if error.http_status == 403:
            raise AccessError(f"no permission: {said}") from error
        raise DownloadError(said) from error
    except globus_sdk.NetworkError as error:
        raise DownloadError(f"Globus could not be asked: {error}") from error
    except globus_sdk.GlobusSDKUsageError as error:
        raise DownloadError(f"Globus was not asked: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, DKISTVirtualError):
            raise
        raise DownloadError(
            f"Globus answered what was not expected: {type(error).__name__}: {error}"
        ) from error


# Logins -------------------------------------------------------------------------------------


def _client(collection: str) -> tuple[Any, Any]:
    """The client of dkist's own login, tried, and what Globus says of a collection.

    Without a login that is good, dkist would open a browser and wait for it, for ever where there
    is none. Here nobody is asked.

    Raises
    ------
    LoginError
        There is no login.
    """
    from dkist.net.globus.auth import get_cache_contents
    from dkist.net.globus.endpoints import get_transfer_client

    if TRANSFER not in get_cache_contents():
        raise LoginError(f"nobody is logged in to Globus on this machine: {_LOG_IN}")
    client = get_transfer_client()
    return client, client.get_endpoint(collection)


def login(
    collection: str | None = None,
    *,
    browser: bool = True,
    seconds: float = 300.0,
    say: Callable[[str], object],
    ask: Callable[[str], str],
) -> None:
    """Log in to Globus; the tokens are kept where ``dkist`` keeps its own, or beside.

    Parameters
    ----------
    collection : str, optional
        ID of a collection whose files shall be read over HTTPS; by default the login is for
        transfers, and the one of ``dkist``.
    browser : bool
        Open one on this machine. Otherwise, and for a collection, an address is said and a code
        asked for, and so it is where this machine has no browser.
    seconds : float
        How long to wait for the browser.
    say, ask : callable
        Take what is said to the user; the latter gives the answer.
    """
    net()
    import globus_sdk
    from dkist.net.globus import auth

    with _globus():
        client = globus_sdk.NativeAppAuthClient(client_id=auth.CLIENT_ID)
        if browser and collection is None and _has_browser():
            auth.save_auth_cache(_by_browser(client, auth, say, seconds))
            return
        scopes = auth.SCOPES if collection is None else [_scope(collection)]
        client.oauth2_start_flow(requested_scopes=list(scopes), refresh_tokens=True)
        say(f"Open this address in a browser, on any machine:\n{client.oauth2_get_authorize_url()}")
        answer = client.oauth2_exchange_code_for_tokens(ask("The code that is shown there").strip())
    if collection is None:
        auth.save_auth_cache(answer)
    else:
        _keep(answer)
        _https_authorizer.cache_clear()


def _has_browser() -> bool:
    """Whether there is a browser to open on this machine."""
    import webbrowser

    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def _by_browser(client: Any, auth: Any, say: Callable[[str], object], seconds: float) -> Any:
    """Log in with a browser of this machine, which hands the code to a server here.

    What dkist does, with an end to the waiting: it waits for ever where nobody answers.
    """
    import queue
    import webbrowser

    server = auth.start_local_server()
    try:
        address = f"http://{server.server_address[0]}:{server.server_address[1]}"
        client.oauth2_start_flow(
            requested_scopes=list(auth.SCOPES), redirect_uri=address, refresh_tokens=True
        )
        url = client.oauth2_get_authorize_url()
        say(f"Log in with the browser that opens, or open this address in one here:\n{url}")
        if not webbrowser.open(url, new=1):
            raise LoginError(f"no browser could be opened: {_BY_CODE}")
        try:
            # Its public `wait_for_code` has no timeout.
            code = server._auth_code_queue.get(timeout=seconds)
        except queue.Empty:
            raise LoginError(f"no answer from the browser in {seconds:g} s: {_BY_CODE}") from None
    finally:
        server.shutdown()
        server.server_close()
    if not code:
        raise LoginError(f"the browser handed over no code: the login was refused. {_BY_CODE}")
    return client.oauth2_exchange_code_for_tokens(code)


_BY_CODE: Final = "`dkist-virtual login --no-browser` takes a code from a browser anywhere"


def _scope(collection: str) -> str:
    return f"https://auth.globus.org/scopes/{collection}/https"


def _token_file() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("dkist_virtual") / "globus_https.json"


def _kept() -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(_token_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept


def _keep(answer: Any) -> None:
    """Keep the tokens of collections, for this user's eyes alone."""
    tokens = _kept() | dict(answer.by_resource_server)
    path = _token_file()
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(tokens, file)
        partial.replace(path)
    except OSError as error:
        raise LoginError(
            f"{path}: the login cannot be kept there: {error.strerror or error}. XDG_CACHE_HOME "
            "names another place"
        ) from error


# Over HTTPS ---------------------------------------------------------------------------------


def over_https(identity: str, collection: str | None = None) -> dict[str, Any]:
    """Where a collection serves a dataset's frames over HTTPS, for those that turned it on.

    Nothing public shows it turned on for the Data Center's collection. A copy elsewhere may.

    Parameters
    ----------
    identity : str
        Dataset ID.
    collection : str, optional
        ID of a Globus collection with the Data Center's directories; by default its own.

    Returns
    -------
    dict
        ``frames`` and ``storage_options`` for `dkist_virtual.open_dataset`. The token is a
        fresh one whenever a request is sent.

    Raises
    ------
    LoginError
        Nobody is logged in, to Globus or for this collection.
    HTTPSOffError
        The collection serves nothing over HTTPS.
    """
    record, newer = find(identity)
    check_access({**record, "isEmbargoed": False}, newer)
    with _globus():
        own = collection or endpoint_id()
        server = _client(own)[1]["https_server"]
    if server:
        server = str(_https_server(server, own))
    else:
        raise HTTPSOffError(
            f"HTTPS is off for the Globus collection {own}: ds.download(path, via='globus') "
            "transfers frames from it"
        )
    headers = Bearer(own)
    headers["Authorization"]  # whoever has no login is told now, not at the first frame
    return {
        "frames": f"{server.rstrip('/')}{globus_path(record)}",
        "storage_options": {f"{server.rstrip('/')}/": {"headers": headers}},
    }


def _https_server(given: Any, collection: str) -> Location:
    """The server that the token is for, by what Globus says.

    Raises
    ------
    DownloadError
    """
    try:
        server = Location.of(str(given))
        if server.is_web and not server.query and "@" not in server.host:
            return server.without_end_slash()
    except LocationError:
        pass
    raise DownloadError(
        f"Globus says that the HTTPS server of its collection {collection} is {str(given)!r:.80}: "
        "expected a web address"
    )


@dataclass(frozen=True)
class Bearer(Mapping[str, str]):
    """The headers for a collection's HTTPS server: a token, refreshed where it has expired.

    It holds no token itself, so that it may be printed, and go to other processes of this user.

    Parameters
    ----------
    collection : str
    """

    collection: str

    def __getitem__(self, name: str) -> str:
        if name != "Authorization":
            raise KeyError(name)
        import globus_sdk

        again = f"run `dkist-virtual login --https {self.collection}`"
        try:
            authorizer = _https_authorizer(self.collection)
            header: str | None = authorizer.get_authorization_header()
        except KeyError:
            raise LoginError(
                f"nobody is logged in for the Globus collection {self.collection}: {again}"
            ) from None
        except globus_sdk.GlobusError as error:
            raise FrameLoginError(
                f"the token for the Globus collection {self.collection} has expired, and Globus "
                f"gives no other ({error}): {again}"
            ) from error
        assert header is not None
        return header

    def __iter__(self) -> Iterator[str]:
        return iter(("Authorization",))

    def __len__(self) -> int:
        return 1


@cache
def _https_authorizer(collection: str) -> Any:
    import globus_sdk
    from dkist.net.globus.auth import CLIENT_ID

    tokens = _kept()[collection]
    return globus_sdk.RefreshTokenAuthorizer(
        tokens["refresh_token"],
        globus_sdk.NativeAppAuthClient(client_id=CLIENT_ID),
        access_token=tokens["access_token"],
        expires_at=tokens["expires_at_seconds"],
        on_refresh=_keep,
    )
