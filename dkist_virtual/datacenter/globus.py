"""Transfer frames through Globus as ``dkist`` does; find collections that serve them over HTTPS."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from dkist_virtual.datacenter.catalogue import (
    Record,
    dataset_id,
    endpoint_id,
    find,
    globus_path,
    name_successor,
    status_of,
)
from dkist_virtual.datacenter.globus_login import Bearer, login, open_client, translate_errors
from dkist_virtual.errors import (
    DatasetError,
    DownloadError,
    EmbargoError,
    HTTPSOffError,
    LocationError,
    RemovedError,
    redacted,
)
from dkist_virtual.io.locations import Location
from dkist_virtual.text import counted

if TYPE_CHECKING:
    from globus_sdk import TransferClient

__all__ = ["Transfer", "check_access", "login", "over_https", "transfer"]


@dataclass(frozen=True)
class Transfer:
    """A transfer that Globus accepted; as text, the last lines of the command.

    Attributes
    ----------
    task_id : str
    destination : str
        The directory at the destination endpoint.
    n_files : int
        The ASDF included.
    done : bool
        Whether the transfer is complete.
    local : str or None
        The directory on this machine, if the endpoint is on it.
    """

    task_id: str
    destination: str
    n_files: int
    done: bool
    local: str | None

    def __str__(self) -> str:
        state = "transferred to" if self.done else "are being transferred to"
        return (
            f"{counted(self.n_files, 'file')} {state} {redacted(self.destination)}\n"
            f"Task: https://app.globus.org/activity/{redacted(self.task_id)}"
        )


def check_access(record: Record, newer: Record | None) -> None:
    """Refuse frames that were removed (RemovedError), or that are under embargo (EmbargoError)."""
    own = dataset_id(record)
    if status_of(record) == "REMOVED":
        instead = name_successor(newer) or "and nothing replaced it so far"
        raise RemovedError(f"{own}: its frames were removed by the Data Center; {instead}")
    if record.get("isEmbargoed"):
        until = record.get("embargoEndDate") or "a date that the Data Center does not state"
        raise EmbargoError(
            f"{own}: is under embargo until {until}. Until then only members of proposal "
            f"{record.get('primaryProposalId')} may fetch its frames; if you are one of them, use "
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
    """Transfer frames from the Data Center through Globus, and the dataset's ASDF with them.

    Parameters
    ----------
    names : sequence of str
        Of the frames, relative to the dataset's directory.
    inventory : mapping
        Of the dataset, with its ID.
    path : path
        A directory at the destination; ``{instrument}/{dataset_id}`` and the like are filled in,
        as in ``dkist``.
    destination_endpoint : str, optional
        ID or name; by default Globus Connect Personal on this machine.
    label : str, optional
    wait : bool
        Whether to wait until the transfer is complete.
    progress : bool or "verbose"
        Whether to show a bar meanwhile, or also all messages of Globus.
    embargoed : bool
        Try in spite of an embargo.

    Raises
    ------
    DatasetError
        The inventory has no dataset ID.
    SearchError
        The Data Center, which knows who may fetch the frames, does not answer.
    AccessError
        The frames were removed or are under embargo, or you are not logged in.
    DownloadError
        Globus did not accept the task, or did not complete it.
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
                "no Globus Connect Personal was found on this machine: set it up, or name the "
                "endpoint to transfer to with destination_endpoint= (--to)"
            ) from error
    else:
        endpoint = destination_endpoint
    with translate_errors():
        center = endpoint_id()
        client, _ = open_client(center)
        task_id = start_transfer_from_file_list(
            center, endpoint, list(files.values()), list(files), label=label
        )
        if wait:
            if progress:
                watch_transfer_progress(task_id, client, verbose=progress == "verbose")
            else:
                client.task_wait(task_id, timeout=10**6)
            _check_task(client, task_id)
    local = None
    if destination_endpoint is None:
        text = str(destination)
        local = os.path.expanduser(text.removeprefix("/") if text.startswith("/~") else text)
    return Transfer(task_id, str(destination), len(files), wait, local)


def _check_task(client: TransferClient, task_id: str) -> None:
    task = client.get_task(task_id)
    if task["status"] != "SUCCEEDED":
        raise DownloadError(
            f"Globus ended the transfer as {task['status']}, with "
            f"{task.get('files_transferred')} of {task.get('files')} files transferred: "
            f"{task.get('nice_status_details') or 'without details'}. See "
            f"https://app.globus.org/activity/{task_id}"
        )


def _destination(path: str | os.PathLike[str], record: Record, *, here: bool) -> PurePosixPath:
    """Fill in the patterns of the directory at the destination."""
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


# Over HTTPS ---------------------------------------------------------------------------------


class HTTPSFrames(TypedDict):
    """Arguments of `dkist_virtual.open_dataset`: where frames are, and with which headers."""

    frames: str
    storage_options: dict[str, dict[str, Mapping[str, str]]]


def over_https(identity: str, collection: str | None = None) -> HTTPSFrames:
    """Find where a collection serves a dataset's frames over HTTPS, if it does.

    The Data Center's own collection is not known to do so; a copy elsewhere may.

    Parameters
    ----------
    identity : str
        Dataset ID.
    collection : str, optional
        ID of a Globus collection with the Data Center's directories; by default its own.

    Returns
    -------
    dict
        ``frames`` and ``storage_options`` for `dkist_virtual.open_dataset`. Each request gets a
        valid token.

    Raises
    ------
    LoginError
        You are not logged in, to Globus or for this collection.
    HTTPSOffError
        The collection serves nothing over HTTPS.
    """
    record, newer = find(identity)
    check_access({**record, "isEmbargoed": False}, newer)
    with translate_errors():
        own = collection or endpoint_id()
        stated = open_client(own)[1]["https_server"]
    if not stated:
        raise HTTPSOffError(
            f"HTTPS is off for the Globus collection {own}: ds.download(path, via='globus') "
            "transfers frames from it"
        )
    server = str(_https_server(stated, own)).rstrip("/")
    headers = Bearer(own)
    headers["Authorization"]  # a missing login is an error now, not at the first frame
    return {
        "frames": f"{server}{globus_path(record)}",
        "storage_options": {f"{server}/": {"headers": headers}},
    }


def _https_server(stated: object, collection: str) -> Location:
    """Check the server that Globus names, which gets the token."""
    try:
        server = Location.of(str(stated))
        if server.is_web and not server.query and "@" not in server.host:
            return server.without_end_slash()
    except LocationError:
        pass
    raise DownloadError(
        f"Globus names {str(stated)!r:.80} as the HTTPS server of its collection {collection}: "
        "expected a web address"
    )
