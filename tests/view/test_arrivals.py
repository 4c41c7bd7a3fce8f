"""Frames that were absent are read again once they were downloaded through the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.events import ButtonClick
from now import Now
from served import serve_store

import dkist_virtual as dv
from dkist_virtual.view.actions.download_run import DownloadRun, Status
from dkist_virtual.view.panels.choose import default_state
from dkist_virtual.view.panels.cuts.panel import PathWavelengthPanel, WavelengthTimePanel
from dkist_virtual.view.panels.picture import PicturePanel
from dkist_virtual.view.panels.profile import ProfilePanel
from dkist_virtual.view.panels.selection import SelectionPanel
from dkist_virtual.view.pictures.geometry import geometry_of
from dkist_virtual.view.reading.pixels import ABSENT, READ
from dkist_virtual.view.session import Session
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.model import Model


def test_what_a_download_brings_is_shown_everywhere(
    simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    frames = np.asarray(dv.open_dataset(simulated("vtf")).data)
    with serve_store(simulated("vtf"), tmp_path) as server:
        ds = dv.open_dataset(tmp_path / "store")
        gone = {f"frames/{name}" for name in ds[0, 0, :2].files.names}
        server.fault = lambda path, _: 404 if path in gone else None
        sources = (Source.of(ds),)
        (tmp_path / "here").mkdir()
        session = Session(
            sources, Model(default_state(sources)), Now(), str(tmp_path / "here")  # type: ignore[arg-type]
        )  # fmt: skip
        pictures = session.model.state.pictures[:1]
        geometry = geometry_of(sources[0].subject, pictures[0].axes, [0.0] * 5)
        corners = tuple((float(x), float(y)) for x, y in map(geometry.world, (8, 20), (9, 9)))
        pins = ((0, 0, 0, 3, 4),)
        session.model.change(point=(0, 0, 0, 9, 8), pins=pins, pictures=pictures, path=corners)
        picture = PicturePanel(session, 0)
        profile, cut = ProfilePanel(session), WavelengthTimePanel(session)
        path, selection = PathWavelengthPanel(session), SelectionPanel(session)
        panels = (picture, profile, cut, path)

        def read_again() -> None:
            for panel in panels:
                panel.forget_absent()
                panel.update(session.model.state, session.model.state)

        session.arrivals.on_arrival(read_again)
        for one in (*panels, selection):
            one.update(None, session.model.state)
            session.model.on_change(one.update)
        assert picture.drawn.n_absent
        assert profile.profile.marks[0].tolist() == [ABSENT, ABSENT, READ]
        assert cut.shown.cut.marks[0].tolist() == [ABSENT, ABSENT, READ]
        assert (path.shown.cut.marks[:, :2] == ABSENT).all()
        session.model.change(ranges=((0, 0, 1), (1, 0, 1), (2, 0, 1)))
        gone.discard(f"frames/{ds[0, 0, 0].files.names[0]}")
        selection._download._trigger_event(ButtonClick(selection._download))
        if (run := selection._run) is not None:
            run.wait()
        assert selection._status.text.startswith("Done.")
        assert "does not read" not in selection._status.text
        assert picture.drawn.n_absent == 0
        shown = picture.drawn.values[np.isfinite(picture.drawn.values)]
        assert 0.9 * frames[0, 0, 0].min() < shown.min() < shown.max() < 1.1 * frames[0, 0, 0].max()
        assert profile.profile.marks[0].tolist() == [READ, ABSENT, READ]
        assert profile._pins[0].values[0, 0] == frames[0, 0, 0, 3, 4]
        assert profile.reference.pixels
        assert cut.shown.cut.values[0, 0] == frames[0, 0, 0, 3, 4]
        assert cut.shown.cut.marks[0].tolist() == [READ, ABSENT, READ]
        np.testing.assert_array_equal(path.shown.cut.values[:, 0], frames[0, 0, 0, 9, 8:21])
        assert (path.shown.cut.marks[:, 1] == ABSENT).all()


def test_files_that_are_not_read_from_their_directory_are_said(tmp_path: Path) -> None:
    class Files:
        places = ("https://example.org/frames", "/elsewhere")

    class Dataset:
        files = Files()

        def download(self, path: str, **options: Any) -> str:
            return f"{path}: 1 file fetched"

    told: list[Status] = []
    for place, expected in (("/elsewhere", False), (str(tmp_path), True)):
        Files.places = (place,)
        run = DownloadRun(Dataset(), str(tmp_path), told.append)
        run.start()
        run.wait()
        assert told[-1].is_over
        assert told[-1].is_read is expected
