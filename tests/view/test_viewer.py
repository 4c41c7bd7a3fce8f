"""Check the viewer: what it takes, what it serves, and that it leaves nothing behind."""

from __future__ import annotations

import re
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.events import ConnectionLost

import dkist_virtual as dv
from dkist_virtual.cli.main import main
from dkist_virtual.cli.view import tunnel
from dkist_virtual.errors import DatasetError
from dkist_virtual.view.page.status import Status
from dkist_virtual.view.panels.choose import default_state
from dkist_virtual.view.serve.server import serve
from dkist_virtual.view.state.address import write_address
from dkist_virtual.view.viewer import Viewer

if TYPE_CHECKING:
    from dkist_virtual.view.session import Session


@pytest.fixture(scope="module")
def ds(converted: Callable[[str], Path]) -> dv.Dataset:
    return dv.open_dataset(converted("vtf"))


@pytest.fixture
def viewer(ds: dv.Dataset) -> Iterator[Viewer]:
    viewer = ds.view(browser=False)
    yield viewer
    viewer.close()


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("dkist-virtual-view")]


def get(url: str) -> str:
    with urlopen(url) as answer:
        return str(answer.read().decode())


def test_view_returns_at_once_and_serves_when_it_is_asked(viewer: Viewer) -> None:
    assert viewer.state is None
    assert "not served" in repr(viewer)
    assert threads() == []
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", viewer.url)
    assert viewer.url == viewer.url
    assert viewer.url in repr(viewer)
    assert len(threads()) == 1
    assert "<title>VTF SIM" in get(viewer.url).replace(viewer.title, "VTF SIM")
    assert viewer.state is not None


def test_a_page_rests_without_its_browser_and_goes_on_when_it_is_used(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: list[Session] = []
    make = viewer._session

    def noted(*given: Any) -> Session:
        sessions.append(make(*given))
        return sessions[-1]

    monkeypatch.setattr(viewer, "_session", noted)
    document = Document()
    viewer._make_page(document)
    (session,) = sessions
    turns, model = session.worker._turns, session.model
    assert turns._rests
    turns.go_on()
    document.callbacks.trigger_event(ConnectionLost())
    assert turns._rests
    model.set(model.state.moved(2, 1))
    assert not turns._rests
    session.worker.close()


@pytest.mark.slow
def test_close_ends_all_threads_and_pages_open_anew(viewer: Viewer) -> None:
    first = viewer.url
    get(first)
    running = threads()
    assert len(running) > 1
    viewer.close()
    viewer.close()
    for thread in running:
        thread.join(timeout=30)
    assert threads() == []
    assert viewer.url != first
    get(viewer.url)


@pytest.mark.slow
def test_a_closed_window_ends_its_threads(viewer: Viewer) -> None:
    served = serve(viewer._make_page, keep=50)
    try:
        get(served.url)
        readers = [thread for thread in threads() if "server" not in thread.name]
        assert readers
        for thread in readers:
            thread.join(timeout=30)
        assert [thread.name for thread in threads()] == ["dkist-virtual-view-server"]
        assert served.count() == 0
    finally:
        served.stop()


def test_the_address_says_what_is_shown(viewer: Viewer) -> None:
    state = default_state(viewer.sources)
    shape = viewer.sources[0].shape
    moved = replace(state, point=tuple(n - 1 for n in shape), is_locked=True)
    get(f"{viewer.url}?{write_address(moved, viewer.sources)}")
    assert viewer.state == moved
    with pytest.raises(HTTPError, match="404"):
        get(f"{viewer.url}state/")


def test_an_address_of_no_view_opens_the_page_as_it_opens_first(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Status, "say", lambda _, text: said.append(text))
    page = get(f"{viewer.url}?point=1&x=%3Cscript>alert(1)%3C/script>")
    assert "alert(1)" not in page
    assert viewer.state == default_state(viewer.sources)
    assert said[-1].endswith(". The page shows what fits the data.")


def test_the_selection_is_what_is_marked(viewer: Viewer, ds: dv.Dataset) -> None:
    assert viewer.selection is ds
    get(viewer.url)
    assert viewer.selection is ds
    assert viewer.state is not None
    viewer.state = replace(viewer.state, ranges=((1, 1, 2), (2, 0, 2)))
    expected = ds[:, 1, 0:2]
    assert viewer.selection.shape == expected.shape
    assert viewer.selection.files.filenames == expected.files.filenames


def test_show_opens_a_browser_without_the_token_in_its_arguments(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    viewer.show()
    assert capsys.readouterr() == ("", f"Viewer: {viewer.url}\n")
    token = viewer.url.split("/")[3]
    assert token not in opened[0]
    with urlopen(opened[0]) as answer:
        assert answer.url == viewer.url
    with pytest.raises(HTTPError, match="404"):
        get(opened[0])


def test_wait_ends_with_the_server(viewer: Viewer) -> None:
    url = viewer.url
    closing = threading.Thread(target=viewer._serve().stop)
    closing.start()
    viewer.wait()
    closing.join()
    with pytest.raises(OSError, match="refused"):
        get(url)


def test_what_cannot_be_shown_is_said(ds: dv.Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="view: ndarray: expected a Dataset or TiledDataset"):
        ds.view(np.zeros(3))
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "frames"):
        with pytest.raises(DatasetError, match=r"download_to='.*': .*file is a file"):
            ds.view(download_to=place)
    ds.view(download_to=tmp_path / "away" / "frames", browser=False)
    assert not (tmp_path / "away").exists()  # before something is downloaded
    with pytest.raises(TypeError, match="colour"):
        ds.view(colour="red")
    with pytest.raises(DatasetError, match="expected at least one"):
        Viewer()


def test_a_mosaic_and_others_are_shown(ds: dv.Dataset, converted: Callable[[str], Path]) -> None:
    mosaic = dv.open_dataset(converted("vbi_mosaic"))
    viewer = mosaic.view(ds, browser=False)
    assert [len(source.tiles) for source in viewer.sources] == [len(list(mosaic.flat)), 1]
    assert "," in viewer.title


def test_outside_of_a_notebook_it_shows_as_text(viewer: Viewer) -> None:
    assert not viewer.is_in_notebook()
    assert viewer._repr_mimebundle_() == {"text/plain": repr(viewer)}


# The command ------------------------------------------------------------------------------------


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    status: Any = 0
    capsys.readouterr()  # what making the store printed
    try:
        main(["view", *arguments])
    except SystemExit as left:
        status = left.code
    return status, *capsys.readouterr()


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Viewer]]:
    """The viewers of commands that were interrupted at once."""
    viewers: list[Viewer] = []

    def wait(self: Viewer) -> None:
        viewers.append(self)

    monkeypatch.setattr(Viewer, "wait", wait)
    yield viewers
    for viewer in viewers:
        viewer.close()


