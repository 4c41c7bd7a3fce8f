"""Keep the state of a page in the address that the browser shows, and open a page with it.

The address is replaced, not followed: nothing is loaded again, and the way back is not filled with
steps. The path, which has the token, stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from bokeh.models import ColumnDataSource, CustomJS

from dkist_virtual.errors import SelectionError
from dkist_virtual.view.state.address import read_address, write_address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bokeh.document import Document

    from dkist_virtual.view.session import Session
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import ViewState

__all__ = ["QuerySource", "query_of", "read_pasted", "state_of_request"]

WAIT: Final = 400
"""Milliseconds without a change after which the address is replaced: browsers refuse to do so more
than some times a second."""

_REPLACE: Final = """
const query = source.data.query[0]
clearTimeout(source.waiting)
source.waiting = setTimeout(() => {
  const {pathname, hash} = window.location
  window.history.replaceState(window.history.state, "", `${pathname}?${query}${hash}`)
}, wait)
"""


def query_of(request: Any) -> str:
    """Return the query that a page was asked for with; empty where there was none."""
    arguments: Mapping[str, Sequence[bytes | str]] = getattr(request, "arguments", None) or {}
    return "&".join(
        f"{quote(name)}={quote(value)}" for name, values in arguments.items() for value in values
    )


def state_of_request(
    request: Any, sources: Sequence[Source]
) -> tuple[ViewState | None, str | None]:
    """Return the state that a page was asked for with, or why it is not one of these datasets.

    Both are None where it was asked for without one.
    """
    query = query_of(request)
    if not query:
        return None, None
    try:
        return read_address(query, sources), None
    except SelectionError as error:
        return None, str(error)


def read_pasted(text: str, sources: Sequence[Source]) -> ViewState:
    """Read a state from an address, of any server, or from the part after its question mark.

    Raises
    ------
    SelectionError
        It is none of these datasets.
    """
    text = text.strip()
    before, mark, query = text.partition("?")
    if not mark:
        query = before
    return read_address(query.partition("#")[0], sources)


class QuerySource:
    """The query of a page's state, in the page.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.model = ColumnDataSource(data={"query": [""]})
        """Has the query as the only value of its only column."""
        self.refused: str | None = None
        """Why the state has no address, where it has none."""
        self._update(session.model.state)
        session.model.on_change(lambda _, after: self._update(after))

    @property
    def query(self) -> str:
        """Without the question mark."""
        return str(self.model.data["query"][0])

    def _update(self, state: ViewState) -> None:
        try:
            query, self.refused = write_address(state, self._session.sources), None
        except SelectionError as error:
            self.refused = str(error)
            return
        if query != self.query:
            self.model.data = {"query": [query]}

    def show_in_browser(self, document: Document) -> None:
        """Let the browser's address follow: for a page that is alone in its window."""
        replace = CustomJS(args={"source": self.model, "wait": WAIT}, code=_REPLACE)
        self.model.js_on_change("data", replace)
        document.js_on_event("document_ready", replace)
