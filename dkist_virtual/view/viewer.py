"""Show datasets in a browser, linked, and hand back what was selected there."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from dkist_virtual.errors import DatasetError
from dkist_virtual.fits.errors import one_line
from dkist_virtual.text import as_sentence
from dkist_virtual.view.session import Session
from dkist_virtual.view.source import Source, is_mosaic
from dkist_virtual.view.state.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bokeh.document import Document

    from dkist_virtual.view.reading.worker import Worker
    from dkist_virtual.view.serve.notebook import Cell
    from dkist_virtual.view.serve.server import Served
    from dkist_virtual.view.state.state import ViewState

__all__ = ["Viewer", "check_installed"]


def check_installed() -> None:
    """Raise ImportError where Bokeh is not installed; imports nothing."""
    if find_spec("bokeh") is None:
        raise ImportError('view: Bokeh is not installed: pip install "dkist_virtual[view]"')


class Viewer:
    """A page that shows one dataset or several, linked.

    Made by `Dataset.view` and `TiledDataset.view`. The last line of a notebook's cell shows it
    there; anywhere else `show` opens it in a browser.

    Parameters
    ----------
    *datasets : Dataset or TiledDataset
        The first is the main one.
    download_to : path, optional
        The directory that downloads go to. Where there is none, the first download makes it.
    host : str
        The address to listen on.
    port : int
        0 for any that is free.
    lines : sequence of (str, float)
        Spectral lines from which velocities may count: names, and wavelengths in nm.

    Raises
    ------
    DatasetError
        An argument is not a dataset, or `download_to` is a file.
    ImportError
        Bokeh is not installed.
    """

    def __init__(
        self,
        *datasets: Any,
        download_to: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        lines: Sequence[tuple[str, float]] = (),
    ) -> None:
        if not datasets:
            raise DatasetError("view: expected at least one dataset")
        for dataset in datasets:
            if not (hasattr(dataset, "subject") or is_mosaic(dataset)):
                raise DatasetError(
                    f"view: {type(dataset).__name__}: expected a Dataset or TiledDataset"
                )
        if download_to is not None:
            place = Path(download_to)
            # Below a file no directory can be made either.
            there = next((one for one in (place, *place.parents) if one.exists()), None)
            if there is not None and not there.is_dir():
                raise DatasetError(
                    f"view: download_to={os.fspath(download_to)!r}: {there} is a file: "
                    "expected a directory, which need not exist"
                )
        check_installed()
        self.sources = tuple(map(Source.of, datasets))
        self._download_to = None if download_to is None else os.fspath(download_to)
        self._place = (host, port)
        self._lines = tuple(lines)
        self._served: Served | None = None
        self._cell: Cell | None = None
        self._workers: WeakSet[Worker] = WeakSet()
        self.state: ViewState | None = None
        """What the page that was used last shows; None before one is open."""

    @property
    def title(self) -> str:
        """What the datasets are called."""
        return one_line(", ".join(source.subject.title or "a dataset" for source in self.sources))

    def __repr__(self) -> str:
        where = "not served" if self._served is None else self._served.url
        return f"<{type(self).__name__} of {self.title}: {where}>"

    # Serving ----------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The address of the page, which is served from now on: all who have it see the data."""
        return self._serve().url

    def _serve(self) -> Served:
        if self._served is None:
            from dkist_virtual.view.serve.server import serve

            host, port = self._place
            self._served = serve(self._make_page, host=host, port=port)
        return self._served

    def show(self) -> None:
        """Open the page in a browser, and say its address on stderr."""
        import webbrowser

        served = self._serve()
        sys.stderr.write(f"Viewer: {served.url}\n")
        # Other users of the machine see the arguments of a browser: it gets an address that leads
        # to the page's own only once.
        webbrowser.open(served.ticket())

    def wait(self) -> None:
        """Serve the page until Ctrl-C, or until the viewer is closed: for the end of a script."""
        served = self._serve()
        try:
            # Windows interrupts no wait that has no end.
            while not served.ended.wait(1):
                pass
        except KeyboardInterrupt:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """End the server and its pages, which show from now on what they show last."""
        served, self._served = self._served, None
        if served is not None:
            served.stop()
        cell, self._cell = self._cell, None
        if cell is not None:
            cell.close()

    def _make_page(self, doc: Document) -> None:
        with ExitStack() as others:
            # A page that is opened again is there until the browser has the new one.
            for worker in list(self._workers):
                others.enter_context(worker.set_aside())
            self._fill(doc)

    def _fill(self, doc: Document) -> None:
        from bokeh.events import ConnectionLost

        from dkist_virtual.view.actions.page_address import QuerySource, state_of_request
        from dkist_virtual.view.page.page import build_page

        context: Any = doc.session_context
        request = None if context is None else context.request
        state, refused = state_of_request(request, self.sources)
        session = replace(self._session(doc.add_next_tick_callback, state), has_address=True)
        session.worker.rest()  # until the page says that it is ready
        doc.on_session_destroyed(lambda _: session.worker.close())
        doc.on_event(ConnectionLost, lambda _: session.worker.rest())
        # A browser that connects again does not say that it is ready, but somebody uses its page.
        session.model.on_change(lambda *_: session.worker.go_on())
        doc.title = self.title
        page = build_page(session)
        query = QuerySource(session)
        page.root.tags = [*page.root.tags, query.model]
        # Before the page is in the document, which looks for its models anew at each change.
        query.show_in_browser(doc)
        page.server_doc(doc)
        if refused is not None:
            page.status.say(f"{as_sentence(refused)} The page shows what fits the data.")

    def _session(
        self, schedule: Callable[[Callable[[], None]], Any], state: ViewState | None = None
    ) -> Session:
        """Make what a new page shares: it shows a state, or what fits the data."""
        from dkist_virtual.view.panels.choose import default_state
        from dkist_virtual.view.reading.worker import Worker

        state = default_state(self.sources) if state is None else state
        model = Model(state)
        model.on_change(lambda _, after: setattr(self, "state", after))
        self.state = state
        worker = Worker(schedule)
        self._workers.add(worker)
        return Session(self.sources, model, worker, self._download_to, self._lines)

    # What is selected -------------------------------------------------------------------

    @property
    def selection(self) -> Any:
        """What is marked on the page that was used last, as a Dataset or TiledDataset.

        All of it where nothing is marked. Reads nothing.
        """
        from dkist_virtual.view.actions.selection import selection
        from dkist_virtual.view.panels.choose import default_state

        return selection(self.sources, self.state or default_state(self.sources))

    # Notebooks --------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Show the page in the cell of a notebook; elsewhere this is text."""
        if not self.is_in_notebook() or find_spec("jupyter_bokeh") is None:
            return {"text/plain": repr(self)}
        if self._cell is None:
            from dkist_virtual.view.serve.notebook import Cell

            self._cell = Cell(self._session)
        return self._cell.mimebundle(repr(self))

    @staticmethod
    def is_in_notebook() -> bool:
        """Tell whether cells of a notebook run here."""
        ipython = sys.modules.get("IPython")
        shell = None if ipython is None else ipython.get_ipython()
        return shell is not None and hasattr(shell, "kernel")
