"""Limit what a store from somebody else may do: where it refers to, how much memory it takes.

A store is a few files from a stranger. Nothing in them is run; what they name is fetched only from
allowed places (`check_reference`, `check_name`), and sizes in them are checked against a limit
before memory is allocated (`check_size`, `check_asdf`).
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
    "plain_uri",
    "split_relative",
    "unsafe_name",
    "unsafe_name_in",
]

# Where references lead ----------------------------------------------------------------------

_REMOTE: Final = frozenset(
    {"http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss"}
)
"""Servers and buckets. fsspec has many more: of this machine (``local:``, ``git:``), of its user's
keys (``ssh:``), and chains of them (``simplecache::file:///``)."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def check_reference(url: str, *, local: bool) -> None:
    """Refuse a reference to a place that its store may not refer to.

    Parameters
    ----------
    url : str
        As the store gives it.
    local : bool
        Whether the store may name files of this machine.
    """
    if _CONTROL.search(url):
        raise FrameRefusedError(
            f"the reference {url!r} contains a control character, which no URL may"
        )
    if url.partition("/")[0] == "..":  # those that lead to an allowed place were resolved by now
        raise FrameRefusedError(
            f"the reference {url} is relative, and leads further than one may: expected a file in "
            "the directory that the store is in, or in the one above that. Say where the frames "
            "are with frames="
        )
    protocol, there, _ = ("", "", url) if is_local(url) else url.partition("://")
    if not local and (not there or protocol.lower() not in _REMOTE):
        raise FrameRefusedError(
            f"the store was opened from a server, and refers to {shown(url)}: expected frames on "
            "servers or in buckets. Say where they are with frames=, or, if you trust the "
            "store's author, allow_local=True"
        )
    if there:
        check_address(url)


MOST_UP: Final = 2
"""How many directories a relative reference may climb from its store: to the one that the store is
in, and to the one above, where a directory of frames may be beside one of stores."""


def split_relative(url: str) -> tuple[int, str] | None:
    """Split a reference that is relative to its store.

    Returns
    -------
    tuple of (int, str), or None
        How many directories it climbs from the store, 1 or 2, and the name below that, empty for
        that directory itself. None of a reference that is not relative, or climbs further: then
        `check_reference` refuses it.
    """
    parts = url.split("/")
    up = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    if not 1 <= up <= MOST_UP or ".." in parts[up:]:
        return None
    return up, "/".join(parts[up:])


def check_address(url: str) -> None:
    """Refuse the URL of a reference or redirect that begins in one place and leads to another.

    It would be requested with the credentials for its beginning. What is not a URL at all is not
    refused here: requesting it fails, for this frame only.
    """
    if _CONTROL.search(url):
        raise FrameRefusedError(f"{shown(url)!r} contains a control character")
    if climbs(url.partition("://")[2].partition("?")[0]):
        raise FrameRefusedError(
            f"the reference {shown(url)} climbs up with ..: expected the address of a file"
        )


def unsafe_name(name: str) -> str:
    """Say why a name may not be that of a file below a directory or URL; empty if it may."""
    if _CONTROL.search(name):
        return "contains a control character"
    if "\\" in name:
        return "contains a backslash, which separates directories on Windows"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or "://" in name:
        return "is absolute: expected a name below the dataset's directory"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "leads to another directory: expected a name without . and .."
    return ""


def unsafe_name_in(name: str, place: str) -> str:
    """Say the same of a name below a place, whose server decodes what is percent-encoded."""
    reason = unsafe_name(name)
    if not reason and not is_local(place):
        reason = unsafe_name(unquote(name)) or ("climbs" if climbs(name) else "")
    return reason


def check_name(name: str, place: str) -> None:
    """Refuse a frame's name that leads outside of a place.

    Parameters
    ----------
    name : str
        Relative, to be appended to the place.
    place : str
        A directory or URL.
    """
    reason = unsafe_name_in(name, place)
    if reason:
        raise FrameRefusedError(f"a frame of the store is called {name!r}, which {reason}")


def check_no_secrets(argument: str, place: str) -> None:
    """Refuse a URL with a password or a query, which would be written into a store."""
    if Location.of(place).has_secrets:
        raise ValueError(
            f"{argument} = {shown(place)!r} contains a password or a query, which would be written "
            "into the store: give credentials as storage_options"
        )


_READ_DIFFERENTLY: Final = re.compile("[%?#]")
"""Icechunk decodes ``%41`` in an address, VirtualiZarr does not; both cut at ``?`` and ``#``."""


def plain_uri(place: str) -> str:
    """Write a path or URL as the address that VirtualiZarr, obstore and Icechunk read alike.

    Raises
    ------
    FrameRefusedError
        They would look for different files, or it has a password or signature, which
        would be written into what is made of the references.
    """
    location = Location.of(place)
    if location.query or "@" in location.host:
        raise FrameRefusedError(
            f"{shown(place)}: a password or query would be written with the references: expected "
            "an address without, and credentials in the registry"
        )
    if _READ_DIFFERENTLY.search(str(location)):
        raise FrameRefusedError(
            f"{shown(place)}: %, ? and # in the address of a frame are read in different ways by "
            "VirtualiZarr and Icechunk: expected a name without them. A link to the file will do"
        )
    return f"file://{location}" if is_local(place) else str(location)


def check_places(base: str, names: Iterable[str]) -> None:
    """Refuse directories and names of frames with characters that no reference may contain.

    References are JSON and Parquet, which are UTF-8; one with a line break is not read.

    Parameters
    ----------
    base : str
        Where the frames are.
    names : iterable of str
        Their names there.
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
            f"{base!r}: this name contains a line break or another control character, which no "
            "reference may: expected frames in a directory of another name. A link to it with "
            "another name will do, given as frames="
        )
    for name in names:
        if _CONTROL.search(name):
            raise DatasetError(
                f"a frame is called {name!r}: expected a name without line breaks and other "
                "control characters, which no reference may contain"
            )


# Sizes --------------------------------------------------------------------------------------

_FREE: Final = 2**28
_FOLD: Final = 4096


def check_size(where: str, asked: int, there: int) -> None:
    """Refuse a file that would take much more memory than it has bytes.

    Each file may take 256 MiB and 4,096 times its own length: header tables of constant columns
    take a few hundred times theirs.

    Parameters
    ----------
    where : str
        The file, and what of it, for the message.
    asked : int
        Bytes of memory.
    there : int
        Bytes of the file.
    """
    if asked > _FREE + _FOLD * there:
        raise StoreCorruptError(
            f"{where} asks for {asked} bytes of memory in a file of {there}: more than "
            f"{_FREE + _FOLD * there} are not given"
        )
