"""Limit what a store made by somebody else may do: where it refers to, how much it may ask for.

Pure. A store is a few files of a stranger's. Nothing in them is run; what they name is fetched
only from where a store may lead (`check_reference`, `check_name`), and what they say of sizes is
held against a limit before memory is asked for (`check_size`, `check_asdf`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from dkist_virtual.errors import (
    DatasetError,
    FrameRefusedError,
    StoreCorruptError,
)
from dkist_virtual.io.locations import Location, climbs, is_local, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "check_address",
    "check_name",
    "check_no_secrets",
    "check_places",
    "check_reference",
    "check_size",
    "unsafe_name",
]

# Where references lead ----------------------------------------------------------------------

_REMOTE: Final = frozenset(
    {"http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss"}
)
"""Servers and buckets. fsspec knows many more: of this machine (``local:``, ``git:``), of keys that
its user keeps (``ssh:``), and chains of them (``simplecache::file:///``)."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def check_reference(url: str, *, local: bool) -> None:
    """Refuse a reference that leads where its store may not.

    Parameters
    ----------
    url : str
        As it stands in the store.
    local : bool
        Whether the store may name files of this machine.

    Raises
    ------
    FrameRefusedError
    """
    if _CONTROL.search(url):
        raise FrameRefusedError(f"the reference {url!r} holds a control character: no URL does")
    protocol, there, _ = ("", "", url) if is_local(url) else url.partition("://")
    if not local and (not there or protocol.lower() not in _REMOTE):
        raise FrameRefusedError(
            f"the store was opened from a server, and refers to {shown(url)}: expected frames on "
            "servers or in buckets. Say where they are with frames=, or, if you trust whoever made "
            "the store, allow_local=True"
        )
    if there:
        check_address(url)


def check_address(url: str) -> None:
    """Refuse the URL of a reference, or of a redirect, that begins in one place and ends elsewhere.

    It would be asked for with the credentials of where it begins. One that is no URL at all is not
    refused here: asking for it says so, and keeps no other frame from coming.

    Raises
    ------
    FrameRefusedError
    """
    if _CONTROL.search(url):
        raise FrameRefusedError(f"{shown(url)!r} holds a control character: no URL does")
    if climbs(url.partition("://")[2].partition("?")[0]):
        raise FrameRefusedError(
            f"the reference {shown(url)} climbs up with ..: expected the address of a file"
        )


def unsafe_name(name: str) -> str:
    """Why a name is no file's below a directory or URL; empty where it is one."""
    if _CONTROL.search(name):
        return "holds a control character"
    if "\\" in name:
        return "holds a backslash, which separates directories on Windows"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or "://" in name:
        return "is absolute: expected a name below the dataset's directory"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "leads to another directory: expected a name without . and .."
    return ""


def check_name(name: str, place: str) -> None:
    """Refuse a frame's name that would be looked for outside of a place.

    Parameters
    ----------
    name : str
        Relative, to be appended to the place.
    place : str
        A directory, or a URL, whose server decodes what is percent-encoded.

    Raises
    ------
    FrameRefusedError
    """
    reason = unsafe_name(name)
    if not reason and not is_local(place):
        reason = unsafe_name(unquote(name)) or ("climbs" if climbs(name) else "")
    if reason:
        raise FrameRefusedError(f"a frame of the store is called {name!r}, which {reason}")


def check_no_secrets(argument: str, place: str) -> None:
    """Refuse a URL with a password or a query, which would be written into a store.

    Raises
    ------
    ValueError
    """
    location = Location.of(place)
    if location.query or (location.is_web and "@" in location.host):
        raise ValueError(
            f"{argument} = {shown(place)!r} holds a password or a query, which would be written "
            "into the store: give credentials as storage_options"
        )


def check_places(base: str, names: Iterable[str]) -> None:
    """Refuse frames that no reference can name: in a directory, or with a name, of odd characters.

    References are JSON and Parquet, which are UTF-8; one with a line break is not read.

    Parameters
    ----------
    base : str
        Where the frames are.
    names : iterable of str
        Their names there.

    Raises
    ------
    DatasetError
    """
    try:
        base.encode()
    except UnicodeEncodeError:
        raise DatasetError(
            f"{base}: this name is not UTF-8, and references are: expected frames in a directory "
            "of another name. A link to it with another name will do"
        ) from None
    if _CONTROL.search(base):
        raise DatasetError(
            f"{base!r}: this name holds a line break or another control character, which no "
            "reference may: expected frames in a directory of another name. A link to it with "
            "another name will do, given as frames="
        )
    for name in names:
        if _CONTROL.search(name):
            raise DatasetError(
                f"a frame is called {name!r}: expected a name without line breaks and other "
                "control characters, which no reference may hold"
            )


# Sizes --------------------------------------------------------------------------------------

_FREE: Final = 2**28
_FOLD: Final = 4096


def check_size(where: str, asked: int, there: int) -> None:
    """Refuse a file that would take much more memory than it has bytes.

    256 MiB are given to any, and 4,096 times its own length: header tables of constant columns
    come to a few hundred.

    Parameters
    ----------
    where : str
        The file, and what of it, for the message.
    asked : int
        Bytes of memory.
    there : int
        Bytes of the file.

    Raises
    ------
    StoreCorruptError
    """
    if asked > _FREE + _FOLD * there:
        raise StoreCorruptError(
            f"{where} asks for {asked} bytes of memory in a file of {there}: more than "
            f"{_FREE + _FOLD * there} are not given"
        )
