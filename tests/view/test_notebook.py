"""Show the viewer in a cell of a notebook, with a real kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = (
    "import dkist_virtual as dv\nds = dv.open_dataset({store!r})\nv = ds.view()\nv",
    # As a slider does, in the kernel's thread.
    "from dataclasses import replace\n"
    "v._cell._session.model.set(replace(v.state, ranges=((2, 0, 2),)))\n"
    "print(v.selection.shape == ds[:, :, 0:2].shape, v.selection.shape)",
    "import threading\nv.close()\n"
    "for each in threading.enumerate():\n"
    "    if each.name.startswith('dkist-virtual-view'):\n"
    "        each.join(30)\n"
    "print([t.name for t in threading.enumerate() if t.name.startswith('dkist-virtual-view')])",
)


@pytest.mark.slow
def test_a_cell_shows_the_page_and_hands_back_the_selection(
    converted: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    sources = [cell.format(store=str(converted("vtf"))) if "{store" in cell else cell
               for cell in CELLS]  # fmt: skip
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in sources])
    NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    shown, selected, closed = ([dict(one) for one in cell.outputs] for cell in notebook.cells)
    kinds = {kind for one in shown for kind in one.get("data", {})}
    assert "application/vnd.jupyter.widget-view+json" in kinds
    # No address of another server: BokehJS comes with the cell.
    assert not any("cdn" in str(one.get("data", {}).get("text/html", "")) for one in shown)
    assert selected[-1]["text"].startswith("True")
    assert closed[-1]["text"] == "[]\n"
