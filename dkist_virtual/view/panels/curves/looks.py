"""Say how curves differ: by colour, dash and marker, so that the colour-blind tell them apart."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["PINS", "POINT", "REFERENCE", "Look", "pin_look"]


class Look(NamedTuple):
    """A curve's colour, dash and marker, as Bokeh names them."""

    colour: str
    dash: str
    marker: str


POINT: Final = Look("#000000", "solid", "circle")
REFERENCE: Final = Look("#9a9a9a", "solid", "dot")
PINS: Final = (
    Look("#d55e00", "dashed", "square"),
    Look("#0072b2", "dotdash", "triangle"),
    Look("#009e73", "dotted", "diamond"),
    Look("#cc79a7", "dashdot", "inverted_triangle"),
    Look("#56b4e9", "dashed", "plus"),
    Look("#e69f00", "dotdash", "x"),
)
"""In the order in which pixels were pinned, from the first one again after the last."""


def pin_look(number: int) -> Look:
    """Return the look of a pin by its number among the pins, from 0."""
    return PINS[number % len(PINS)]
