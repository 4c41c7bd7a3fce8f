"""Show a page in the cell of a notebook, through the connection that the notebook has anyway."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bokeh.document import Document

from dkist_virtual.view.page.page import build_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from dkist_virtual.view.session import Session

__all__ = ["Cell"]


class Cell:
    """A page in a cell: no server is asked, so that it shows where the kernel is far away too.

    It lives in the kernel's own thread. Wherever the viewer is shown again it is the same page.

    Parameters
    ----------
    make_session : callable
        Makes what the page shares, given a function that calls another one in the page's thread.
    """

    def __init__(
        self, make_session: Callable[[Callable[[Callable[[], None]], Any]], Session]
    ) -> None:
        from bokeh.io import output_notebook
        from bokeh.resources import Resources
        from jupyter_bokeh.widgets import BokehModel

        # jupyter_bokeh shows models by the Bokeh of the notebook, which has none of its own.
        scripts = Resources(mode="inline", components=["bokeh", "bokeh-widgets"])
        output_notebook(scripts, hide_banner=True)
        # A cell is run by the loop that also takes the browser's messages.
        loop = asyncio.get_running_loop()
        self._session = make_session(loop.call_soon_threadsafe)
        document = Document()
        page = build_page(self._session)
        page.server_doc(document, is_whole_window=False)
        self._widget: Any = BokehModel(page.root, combine_events=True)

    def mimebundle(self, text: str) -> dict[str, Any]:
        """Return what the notebook shows; `text` is for those that show no widgets."""
        bundle: dict[str, Any] = self._widget._repr_mimebundle_()
        return {**bundle, "text/plain": text}

    def close(self) -> None:
        """End the page's threads; the cell shows from now on what it shows last."""
        self._session.worker.close()
        self._widget.close()
