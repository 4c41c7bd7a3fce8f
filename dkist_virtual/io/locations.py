"""Split a path or URL once into one value: scheme, host, path and query.

Every comparison, join and request works on the parts. A query (a signature, the ID of a dataset)
stays behind the path that it was given with, whatever is appended to that path; two spellings of
one URL are equal. Pure: only `absolute` asks where this process is.

A web URL is kept as RFC 3986 (6.2.2) normalises it: scheme and host in lower case, no default
port, no dot segments, percent-encoding where it is needed and nowhere else. A fragment is never
sent to a server, so ``#`` counts as a character of the name that it is in.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import quote, unquote, urljoin

from dkist_virtual.errors import LocationError, redacted

__all__ = [
    "Location",
    "absolute",
    "climbs",
    "is_in",
    "is_local",
    "join",
    "last_name",
    "local_path",
    "name_below",
    "redirected",
    "shown",
]

_PORTS: Final = {"http": "80", "https": "443"}
"""The schemes of web servers, with their default ports."""

_SCHEME: Final = re.compile(r"([^/\\]+?)://", re.DOTALL)
_FILE: Final = re.compile(r"file:(?://(?:localhost)?(?=/)|(?=/(?!/)))", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_HOST: Final = re.compile(r"[a-z0-9._~-]+|\[[0-9a-z:.%]+\]")
_NOT_IN_PATH: Final = re.compile(r"%([0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/]")
_NOT_IN_QUERY: Final = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]{}|]")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9\-._~]")


@dataclass(frozen=True, slots=True)
class Location:
    """Where a file or directory is.

    Attributes
    ----------
    scheme : str
        In lower case; ``file`` on this machine.
    host : str
        What follows ``://``: host, port and user of a web server, or a bucket.
    path : str
        A path of this machine as the disk has it; of a web server percent-encoded; of anything
        else as it is written.
    query : str
        What follows ``?`` in a web URL, as it was given.
    """

    scheme: str
    host: str
    path: str
    query: str = ""

    @classmethod
    def of(cls, text: str) -> Location:
        """Split a path or URL.

        Raises
        ------
        LocationError
            It does not name a place.
        """
        if not text.strip():
            raise LocationError(f"{text!r} names no place: expected a path or URL")
        if "\0" in text:
            raise LocationError(f"{text!r} contains a NUL character, which no path or URL may")
        file = _FILE.match(text)
        if file is not None:
            return cls("file", "", unquote(text[file.end() :], errors="surrogateescape"))
        found = _SCHEME.match(text)
        if found is None:
            return cls("file", "", text)
        scheme, rest = found[1].lower(), text[found.end() :]
        if scheme == "file":
            raise LocationError(
                f"{text!r} is a file of another machine: expected file:/// and the path of a file "
                "on this one"
            )
        if scheme in _PORTS:
            return _web(scheme, rest, text)
        host, slash, path = rest.partition("/")
        if scheme in ("s3", "s3a"):
            path, mark, version = path.partition("?versionId=")
            return cls(scheme, host, slash + path, mark[1:] + version)
        return cls(scheme, host, slash + path)

    @property
    def is_local(self) -> bool:
        """Check whether it is on this machine."""
        return self.scheme == "file"

    @property
    def is_web(self) -> bool:
        """Check whether it is on a web server."""
        return self.scheme in _PORTS

    @property
    def has_secrets(self) -> bool:
        """Check whether it has a query, which may be a signature, or a web server's password."""
        return bool(self.query) or (self.is_web and "@" in self.host)

    @property
    def name(self) -> str:
        """The last part of the path, as a file is called."""
        last = self.path.rpartition("/")[2]
        return unquote(last) if self.is_web else last

    @property
    def parent(self) -> Location:
        """The directory that it is in, under the same query."""
        head, slash, _ = self.path.rpartition("/")
        return replace(self, path=head or (slash if self.is_local else ""))

    def join(self, name: str) -> Location:
        """A file or directory below, by the name that it has on a disk; the query stays."""
        encoded = quote(name, errors="surrogateescape") if self.is_web else name
        return replace(self, path=f"{self.path.rstrip('/')}/{encoded}")

    def without_end_slash(self) -> Location:
        """The same directory, called without a slash at its end."""
        return replace(self, path=self.path.rstrip("/") or ("/" if self.is_local else ""))

    def is_in(self, prefix: Location) -> bool:
        """Check whether it is, or is below, another place on the same server.

        Whole names are compared: ``https://a.org/xy`` is not below ``https://a.org/x``.
        """
        return (self.scheme, self.host) == (prefix.scheme, prefix.host) and (
            f"{self.path}/".startswith(f"{prefix.path.rstrip('/')}/")
        )

    def __str__(self) -> str:
        if self.is_local:
            return self.path
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{self.host}{self.path}{query}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown(str(self))!r})"


def _web(scheme: str, rest: str, text: str) -> Location:
    """A URL of a web server, normalised."""
    head, _, query = rest.partition("?")
    authority, slash, path = head.partition("/")
    user, at, host = authority.rpartition("@")
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host, ""
    try:
        name = (name if name.isascii() else name.encode("idna").decode()).lower()
        if not _HOST.fullmatch(name) or _CONTROL.search(user) or re.search(r"[\\?#]", user):
            raise ValueError("not a valid host name")  # one message for all of them
        if name.startswith("["):
            IPv6Address(name[1:-1])
        if port and not (re.fullmatch("[0-9]{1,5}", port) and int(port) < 2**16):
            raise ValueError(f"port {port!r:.20}: expected a number below 65536")
    except ValueError as error:
        raise LocationError(f"{shown(text)}: the host of this URL is not one: {error}") from None
    host = name if port in ("", _PORTS[scheme]) else f"{name}:{port}"
    path = _without_dots(_NOT_IN_PATH.sub(_encoded_once, slash + path))
    if climbs(path):
        raise LocationError(
            f"{shown(text)} climbs up with .. in a way that servers read differently: expected the "
            "address of a file or directory"
        )
    user = quote(user, safe="%:!$&'()*+,;=~")
    return Location(scheme, f"{user}{at}{host}", path, _NOT_IN_QUERY.sub(_encoded, query))


