"""Show datasets in a browser, linked, and hand back what was selected there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dkist_virtual.view.session import Session
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.model import Model

if TYPE_CHECKING:
    from dkist_virtual.view.serve.server import Served
    from dkist_virtual.view.state.state import ViewState

__all__ = ["Viewer"]


class Viewer:
    """A page that shows one dataset or several.

    Parameters
    ----------
    *datasets : Dataset or TiledDataset
        The first is the main one.
    download_to : str, optional
        The directory that downloads go to.
    """

    def __init__(self, *datasets: Any, download_to: str | None = None) -> None:
        self.sources = tuple(map(Source.of, datasets))
        self._download_to = download_to
        self._served: Served | None = None
        self.state: ViewState | None = None
        """What the page that was used last shows; None before one is open."""

    @property
    def url(self) -> str:
        """The address of the page, which is served from now on."""
        if self._served is None:
            from dkist_virtual.view.serve.server import serve

            self._served = serve(self._make_page)
        return self._served.url

    def _make_page(self, doc: Any) -> None:
        from dkist_virtual.view.page.page import build_page
        from dkist_virtual.view.panels.choose import default_state
        from dkist_virtual.view.reading.worker import Worker

        worker = Worker(doc.add_next_tick_callback)
        doc.on_session_destroyed(lambda _: worker.close())
        model = Model(default_state(self.sources))
        model.on_change(lambda _, after: setattr(self, "state", after))
        self.state = model.state
        doc.title = self.sources[0].subject.title
        session = Session(self.sources, model, worker, self._download_to)
        build_page(session).server_doc(doc)

    def close(self) -> None:
        """End the server; open pages stop working."""
        if self._served is not None:
            self._served.stop()
            self._served = None
