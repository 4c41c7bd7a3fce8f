"""Give the widgets of a page one look: dark on light, readable, with a visible focus."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bokeh.models import InlineStyleSheet

__all__ = ["sheet"]

CSS: Final = Path(__file__).with_name("page.css").read_text("utf-8")


def sheet() -> InlineStyleSheet:
    """Make the sheet of a widget; each document needs one of its own."""
    return InlineStyleSheet(css=CSS)
