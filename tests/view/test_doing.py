"""The panel of the selection, without a browser: what it says of marks, and what its buttons do."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import suns
from bokeh.document import Document
from bokeh.events import ButtonClick
from bokeh.models.widgets import Button, Div
from now import Now

import dkist_virtual as dv
from dkist_virtual.view.actions.download_run import DownloadRun
from dkist_virtual.view.actions.page_address import QuerySource, query_of, state_of_request
from dkist_virtual.view.panels.choose import default_state
from dkist_virtual.view.panels.selection import SelectionPanel
from dkist_virtual.view.session import Session
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.address import write_address
from dkist_virtual.view.state.model import Model
from dkist_virtual.view.viewer import Viewer

TIMES = " \u00d7 ".join(map(str, (4, 2, 3, 30, 44)))


def open_panel(*datasets: Any, download_to: str | None = None) -> tuple[Session, SelectionPanel]:
    sources = tuple(map(Source.of, datasets))
    session = Session(sources, Model(default_state(sources)), Now(), download_to)  # type: ignore[arg-type]
    panel = SelectionPanel(session)
    panel.update(None, session.model.state)
    session.model.on_change(panel.update)
    return session, panel


def press(button: Button) -> None:
    button._trigger_event(ButtonClick(button))


def test_marks_become_a_line_with_files_and_bytes(converted: Any, simulated: Any) -> None:
    ds = dv.open_dataset(converted("vtf"))
    session, panel = open_panel(ds)
    assert panel._line.text == "ds"
    assert panel._about.text.startswith(
        f"{TIMES} pixels, 127 kB as float32.\n"
        "Axes: Stokes, time, wavelength, Ty, Tx. Pixels count from 0.\n24 files, "
    )
    assert panel._clear.disabled
    session.model.change(ranges=((0, 0, 2), (2, 1, 2)))
    assert panel._line.text == "ds[0:2, :, 1]"
    size = sum((simulated("vtf") / name).stat().st_size for name in ds[0:2, :, 1].files.names)
    assert f"4 files, {size / 1000:.3g} kB ({size:,} bytes)" in panel._about.text
    assert not panel._clear.disabled
    press(panel._only)
    assert panel._line.text == "ds[0, 0, 0]"
    press(panel._clear)
    assert panel._line.text == "ds"
    assert session.model.state.ranges == ()
    session.model.set(session.model.state.toggle_pin(session.model.state.point))
    assert not panel._clear.disabled
    press(panel._clear)
    assert session.model.state.pins == ()
    assert panel._clear.disabled


def test_the_point_moves_without_counting_files_again(converted: Any) -> None:
    session, panel = open_panel(dv.open_dataset(converted("vtf")))
    counted: list[Any] = []
    panel._describe = lambda: counted.append(1)  # type: ignore[method-assign]
    session.model.set(session.model.state.moved(2, 1))
    assert not counted
    session.model.change(ranges=((0, 0, 1),))
    assert counted


def test_what_the_button_says_is_downloaded(
    converted: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    ds = dv.open_dataset(converted("vtf"))
    session, panel = open_panel(ds, download_to=str(tmp_path))
    session.model.change(ranges=((0, 0, 1), (1, 0, 1), (2, 0, 1)))
    assert panel._download.label.startswith("Download 1 file to")
    monkeypatch.setattr(session.worker, "read", lambda *_, **__: None)  # it has not come yet
    press(panel._clear)
    assert session.model.state.ranges == ()
    assert panel._download.label.startswith("Download 1 file to")
    begun: list[Any] = []
    monkeypatch.setattr(DownloadRun, "start", lambda run: begun.append(run._dataset.files.names))
    press(panel._download)
    assert begun == [ds[0, 0, 0].files.names]


def test_marks_that_have_no_pixels_are_said_in_the_panel() -> None:
    tile = suns.tile((100.0, -50.0))
    session, panel = open_panel(tile)
    assert panel._about.text.startswith("44 \u00d7 48 pixels")
    assert "No files" in panel._about.text
    session.model.change(box=(1.0, 2.0, 1.0, 2.0))
    assert panel._line.text == ""
    assert "beside the picture" in panel._about.text
    assert panel._download.disabled
    session.model.change(box=None, path=((95.0, -52.0), (104.0, -45.0)))
    assert panel._path.visible
    assert panel._path.text.startswith("ds.slit([(")


def test_a_view_that_is_pasted_is_shown_or_refused(converted: Any) -> None:
    session, panel = open_panel(dv.open_dataset(converted("vtf")))
    here = session.model.state
    other = replace(here, point=(1, 1, 2, 3, 4), ranges=((0, 0, 2),))
    query = write_address(other, session.sources)
    for pasted in (query, f"?{query}", f" http://127.0.0.1:5/another-token/?{query}#x "):
        session.model.set(here)
        panel._go.value = pasted
        assert session.model.state == other
        assert panel._address.text == f"?{query}"
        assert panel._go.value == ""
    panel._go.value = "<script>alert(1)</script>"
    assert session.model.state == other
    assert panel._said.text.startswith("address: ")
    panel._go.value = query.replace("point=1,1", "point=9,1")
    assert "0 to 3 along axis 0" in panel._said.text
    more = replace(other, pictures=other.pictures[:1] * 3)
    panel._go.value = write_address(more)
    assert session.model.state == more


def test_downloads_go_to_the_directory_of_the_start(converted: Any, tmp_path: Path) -> None:
    ds = dv.open_dataset(converted("vtf"))
    session, panel = open_panel(ds)
    assert not panel._download.visible
    assert "--download-to" in panel._status.text
    session, panel = open_panel(ds, download_to=str(tmp_path))
    session.model.change(ranges=((0, 1, 2), (1, 0, 1)))
    assert panel._download.label == f"Download 3 files to {tmp_path}"
    press(panel._download)
    run = panel._run
    if run is not None:
        run.wait()
    assert panel._status.text.startswith(f"Done. {tmp_path}: 3 files fetched")
    assert sorted(os.listdir(tmp_path)) == sorted(ds[1, 0].files.names)
    assert not panel._end.visible
    assert not panel._download.disabled


def test_no_text_of_the_panel_is_read_as_markup(converted: Any, tmp_path: Path) -> None:
    _, panel = open_panel(dv.open_dataset(converted("vtf")), download_to=str(tmp_path))
    texts = list(panel.root.select({"type": Div}))
    assert len(texts) > 8
    assert all(text.render_as_text and text.disable_math for text in texts)


# The address of the page --------------------------------------------------------------------


def request_of(query: str) -> Any:
    """As tornado reads it: names as text, values as bytes."""
    arguments: dict[str, list[bytes]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, encoding="latin-1"):
        arguments.setdefault(name, []).append(value.encode("latin-1"))
    return SimpleNamespace(arguments=arguments)


def test_the_query_follows_the_state_and_opens_the_page(converted: Any) -> None:
    session, _ = open_panel(dv.open_dataset(converted("vtf")))
    query = QuerySource(session)
    document = Document()
    document.add_root(query.model)
    query.show_in_browser(document)
    for change in ({"point": (1, 1, 2, 3, 4)}, {"line": 630.25, "panels": ()}, {"is_locked": True}):
        session.model.change(**change)
        state, refused = state_of_request(request_of(query.query), session.sources)
        assert (state, refused) == (session.model.state, None)
    long = replace(session.model.state, path=((0.123456789, 9.87654321),) * 600)
    before = query.query
    session.model.set(long)
    assert query.query == before
    assert "characters" in (query.refused or "")


def test_a_page_opens_with_what_fits_where_its_address_is_refused(converted: Any) -> None:
    sources = (Source.of(dv.open_dataset(converted("vtf"))),)
    assert state_of_request(None, sources) == (None, None)
    assert state_of_request(request_of(""), sources) == (None, None)
    for query in ("x=1", "point=%ff&picture1.axes=4,3", "point=0,0,0,99,0&picture1.axes=4,3"):
        state, refused = state_of_request(request_of(query), sources)
        assert state is None
        assert refused is not None
        assert refused.count("\n") == 0
    assert query_of(request_of("a=1&a=2")) == "a=1&a=2"


def test_a_viewer_hands_back_what_is_marked(converted: Any) -> None:
    ds = dv.open_dataset(converted("vtf"))
    viewer = Viewer(ds)
    assert viewer.selection is ds
    viewer.state = replace(default_state(viewer.sources), ranges=((0, 1, 2),))
    assert viewer.selection.shape == (2, 3, 30, 44)
    np.testing.assert_array_equal(viewer.selection.files.names, ds[1].files.names)
