"""What a browser is sent in few messages gives it the same document as Bokeh's many."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.models import Column, ColumnDataSource, Div, Slider
from hypothesis import given, settings
from hypothesis import strategies as st

from dkist_virtual.view.serve.outbox import Outbox


class Copy:
    """A document that follows another one by the messages of an outbox, as a browser does."""

    def __init__(self, document: Document) -> None:
        self.document = Document.from_json(document.to_json())
        document.models.flush_synced()
        self.n = 0
        outbox = Outbox(self)  # type: ignore[arg-type]
        self._pending: list[Any] = []
        document.on_change(
            lambda event: self._pending.append(outbox.send(event))  # type: ignore[arg-type]
        )

    async def send_message(self, message: Any) -> None:
        """Follow a message."""
        self.n += 1
        message.apply_to_document(self.document)

    def follow(self) -> int:
        """Send what has changed, as Bokeh does after each function; return how many messages."""
        before, pending, self._pending = self.n, self._pending, []

        async def send() -> None:
            for one in pending:
                await one

        asyncio.run(send())
        return self.n - before


def page() -> tuple[Document, Column, list[Any]]:
    """Make a document of widgets in a column, and a source that the column refers to."""
    document = Document()
    source = ColumnDataSource({"x": np.arange(4.0)})
    widgets = [Div(text="a"), Slider(start=0, end=9, value=0), Column(children=[Div(text="b")])]
    root = Column(children=list(widgets), tags=[source])
    document.add_root(root)
    return document, root, [*widgets, source]


def described(document: Document) -> list[Any]:
    """Write all that the tests change, model by model."""
    found: list[Any] = []
    for one in sorted(document.models, key=lambda model: model.id):
        values = [getattr(one, name, None) for name in ("text", "value")]
        children = [child.id for child in getattr(one, "children", ())]
        data = {name: list(column) for name, column in getattr(one, "data", {}).items()}
        found.append((type(one).__name__, one.id, values, children, data))
    return found


CHANGES = st.lists(
    st.lists(
        st.one_of(
            st.tuples(st.just("text"), st.text(max_size=5)),
            st.tuples(st.just("value"), st.integers(0, 9)),
            st.tuples(st.just("data"), st.lists(st.floats(-9, 9), max_size=5)),
            st.tuples(st.just("children"), st.permutations(range(4)), st.integers(0, 4)),
            st.tuples(st.just("new"), st.text(max_size=5)),
        ),
        max_size=8,
    ),
    max_size=5,
)


@given(CHANGES)
@settings(max_examples=30, deadline=None)
def test_a_browser_follows_all_changes(batches: list[list[Any]]) -> None:
    document, root, (div, slider, inner, source) = page()
    copy = Copy(document)
    kept = [div, slider, inner, Div(text="once new")]
    for batch in batches:
        for kind, *values in batch:
            if kind == "text":
                div.text = values[0]
            elif kind == "value":
                slider.value = values[0]
            elif kind == "data":
                source.data = {"x": np.array(values[0])}
            elif kind == "children":  # of them some go, and others come back
                order, n = values
                root.children = [kept[place] for place in order[:n]]
            else:
                inner.children = [*inner.children[-1:], Div(text=values[0])]
        copy.follow()
        assert described(copy.document) == described(document)


def test_one_event_is_one_message() -> None:
    document, root, (div, slider, _, source) = page()
    copy = Copy(document)
    for n in range(10):
        div.text = str(n)
        slider.value = n % 9
        source.data = {"x": np.arange(n, dtype=float)}
    assert copy.follow() == 1
    root.children = [*root.children, Div(text="new")]
    div.text = "again"
    assert copy.follow() == 1
    assert copy.follow() == 0
    assert described(copy.document) == described(document)
