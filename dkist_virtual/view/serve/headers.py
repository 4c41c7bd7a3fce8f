"""Say in each answer what the browser must not do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.web import OutputTransform

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders, HTTPServerRequest

__all__ = ["SafeHeaders"]

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
    # Bokeh starts its page by a script within it, and makes functions of texts.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)


class SafeHeaders(OutputTransform):
    """Adds headers to each answer of a server: nothing from, or to, any other server."""

    def __init__(self, request: HTTPServerRequest) -> None:
        super().__init__(request)
        self._host = request.host

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add the headers, and leave out those that tell of the server."""
        # Not every browser takes a web socket for the server "itself".
        connect = f"connect-src 'self' ws://{self._host}"
        for name, value in _HEADERS.items():
            headers[name] = value
        headers["Content-Security-Policy"] = "; ".join((*_POLICY, connect))
        for name in [name for name in headers if name.startswith("Access-Control-")]:
            del headers[name]
        headers.pop("Server", None)
        return super().transform_first_chunk(status_code, headers, chunk, finishing)
