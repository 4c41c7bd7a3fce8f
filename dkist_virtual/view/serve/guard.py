"""Decide which requests are answered: those with the token, to this server's own name.

A page on this machine can be asked for by every program on it, and by every web site that its
browser shows. So each request has to have the token in its path; the name of the host that it asks
has to be one of this server's (a site may have its own name lead here, which is called DNS
rebinding); and where the browser says which page asks, that has to be one of this server's too.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LOOPBACK", "Guard"]

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""The names under which a machine knows itself."""

_STATIC: Final = re.compile(r"static/js/bokeh[a-z-]*\.min\.js", re.ASCII)
"""The files of Bokeh."""


@dataclass(frozen=True)
class Guard:
    """Decides for one server which requests are answered.

    Parameters
    ----------
    token : str
        The first part of the path of each request.
    hosts : frozenset of str
        The names, in small letters and without port, that this server may be asked by.
    is_open : bool
        Whether it may be asked by any address too, where it was told to listen to other machines.
        An address, unlike a name, cannot be made to lead somewhere else.
    """

    token: str
    hosts: frozenset[str] = LOOPBACK
    is_open: bool = False

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> int | None:
        """Return the status of HTTP that a request is refused with; None where it is answered.

        `path` is as it came, without the query. Without the token the answer is that of any path
        that is not there, whatever else the request says.
        """
        token, slash, inside = path.removeprefix("/").partition("/")
        # Compared as bytes: hmac takes only ASCII as text, and a path may have anything.
        if not hmac.compare_digest(token.encode(), self.token.encode()) or path[:1] != "/":
            return 404
        host = headers.get("Host", "")
        origin = headers.get("Origin")
        if not self.is_own(host) or origin not in (None, f"http://{host}"):
            return 403
        if method != "GET":
            return 405
        if inside == "ws":
            return None if origin else 403
        if not inside:
            # With a link from elsewhere a person may come, but no script, frame or picture.
            is_foreign = headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
            is_link = headers.get("Sec-Fetch-Dest", "document") == "document"
            return 403 if is_foreign and not is_link else None
        return None if slash and _STATIC.fullmatch(inside) else 404

    def is_own(self, host: str) -> bool:
        """Return whether this server is meant by a Host header, whose port a tunnel may change."""
        name = re.sub(r":\d{1,5}$", "", host.lower())
        if name in self.hosts:
            return True
        try:
            return self.is_open and bool(ipaddress.ip_address(name.strip("[]")))
        except ValueError:
            return False
