"""Check that a page is served to its own browser alone, and that it ends with its window."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from html import escape
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import bokeh
import pytest
from bokeh.document import Document
from bokeh.model import Model
from bokeh.models import Div, PanTool, Slider
from bokeh.protocol import Protocol
from bokeh.server.connection import ServerConnection
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.ioloop import IOLoop
from tornado.websocket import WebSocketClosedError, websocket_connect

from dkist_virtual.errors import SelectionError
from dkist_virtual.view.serve.guard import LOOPBACK, Guard
from dkist_virtual.view.serve.server import Served, serve, show_error
from dkist_virtual.view.serve.socket import FILES, PageSocket, is_of_a_page

MARKUP = "</title></script><script>alert(1)</script>&<img src=x onerror=alert(2)>"


class Pages:
    """What is served: counts its windows."""

    def __init__(self) -> None:
        self.open = 0
        self.closed = threading.Semaphore(0)
        self.threads: set[str] = set()

    def make(self, doc: Document) -> None:
        self.threads.add(threading.current_thread().name)
        if "fail" in doc.session_context.request.arguments:
            raise SelectionError(f"no such state: {MARKUP}")
        self.open += 1
        doc.title = MARKUP
        doc.on_session_destroyed(self._close)
        doc.add_root(Slider(start=0, end=5, value=0, name="slider", tags=[PanTool()]))

    def _close(self, _: object) -> None:
        self.open -= 1
        self.closed.release()


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages()


@pytest.fixture(scope="module")
def served(pages: Pages) -> Iterator[Served]:
    served = serve(pages.make, keep=50)
    yield served
    served.stop()


def ask(
    served: Served, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], str]:
    """Ask without any of the corrections that a client for humans makes to a path."""
    connection = HTTPConnection("127.0.0.1", served.port)
    host = headers.pop("Host", f"127.0.0.1:{served.port}")
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    if host:
        connection.putheader("Host", host)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode("latin-1")
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def root(served: Served) -> str:
    return urlsplit(served.url).path


# The guard --------------------------------------------------------------------------------------

GUARD = Guard("token")
OWN = {"Host": "127.0.0.1:80"}


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/token/", OWN, None),
        ("/token", OWN, None),
        ("/token/static/js/bokeh.min.js", OWN, None),
        ("/token/static/js/bokeh-widgets.min.js", OWN, None),
        ("/token/ws", {**OWN, "Origin": "http://127.0.0.1:80"}, None),
        ("/token/", {"Host": "localhost:9"}, None),
        ("/token/", {"Host": "[::1]:9"}, None),
        # Without the token there is nothing, to nobody.
        ("/", OWN, 404),
        ("", OWN, 404),
        ("token/", OWN, 404),
        ("//token/", OWN, 404),
        ("/tokem/", OWN, 404),
        ("/toke/", OWN, 404),
        ("/token2/", OWN, 404),
        ("/%74oken/", OWN, 404),
        ("/tok\xe9n/", OWN, 404),
        ("/static/js/bokeh.min.js", OWN, 404),
        ("/favicon.ico", OWN, 404),
        ("/ws", {**OWN, "Origin": "http://127.0.0.1:80"}, 404),
        ("/x/", {"Host": "evil.example"}, 404),
        ("http://127.0.0.1/token/", OWN, 404),
        # With it only the page, its web socket, and scripts and styles.
        ("/token/metadata", OWN, 404),
        ("/token/autoload.js", OWN, 404),
        ("/token/components/x/y.js", OWN, 404),
        ("/token/static/js/../js/bokeh.min.js", OWN, 404),
        ("/token/static/js/%2e%2e/bokeh.js", OWN, 404),
        ("/token/static/js//etc/x.js", OWN, 404),
        ("/token/static/js/..\\x.js", OWN, 404),
        ("/token/static/js/.x.js", OWN, 404),
        ("/token/static/js/bokeh/../bokeh.min.js", OWN, 404),
        ("/token/static/extensions/panel/panel.min.js", OWN, 404),
        ("/token/static/js/bokeh.min.js\n", OWN, 404),
        ("/token/static/js/bokeh.min.js/", OWN, 404),
        ("/token/static/js/bokeh\u0131.min.js", OWN, 404),
        ("/token/token/", OWN, 404),
        # Only from pages of this server, and only by its own names.
        ("/token/", {}, 403),
        ("/token/", {"Host": "evil.example"}, 403),
        ("/token/", {"Host": "localhost.evil.example:80"}, 403),
        ("/token/", {"Host": "127.0.0.1.evil.example"}, 403),
        ("/token/", {"Host": "evil.example:80#127.0.0.1:80"}, 403),
        ("/token/", {"Host": "192.0.2.1:80"}, 403),
        ("/token/", {"Host": "127.0.0.1:80:80"}, 403),
        ("/token/", {**OWN, "Origin": "http://evil.example"}, 403),
        ("/token/", {**OWN, "Origin": "http://127.0.0.1:81"}, 403),
        ("/token/", {**OWN, "Origin": "https://127.0.0.1:80"}, 403),
        ("/token/", {**OWN, "Origin": "null"}, 403),
        ("/token/", {**OWN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}, 403),
        ("/token/", {**OWN, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "image"}, 403),
        ("/token/", {**OWN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, None),
        ("/token/ws", OWN, 403),
        ("/token/ws", {**OWN, "Origin": "http://evil.example"}, 403),
        ("/token/ws", {"Host": "evil.example", "Origin": "http://evil.example"}, 403),
    ],
)  # fmt: skip
def test_a_request_is_answered_or_refused(
    path: str, headers: dict[str, str], expected: int | None
) -> None:
    assert GUARD.refusal("GET", path, headers) == expected


def test_only_get_is_answered() -> None:
    for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""):
        assert GUARD.refusal(method, "/token/", OWN) == 405
        assert GUARD.refusal(method, "/other/", OWN) == 404


def test_a_server_for_others_is_asked_by_its_names_and_by_addresses() -> None:
    guard = Guard("token", LOOPBACK | {"solar.example"}, is_open=True)
    hosts = {
        "solar.example:5000": None, "192.0.2.1:5000": None, "[2001:db8::1]:5": None,
        "SOLAR.example": None, "evil.example:5000": 403, "x.solar.example": 403, "": 403,
    }  # fmt: skip
    assert {h: guard.refusal("GET", "/token/", {"Host": h}) for h in hosts} == hosts


# The server -------------------------------------------------------------------------------------


def test_the_page_comes_from_this_server_alone(served: Served) -> None:
    status, headers, page = ask(served, root(served))
    assert status == 200
    assert "://" not in page.replace("http://www.w3.org", "")
    assert "<script>alert" not in page
    assert "<img" not in page
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert policy["connect-src"] == f"'self' ws://127.0.0.1:{served.port}"
    assert not any("http" in value or "*" in value for value in policy.values())


def test_scripts_of_the_page_are_served(served: Served) -> None:
    page = ask(served, root(served))[2]
    scripts = re.findall(r'src="([^"]+)"', page)
    assert len(scripts) == 2
    for script in scripts:
        status, headers, _ = ask(served, script)
        assert (status, headers["Content-Type"].split("/")[-1]) == (200, "javascript"), script
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "up", ["../", "..%2f", "%2e%2e/", "%252e%252e/", "..\\", "..%5c", "....//"]
)
def test_no_file_of_the_machine_is_served(served: Served, up: str) -> None:
    assert Path("/etc/passwd").exists()
    here = root(served)
    for within in ("", "static/", "static/js/", "static/extensions/panel/", "components/",
                   "static/extensions/", "static/extensions/panel/bundled/"):  # fmt: skip
        for target in (bokeh.__file__, "/etc/passwd", "//etc/passwd"):
            for path in (here + within + up * 12 + target, here + within + target):
                status, _, body = ask(served, path)
                assert (status, body) == (404, "Not found.\n"), path


def test_without_the_token_there_is_no_hint(served: Served) -> None:
    answers = {
        (status, body, tuple(sorted(set(headers) - {"Date"})))
        for status, headers, body in (
            ask(served, "/"),
            ask(served, "/static/js/bokeh.min.js"),
            ask(served, root(served)[:-2] + "/"),
            ask(served, "/", Host="evil.example"),
            ask(served, "/", Origin="http://evil.example"),
            ask(served, "/x", "POST"),
        )
    }
    assert len(answers) == 1
    assert next(iter(answers))[:2] == (404, "Not found.\n")
    assert "Server" not in next(iter(answers))[2]


def test_who_asks_by_another_name_is_told_what_to_do(served: Served) -> None:
    status, headers, body = ask(served, root(served), Host="evil.example")
    assert status == 403
    assert "--remote" in body
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


def connect(served: Served, url: str, **headers: str) -> int:
    """Open a web socket; the status of HTTP that it is refused with."""

    async def run() -> int:
        try:
            socket = await websocket_connect(HTTPRequest(url, headers=headers))
        except HTTPClientError as error:
            return error.code
        socket.close()
        return 101

    return IOLoop(make_current=False).run_sync(run)


def test_a_web_socket_opens_for_the_page_alone(served: Served) -> None:
    url = served.url.replace("http", "ws") + "ws"
    own = f"http://127.0.0.1:{served.port}"
    assert connect(served, url, Origin="http://evil.example") == 403
    assert connect(served, url, Origin="null") == 403
    assert connect(served, url) == 403
    assert connect(served, url, Host="evil.example", Origin="http://evil.example") == 403
    assert connect(served, url.replace(root(served), "/"), Origin=own) == 404
    assert connect(served, url, Origin=own) == 101


def test_a_request_that_fails_is_logged_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    served = serve(Pages().make)
    url = served.url.replace("http", "ws") + "ws"
    # Bokeh asks for the name of its protocol, which this leaves out.
    assert connect(served, url, Origin=f"http://127.0.0.1:{served.port}") == 101
    served.stop()
    assert "a request of the page failed" in caplog.messages
    assert served.url.split("/")[3] not in caplog.text


def test_a_ticket_leads_to_the_page_once(served: Served) -> None:
    path = urlsplit(served.ticket()).path
    assert ask(served, path, Host="evil.example")[0] == 404
    status, headers, _ = ask(served, path)
    assert (status, headers["Location"]) == (302, root(served))
    assert ask(served, path)[0] == 404


def test_an_address_without_the_last_slash_keeps_its_query(served: Served) -> None:
    for query in ("point=1&tile=0", "a=%7B0%7D"):
        status, headers, _ = ask(served, f"{root(served)[:-1]}?{query}")
        assert (status, headers["Location"]) == (302, f"{root(served)}?{query}")
    assert ask(served, root(served)[:-1] + "?{0}{x}")[0] == 302


def test_messages_that_no_page_sends_are_refused() -> None:
    def patch(**event: object) -> dict[str, object]:
        return {"events": [{"kind": "ModelChanged", "model": {"id": "1"}, **event}]}

    made = {"type": "object", "name": "ImageURLTexture", "id": "x", "attributes": {"url": "/x.svg"}}
    assert is_of_a_page("PULL-DOC-REQ", {})
    assert is_of_a_page("PATCH-DOC", patch(attr="value", new={"type": "map", "entries": []}))
    assert is_of_a_page("PATCH-DOC", patch(kind="MessageSent", msg_type="bokeh_event"))
    assert not is_of_a_page("PATCH-DOC", patch(attr="icon", new="/home/me/x.svg"))
    assert not is_of_a_page(
        "PATCH-DOC", patch(attr="tags", new=[{"type": "map", "entries": [made]}])
    )
    assert not is_of_a_page("PATCH-DOC", patch(kind="RootAdded"))
    assert not is_of_a_page("PATCH-DOC", {"events": [7]})
    assert not is_of_a_page("PUSH-DOC", {"doc": {}})


def test_all_properties_that_may_name_files_are_known() -> None:
    found = set()
    for model in Model.model_class_reverse_map.values():
        for name in model.properties():
            if "Image" in re.findall(r"\w+", str(model.lookup(name).property)):
                found.add(name)
    assert found == FILES


def test_a_file_is_not_shown_as_the_picture_of_a_tool(served: Served, tmp_path: Path) -> None:
    (tmp_path / "x.svg").write_text("SECRET")

    async def run() -> tuple[str, str]:
        token = re.search(r'"token":"([^"]+)"', ask(served, root(served))[2])
        assert token is not None
        own = {"Origin": f"http://127.0.0.1:{served.port}"}
        socket = await websocket_connect(
            HTTPRequest(served.url.replace("http", "ws") + "ws", headers=own),
            subprotocols=["bokeh", token[1]],
        )

        async def send(kind: str, content: object) -> str:
            for part in ({"msgtype": kind, "msgid": "1"}, {}, content):
                await socket.write_message(json.dumps(part))
            return "".join([str(await socket.read_message()) for _ in range(3)])

        [await socket.read_message() for _ in range(3)]
        document = await send("PULL-DOC-REQ", {})
        tool = re.search(r'"name":"PanTool","id":"(\w+)"', document)
        assert tool is not None
        change = {"kind": "ModelChanged", "model": {"id": tool[1]}, "attr": "icon",
                  "new": str(tmp_path / "x.svg")}  # fmt: skip
        answer = await send("PATCH-DOC", {"events": [change]})
        document = await send("PULL-DOC-REQ", {})
        socket.close()
        return answer, document

    answer, document = IOLoop(make_current=False).run_sync(run)
    assert "refused: no page sends this" in answer
    assert "SECRET" not in document
    assert "PanTool" in document


def test_errors_are_shown_as_text() -> None:
    doc = Document()
    show_error(doc, SelectionError(f"no such state: {MARKUP}"))
    assert doc.title == "No page"
    (shown,) = doc.roots
    assert isinstance(shown, Div)
    assert shown.text == f"<pre role='alert'>no such state: {escape(MARKUP)}</pre>"


def test_a_page_that_cannot_be_made_says_so(served: Served) -> None:
    status, _, page = ask(served, f"{root(served)}?fail=1")
    assert status == 200
    assert "<title>No page</title>" in page


def test_nothing_is_logged_where_a_window_closes_while_it_is_sent_something(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Message:
        sent = 0

        async def send(self, _: object) -> None:
            self.sent += 1
            raise WebSocketClosedError

    message: Any = Message()
    asyncio.run(PageSocket.send_message(object.__new__(PageSocket), message))
    assert message.sent == 1
    assert caplog.records == []


def test_a_socket_whose_page_is_gone_closes_and_follows_nothing() -> None:
    """Bokeh lets go of the page of a window that is loaded again before its socket closes."""
    session: Any = SimpleNamespace(subscribe=lambda _: None, unsubscribe=lambda _: None)
    made: Any = object.__new__(PageSocket)
    made.connection = None
    assert not made.is_attached
    made.connection = ServerConnection(Protocol(), made, None, session)  # type: ignore[arg-type]
    assert made.is_attached
    made.connection.detach_session()
    assert not made.is_attached
    made.on_close()
    assert asyncio.run(made._handle(None)) is None


def test_a_closed_window_ends_its_page(served: Served, pages: Pages) -> None:
    before = pages.open
    ask(served, root(served))
    assert pages.open == before + 1
    while pages.open:
        assert pages.closed.acquire(timeout=30)
    assert served.count() == 0


def test_stop_ends_pages_thread_and_port() -> None:
    pages = Pages()
    served = serve(pages.make)
    names = lambda: {thread.name for thread in threading.enumerate()}  # noqa: E731
    ask(served, root(served))
    assert (pages.open, served.count()) == (1, 1)
    assert pages.threads <= names()
    served.stop()
    served.stop()
    assert pages.open == 0
    with pytest.raises(ConnectionRefusedError):
        ask(served, root(served))


def test_nothing_listens_after_the_end_where_another_process_has_the_socket_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one that is being started just then, in the moment between its fork and its program."""
    real, kept = socket.create_server, []

    def create(*args: Any, **options: Any) -> socket.socket:
        made = real(*args, **options)
        kept.append(made.dup())
        return made

    monkeypatch.setattr(socket, "create_server", create)
    served = serve(Pages().make)
    served.stop()
    with kept[0], pytest.raises(ConnectionRefusedError):
        ask(served, root(served))


def test_a_port_that_is_taken_is_said(served: Served) -> None:
    with pytest.raises(OSError, match="in use"):
        serve(lambda doc: doc.add_root(Div()), port=served.port)
