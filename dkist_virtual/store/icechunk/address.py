"""Say which repository, and which snapshot of it, a URL or directory means; name frames in it.

A repository is named ``icechunk+file:///path``, ``icechunk+path``, ``icechunk+s3://bucket/prefix``
or ``icechunk+https://host/path``. What follows ``?`` chooses a snapshot: ``branch=``, ``tag=`` or
``snapshot=``. It is in the URL, and not in a keyword, so that a dataset is named by one text
everywhere: on the command line, in a catalogue, and in what a cluster's worker is sent.

Pure, but for `is_repository`, which looks at the names in a directory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import parse_qsl, quote, urlencode

from dkist_virtual.errors import LocationError, StoreError, StoreMissingError
from dkist_virtual.io.locations import Location, absolute, is_local, local_path, shown

__all__ = [
    "ICECHUNK", "RepositoryAddress", "full_address", "is_repository", "location_of",
    "no_repository_error", "repository_at",
]  # fmt: skip

ICECHUNK: Final = "icechunk+"
"""What the URL of a dataset in a repository begins with."""

SCHEMES: Final = ("file", "s3", "http", "https")
_CHOICES: Final = ("branch", "tag", "snapshot")


@dataclass(frozen=True, slots=True)
class RepositoryAddress:
    """Name a repository, and a snapshot in it.

    Parameters
    ----------
    place : str
        The repository's directory on this machine, or its URL.
    branch, tag, snapshot : str, optional
        One of them at most; by default the branch ``main``.
    """

    place: str
    branch: str | None = None
    tag: str | None = None
    snapshot: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in _CHOICES if getattr(self, name) is not None]
        if len(given) > 1:
            raise LocationError(
                f"{self.repository}: {' and '.join(given)} are given: expected one of them"
            )
        for name in given:
            if not getattr(self, name):
                raise LocationError(f"{self.repository}: {name} is empty: expected a name")

    @classmethod
    def of(cls, text: str) -> Self:
        """Read a URL that begins with ``icechunk+``, or the path or URL of a repository.

        Raises
        ------
        LocationError
            It names no repository, or chooses a snapshot in another way.
        """
        bare = text[len(ICECHUNK) :] if text.lower().startswith(ICECHUNK) else None
        if bare is None and is_local(text):
            return cls(absolute(text))
        place, _, query = (text if bare is None else bare).partition("?")
        location = Location.of(place)
        has_other_scheme = "://" not in place and ":" in place.partition("/")[0]
        if not place or has_other_scheme or location.scheme not in SCHEMES:
            raise LocationError(
                f"{shown(text)}: expected {', '.join(f'{ICECHUNK}{one}://' for one in SCHEMES)} "
                "and the place of an Icechunk repository"
            )
        if location.is_web and "@" in location.host:
            raise LocationError(
                f"{shown(text)}: contains a password: give it as storage_options instead"
            )
        chosen: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in _CHOICES or name in chosen:
                raise LocationError(
                    f"{shown(text)}: {name}= after the question mark: expected one of "
                    f"{', '.join(f'{one}=' for one in _CHOICES)}"
                )
            chosen[name] = value
        if query and not chosen:
            raise LocationError(
                f"{shown(text)}: expected branch=, tag= or snapshot= after the question mark"
            )
        return cls(absolute(place), **chosen)

    @property
    def is_local(self) -> bool:
        """Check whether the repository is on this machine."""
        return is_local(self.place)

    @property
    def repository(self) -> str:
        """The URL of the repository, without a choice of a snapshot."""
        if is_local(self.place):
            return f"{ICECHUNK}file://{quote(local_path(self.place), errors='surrogateescape')}"
        return f"{ICECHUNK}{self.place}"

    @property
    def chosen(self) -> str:
        """What is chosen, in words."""
        for name in ("tag", "snapshot"):
            if (value := getattr(self, name)) is not None:
                return f"{name} {value}"
        return f"branch {self.branch or 'main'}"

    def at(self, snapshot: str) -> RepositoryAddress:
        """Name one snapshot of the repository, which never changes."""
        return replace(self, branch=None, tag=None, snapshot=snapshot)

    def __str__(self) -> str:
        chosen = {name: value for name in _CHOICES if (value := getattr(self, name)) is not None}
        return self.repository + (f"?{urlencode(chosen)}" if chosen else "")


def location_of(url: str) -> str:
    """Write the URL of a frame as Icechunk does: those of local files and S3 are percent-encoded.

    Raises
    ------
    StoreError
        Icechunk reads no such place.
    """
    if is_local(url):
        return "file://" + quote(local_path(url), errors="surrogateescape")
    location = Location.of(url)
    if location.query:
        raise StoreError(
            f"{shown(url)}: this frame's URL has a query, which may be a signature, and would be "
            "written into the repository: expected the plain URL of a frame"
        )
    if location.is_web:
        if "@" in location.host:
            raise StoreError(
                f"{shown(url)}: this frame's URL has a password, which would be written into the "
                "repository: expected the plain URL of a frame"
            )
        return url
    if location.scheme in ("s3", "s3a"):
        return f"s3://{location.host}" + quote(location.path)
    raise StoreError(
        f"{shown(url)}: Icechunk is not told how to read {location.scheme}://: expected frames on "
        "this machine, in S3 (s3://) or on a web server (https://)"
    )


def is_repository(directory: str) -> bool:
    """Tell whether a directory on this machine is an Icechunk repository, by the names in it."""
    try:
        names = set(os.listdir(directory))
    except OSError:
        return False
    # Versions 1 and 2 of its format.
    return "snapshots" in names and bool({"refs", "repo"} & names)


def repository_at(place: str) -> RepositoryAddress | None:
    """Read the place of a dataset: the address of a repository, or None if it is something else.

    Parameters
    ----------
    place : str
        An absolute path or a URL.
    """
    if place.lower().startswith(ICECHUNK):
        return RepositoryAddress.of(place)
    if is_local(place) and is_repository(local_path(place)):
        return RepositoryAddress(place)
    return None


def full_address(text: str) -> str:
    """Complete a repository that is named by a path, ``icechunk+path``; keep any other text.

    A file or directory of that very name is meant before a repository.
    """
    is_path = text.lower().startswith(ICECHUNK) and "://" not in text
    return str(RepositoryAddress.of(text)) if is_path and not os.path.lexists(text) else text


def no_repository_error(address: RepositoryAddress, more: str = "") -> StoreMissingError:
    """Make the error for a place without an Icechunk repository."""
    return StoreMissingError(
        f"{shown(address.repository)}: no Icechunk repository here{more}. dkist-virtual icechunk "
        "writes a dataset into one"
    )
