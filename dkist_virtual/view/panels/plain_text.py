"""Show texts of files as they are: never read as markup, nor as formulas."""

from __future__ import annotations

import re
from typing import Any

from bokeh.models.widgets import Div

__all__ = ["as_text", "plain_div"]


def as_text(text: str) -> str:
    """Return a text of a file as Bokeh shows it as it is: two dollars would begin a formula."""
    plain = text.replace("\\$", "$")
    return re.sub(r"(?<=[$\\])(?=[$(\[])", "\N{ZERO WIDTH SPACE}", plain)


def plain_div(text: str = "", **options: Any) -> Div:
    """Make a widget that shows a text as it is; `options` are those of Bokeh's `Div`."""
    return Div(
        text=text, render_as_text=True, disable_math=True,
        **{"sizing_mode": "stretch_width", **options},
    )  # fmt: skip
