"""Give the widgets of a page one look: dark on light, readable, with a visible focus."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["CSS"]

CSS: Final = Path(__file__).with_name("page.css").read_text("utf-8")
"""The style sheet of the widgets and the layout: dark on light, with a visible focus."""
