"""Check the wording of messages for one, two and many frames; and how long a login waits."""

from __future__ import annotations

import re
import socket
import warnings
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dkist_virtual as dv
from dkist_virtual.cli.main import main
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import FrameMissingError, LoginError, SearchError
from dkist_virtual.io.remote.reply import why
from dkist_virtual.text import counted, same_causes

FEW: dict[int, str] = {1: "0, 0, 0", 2: "0, 0, 0:2", 3: "0, 0", 24: "..."}


@pytest.fixture(scope="module")
def places(
    simulated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A store, one without a scan, and where none of its frames are to be had."""
    base = tmp_path_factory.mktemp("messages")
    dv.convert(simulated("vtf"), base / "store", progress=False)
    dv.convert(simulated("vtf"), base / "unscanned", scan="never", progress=False)
    (base / "empty").mkdir()
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        with FrameServer(base).running() as server:
            yield {
                "store": str(base / "store"),
                "unscanned": str(base / "unscanned"),
                "empty": str(base / "empty"),
                "away": str(base / "away"),
                "404": f"{server.url}/empty",
                "refused": f"http://127.0.0.1:{taken.getsockname()[1]}/x",
            }


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import dask

    with dask.config.set({"dkist_virtual.retries": 1, "dkist_virtual.backoff": 0.0}):
        yield


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            main([*arguments])
        except SystemExit:
            pass
    out, err = capsys.readouterr()
    return out + err


def check(text: str) -> None:
    """Nothing that a reader would stumble over."""
    assert not re.search(r"\b1 (?:[a-z]+ )?(frames|files|rows|tiles|times|chunks)\b", text)
    assert not re.search(r"\bthe 1 of the 1\b|, the other 0|\?$", text, re.MULTILINE)
    for line in text.splitlines():
        for address in set(re.findall(r"[a-z0-9]+://[^\s:'\"]+(?::\d+)?[^\s:'\"]*", line)):
            host = re.sub(r"^[a-z0-9]+://", "", address).partition("/")[0]
            assert line.count(host) == 1, line
            assert line.count(host.partition(":")[0]) == 1, line


@pytest.mark.every(16)
@pytest.mark.parametrize("n", FEW)
@pytest.mark.parametrize("where", ["empty", "away", "404", "refused"])
def test_frames_that_cannot_be_had_are_said_once(
    where: str, n: int, places: dict[str, str], capsys: Any, tmp_path: Path
) -> None:
    common = ["--frames", places[where], "--slice", FEW[n]]
    report = said(capsys, "verify", places["store"], "--no-keep", *common)
    download = said(capsys, "download", places["store"], str(tmp_path), *common)
    for text in (report, download):
        check(text)
        assert len(text.splitlines()) <= 7
        assert "vtf_0000.fits" in text
    assert f"{n} of 24 frames looked at" in report
    assert f"{counted(n, 'file')} {'was' if n == 1 else 'were'} not fetched" in download


@pytest.mark.parametrize("n", FEW)
def test_absent_frames_are_counted_as_people_count(n: int, places: dict[str, str]) -> None:
    from dkist_virtual.cube.selection import parse_index

    ds: Any = dv.open_dataset(places["store"], frames=places["empty"])
    with pytest.raises(FrameMissingError) as caught:
        ds[parse_index(FEW[n])].data.compute()
    check(str(caught.value))
    assert str(caught.value).count("data/0.0.0.0.0") == 1


@pytest.mark.parametrize("n", FEW)
@pytest.mark.parametrize("store", ["store", "unscanned"])
def test_a_dry_run_is_short(
    store: str, n: int, places: dict[str, str], capsys: Any, tmp_path: Path
) -> None:
    how = ("download", places[store], str(tmp_path / "x"), "--dry-run", "--slice", FEW[n])
    text = said(capsys, *how)
    check(text)
    assert len(text.splitlines()) <= 12
    assert f"{counted(n, 'file')} to fetch" in text
    assert (f"and {n - 10} more" in text) == (n > 10)


def test_different_causes_are_different_lines(
    places: dict[str, str], capsys: Any, simulated: Any, tmp_path: Path
) -> None:
    frames = sorted(simulated("vtf").glob("*.fits"))
    for number, path in enumerate(frames[:20]):
        data = path.read_bytes()
        (tmp_path / path.name).write_bytes(data[: len(data) - number * (number < 6)])
    text = said(capsys, "verify", places["store"], "--no-keep", "--frames", str(tmp_path))
    check(text)
    assert len(re.findall(r"^  changed: ", text, re.MULTILINE)) == 5
    assert "absent: 4 frames from data/3.0.2.0.0 to data/3.1.2.0.0, the first: " in text


def test_everything_else_that_is_asked_of_a_server_names_it_once(
    places: dict[str, str], capsys: Any
) -> None:
    for arguments in (
        ("info", f"{places['refused']}/store"),
        ("info", f"{places['refused']}/a.asdf"),
        ("convert", f"{places['refused']}/a.asdf", "never"),
        ("info", f"{places['404']}/a.asdf"),
        ("plot", places["store"], "-o", "never.png", "--frames", places["refused"]),
    ):
        text = said(capsys, *arguments)
        assert text.startswith("Error: ")
        check(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Connection timeout to host http://a.org/x?y", "Connection timeout"),
        ("404, message='Not Found', url='http://a.org/x'", "404, message='Not Found'"),
        ("Server disconnected", "Server disconnected"),
        ("", ""),
    ],
)
def test_a_reason_holds_no_address(text: str, expected: str) -> None:
    assert why(OSError(text)) == f"OSError: {expected}".rstrip(": ")


def test_causes_are_alike_but_for_a_name() -> None:
    told = [
        ("a", "no a here"),
        ("b", "no b here"),
        ("c", "c is cut"),
        ("", "x"),
        ("d", "no d here"),
    ]
    assert same_causes(told) == [[0, 1, 4], [2], [3]]


def test_no_temporary_directory_is_named(catalogue: Any, tmp_path: Path, capsys: Any) -> None:
    from dkist_virtual.datacenter.catalogue import fetch_file

    catalogue.fault = lambda *_: b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"
    for kind in ("quality", "movie"):
        with pytest.raises(SearchError) as caught:
            fetch_file(kind, "SIM000", tmp_path)  # type: ignore[arg-type]
        assert ".fetching-" not in str(caught.value)
        check(str(caught.value))
    assert list(tmp_path.iterdir()) == []


# Logins ----------------------------------------------------------------------------------------


class Nobody(webbrowser.BaseBrowser):
    """A browser in which nobody logs in."""

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        return True


def test_a_login_that_nobody_makes_ends(catalogue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dkist_virtual.datacenter.globus import login

    monkeypatch.setattr(webbrowser, "_tryorder", ["nobody"])
    monkeypatch.setattr(webbrowser, "_browsers", {"nobody": [None, Nobody()]})
    told: list[str] = []
    with pytest.raises(LoginError, match=r"no answer from the browser in 0\.1 s: .*--no-browser"):
        login(seconds=0.1, say=told.append, ask=lambda _: pytest.fail("asked for a code"))
    assert "https://" in told[0]


def test_a_machine_without_a_browser_asks_for_a_code(
    catalogue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.datacenter.globus import login

    class AskedError(Exception):
        pass

    def ask(_: str) -> str:
        raise AskedError

    monkeypatch.setattr(webbrowser, "_tryorder", [])
    monkeypatch.setattr(webbrowser, "_browsers", {})
    with pytest.raises(AskedError):
        login(seconds=60, say=lambda _: None, ask=ask)