def _encoded_once(found: re.Match[str]) -> str:
    """Encode a character of a path; decode an escape that is not needed."""
    if found[1] is not None:
        character = chr(int(found[1], 16))
        return character if _UNRESERVED.fullmatch(character) else found[0].upper()
    return _encoded(found)


def _encoded(found: re.Match[str]) -> str:
    return found[0] if len(found[0]) == 3 else quote(found[0], safe="", errors="surrogateescape")


def _without_dots(path: str) -> str:
    """Remove ``.`` and ``..`` from a path (RFC 3986, 5.2.4)."""
    if "." not in path or not re.search(r"/\.{1,2}(/|$)", path):
        return path
    parts: list[str] = []
    *before, last = path.split("/")[1:]
    for part in before:
        if part == "..":
            del parts[-1:]
        elif part != ".":
            parts.append(part)
    if last == "..":
        del parts[-1:]
    parts.append("" if last in (".", "..") else last)
    return "/" + "/".join(parts)


# Text in, text out: places are kept as text where they are pickled, printed or written ----------


def is_local(url: str) -> bool:
    """Check whether a place is on this machine: a path, or a ``file:`` URL."""
    return "://" not in url or _FILE.match(url) is not None or _SCHEME.match(url) is None


def local_path(url: str) -> str:
    """Get the path of a local place."""
    found = _FILE.match(url)
    return url if found is None else unquote(url[found.end() :], errors="surrogateescape")


def absolute(place: str | os.PathLike[str], argument: str = "") -> str:
    """Make a place that a user named an absolute path or URL, without a slash at its end.

    Parameters
    ----------
    place : path or URL
    argument : str
        What it was given as, for messages.

    Raises
    ------
    LocationError
        It does not name a place, or is relative to a working directory that is gone.
    """
    text: str | bytes = os.fspath(place)
    said = f"{argument} = {shown(str(text))!r}" if argument else repr(shown(str(text)))
    if not isinstance(text, str):
        raise TypeError(f"{said}: expected text or a path, not bytes")
    if not text.strip():
        raise LocationError(f"{said}: names no place: expected a path or URL")
    location = Location.of(text)
    if location.is_local:
        try:
            path = os.path.abspath(os.path.expanduser(location.path))
        except FileNotFoundError as error:
            raise LocationError(
                f"{said}: is relative to the working directory, which is gone: expected an "
                "absolute path, or another working directory"
            ) from error
        location = replace(location, path=path)
    return str(location.without_end_slash())


def join(base: str, name: str) -> str:
    """Append a name to a directory or URL; the query of a URL stays at its end."""
    if "://" not in base:
        return f"{base.rstrip('/')}/{name}"
    return str(Location.of(base).join(name))


def is_in(place: str, directory: str) -> bool:
    """Check whether a place is a directory or URL, or below it: see `Location.is_in`."""
    return Location.of(place).is_in(Location.of(directory))


def name_below(base: str, url: str) -> str | None:
    """Get the name that `join` appended to a base; None if a URL is not below it."""
    bare = base.partition("?")[0] if _is_web(base) else base
    prefix = f"{bare.rstrip('/')}/"
    if not url.startswith(prefix):
        return None
    name = url[len(prefix) :]
    return unquote(name.partition("?")[0]) if _is_web(url) else name


def last_name(url: str) -> str:
    """Get the last part of a path or URL, as a file is called."""
    if not _is_web(url):
        return url.rpartition("/")[2]
    return unquote(url.partition("?")[0].rpartition("/")[2])


def _is_web(url: str) -> bool:
    return url[:8].lower().startswith(("http://", "https://"))


def climbs(path: str) -> bool:
    """Check whether a server may read a path as one that leads up and out of its beginning.

    Servers, and the proxies before them, decode percent-encoding once or more often, read a
    backslash as a slash, and cut parameters off.
    """
    if ".." not in path and "%" not in path:
        return False
    for _ in range(8):
        if any(part.partition(";")[0].strip() == ".." for part in re.split(r"[\\/]", path)):
            return True
        decoded = unquote(path)
        if decoded == path:
            return False
        path = decoded
    return True  # no honest name is encoded so many times


def redirected(url: str, to: str) -> str:
    """Resolve a redirect, from the URL that was requested.

    Raises
    ------
    LocationError
        It is not a URL.
    """
    try:
        return urljoin(url, to)
    except ValueError as error:
        raise LocationError(f"{shown(to)}: is not a URL: {error}") from None


def shown(url: str) -> str:
    """Format a place for printing: without the query, name and password of a URL."""
    found = None if _FILE.match(url) else _SCHEME.match(url)
    if found is None:
        return redacted(url)
    head, mark, _ = url[found.end() :].partition("?")
    authority, slash, path = head.partition("/")
    _, at, host = authority.rpartition("@")
    user = "…@" if at else ""
    return redacted(f"{found[0]}{user}{host}{slash}{path}{'?…' if mark else ''}")