def test_the_command_prints_the_address_alone(
    waited: list[Viewer], converted: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(converted("vtf"))
    assert command(capsys, store, "--no-browser", "--with", store) == (
        0, f"{waited[0].url}\n", ""
    )  # fmt: skip
    assert len(waited[0].sources) == 2


def test_the_command_prints_the_tunnel(
    waited: list[Viewer], converted: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = command(capsys, str(converted("vtf")), "--remote")
    assert (status, err) == (0, "")
    url = waited[0].url
    assert out == tunnel(url) + "\n"
    port = url.split(":")[2].partition("/")[0]
    assert re.search(rf"^  ssh -N -L {port}:127\.0\.0\.1:{port} \S+@\S+$", out, re.MULTILINE)
    assert out.endswith(f"  {url}\n")


def test_the_command_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
    converted: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "dkist_virtual.view.viewer.find_spec",
        lambda name: None if name == "bokeh" else find_spec(name),
    )
    expected = 'view: Bokeh is not installed: pip install "dkist_virtual[view]"'
    store = converted("vtf")
    assert command(capsys, str(store)) == (1, "", f"Error: {expected}\n")
    with pytest.raises(ImportError, match=re.escape(expected)):
        dv.open_dataset(store).view()


@pytest.mark.parametrize(
    ("arguments", "expected", "said"),
    [
        (["--remote", "--host", "0.0.0.0"], 2, "--remote is for a page served to one machine"),
        (["--download-to", __file__], 2, "is a file"),
        (["--port", "70000"], 2, "70000 is not in the range"),
        (["--host", "192.0.2.1", "--no-browser"], 2, "192.0.2.1"),
        (["--with", "away.virtual"], 1, "away.virtual: no store here"),
    ],
)
def test_the_command_refuses(
    arguments: list[str],
    expected: int,
    said: str,
    converted: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = command(capsys, str(converted("vtf")), *arguments)
    assert (status, out) == (expected, "")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_ctrl_c_ends_the_command(converted: Callable[[str], Path]) -> None:
    import signal
    import subprocess

    code = "from dkist_virtual.cli.main import main; main()"
    running = subprocess.Popen(
        [sys.executable, "-c", code, "view", str(converted("vtf")), "--no-browser"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    url = running.stdout.readline().strip()
    get(url)
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=60) == ("", "")
    assert running.returncode == 0
