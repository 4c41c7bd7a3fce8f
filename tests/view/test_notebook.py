"""Show the viewer in a cell of a notebook, with a real kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

SHOW = """
import dkist_virtual as dv
ds = dv.open_dataset({store!r})
v = ds.view()
v
"""
SELECT = """
from dataclasses import replace
v._cell._session.model.set(replace(v.state, ranges=((2, 0, 2),)))  # as a slider does
print(v.selection.shape == ds[:, :, 0:2].shape)
"""
CLOSE = """
import threading
v.close()
own = [each for each in threading.enumerate() if each.name.startswith("dkist-virtual-view")]
for each in own:
    each.join(30)
print([each.name for each in own if each.is_alive()])
"""


@pytest.mark.slow
def test_a_cell_shows_the_page_and_hands_back_the_selection(
    converted: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    sources = [SHOW.format(store=str(converted("vtf"))), SELECT, CLOSE]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in sources])
    NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    shown, selected, closed = ([dict(one) for one in cell.outputs] for cell in notebook.cells)
    kinds = {kind for one in shown for kind in one.get("data", {})}
    assert "application/vnd.jupyter.widget-view+json" in kinds
    # No address of another server: BokehJS comes with the cell.
    assert not any("cdn" in str(one.get("data", {}).get("text/html", "")) for one in shown)
    assert selected[-1]["text"] == "True\n"
    assert closed[-1]["text"] == "[]\n"
