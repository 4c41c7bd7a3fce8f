"""Answer what the guard lets pass: the page, its web socket, scripts and styles; and refusals."""

from __future__ import annotations

import logging
import secrets
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bokeh.embed.elements import div_for_render_item, script_for_render_items
from bokeh.embed.util import RenderItem
from bokeh.models import Plot
from bokeh.models.widgets import TableWidget
from bokeh.server.views.session_handler import SessionHandler
from bokeh.server.views.static_handler import StaticHandler
from tornado.web import OutputTransform, RequestHandler

if TYPE_CHECKING:
    from bokeh.document import Document
    from tornado.httputil import HTTPHeaders, HTTPServerRequest

__all__ = ["PageHandler", "Refused", "SafeHeaders", "TokenFreeLog", "page_html"]

_log = logging.getLogger(__name__)

_ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>"
    "<circle cx='8' cy='8' r='6' fill='#d95f02'/></svg>"
)
"""Within the page: without one, browsers ask for a file that has no token in its path."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:image/svg+xml,{icon}">
<style>html, body {{ height: 100%; margin: 0; }}</style>
{scripts}
</head>
<body>
<noscript>This page needs JavaScript.</noscript>
{divs}
<script nonce="{nonce}">
{start}
</script>
</body>
</html>
"""

_HEADERS = {
    "Referrer-Policy": "no-referrer",  # an address has the token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

_POLICY = (
    "default-src 'none'",
    # Bokeh makes functions of texts. A script within the page needs the page's own number.
    "script-src 'self' 'unsafe-eval' {nonce}",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    # Not every browser takes a web socket for the server "itself".
    "connect-src 'self' ws://{host}",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)


class SafeHeaders(OutputTransform):
    """Says in each answer of a server what the browser must not do with it."""

    def __init__(self, request: HTTPServerRequest) -> None:
        super().__init__(request)
        self._request = request

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add the headers, and leave out those that tell of the server."""
        for name, value in _HEADERS.items():
            headers[name] = value
        nonce = getattr(self._request, "nonce", None)
        headers["Content-Security-Policy"] = "; ".join(_POLICY).format(
            host=self._request.host, nonce="'none'" if nonce is None else f"'nonce-{nonce}'"
        )
        headers.pop("Server", None)
        return super().transform_first_chunk(status_code, headers, chunk, finishing)


class TokenFreeLog:
    """Logs why a request failed without its address, which has the token."""

    def log_exception(self, *why: Any) -> None:
        """Log an error that nothing caught; `why` is what `sys.exc_info` returns."""
        _log.error("a request of the page failed", exc_info=why)


class Refused(RequestHandler):
    """Refuses a request; without the token it says no reason."""

    def initialize(self, status: int) -> None:
        """Take the status of HTTP to refuse with."""
        self._status = status

    def prepare(self) -> None:
        """Answer any method."""
        self.set_status(self._status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        if self._status == 403:
            self.finish(
                "Refused: the viewer's page was asked for by the name of another machine, or by "
                "another page. Open the address that the viewer printed; from another machine, "
                "through the ssh tunnel that --remote prints.\n"
            )
        else:
            self.finish("Not found.\n" if self._status == 404 else "Not allowed.\n")


class PageHandler(TokenFreeLog, SessionHandler):
    """Answers with a page that has a document of its own."""

    async def get(self) -> None:
        """Make the document, and a page that shows it."""
        session: Any = await self.get_session()  # type: ignore[misc]  # Bokeh decorates it
        nonce = secrets.token_urlsafe(16)
        self.request.nonce = nonce  # type: ignore[attr-defined]
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        prefix = self.application.prefix
        self.finish(page_html(session.document, session.token, prefix, nonce))


def page_html(document: Document, token: str, prefix: str, nonce: str) -> str:
    """Write the page of a document, which loads all that it needs from its own server.

    Parameters
    ----------
    document : Document
        What it shows at first decides on the parts of Bokeh that are loaded.
    token : str
        By which the page finds its session.
    prefix : str
        The first part of the path of all requests.
    nonce : str
        The number without which the browser runs no script within the page.
    """
    item = RenderItem(token=token, roots=document.roots, use_for_title=False)
    files = [f"js/{name}.min.js" for name in _components(document)]
    sources = [f"{prefix}/static/{StaticHandler.append_version(file)}" for file in files]
    shown: dict[str, Any] = {
        "title": escape(document.title),
        "icon": quote(_ICON),
        "scripts": "\n".join(f'<script defer src="{escape(url)}"></script>' for url in sources),
        "divs": div_for_render_item(item),
        "nonce": nonce,
        # An end of the script within a text of it would end it.
        "start": script_for_render_items({}, [item]).replace("</", "<\\/"),
    }
    return _PAGE.format(**shown)


def _components(document: Document) -> list[str]:
    """Name the parts of Bokeh that a document needs.

    Bokeh's own list of files would have those of all packages that are imported; that for formulas
    is left out, which names and headers of files have no business to write.
    """
    names = ["bokeh", "bokeh-widgets"]
    if any(isinstance(model, TableWidget) for model in document.models):
        names.append("bokeh-tables")
    if any(
        isinstance(model, Plot) and model.output_backend == "webgl" for model in document.models
    ):
        names.append("bokeh-gl")
    return names
