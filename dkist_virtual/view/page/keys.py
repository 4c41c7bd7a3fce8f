"""Define the keys of a page, and the steps that they take through the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import ViewState

__all__ = ["KEYS", "Key", "step"]

FAST: Final = 10
"""Pixels of a step with Shift."""


@dataclass(frozen=True)
class Key:
    """Keys that do one thing.

    Parameters
    ----------
    names : tuple of str
        As browsers call them: ``KeyboardEvent.key``.
    what : str
        What they do, for a list of keys.
    shown : tuple of str
        How keyboards call them.
    """

    names: tuple[str, ...]
    what: str
    shown: tuple[str, ...]


KEYS: Final = (
    Key(("s", "S"), "next wavelength", ("s",)),
    Key(("b", "B"), "wavelength before", ("b",)),
    Key(("f", "F"), "next time; in a single scan, next position of the slit", ("f",)),
    Key(("d", "D"), "time before; in a single scan, position of the slit before", ("d",)),
    Key(("r", "R"), "next position of the slit in a raster", ("r",)),
    Key(("e", "E"), "position of the slit before", ("e",)),
    Key(("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"),
        "move the point by a pixel", ("\N{LEFTWARDS ARROW}", "\N{RIGHTWARDS ARROW}",
        "\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}")),
    Key((), "with these keys: ten at once", ("Shift",)),
    Key(("i", "q", "u", "v"), "show this Stokes parameter", ("i", "q", "u", "v")),
    Key((" ",), "play, and pause", ("Space",)),
    Key(("l",), "lock the point, so that the pointer does not move it", ("l",)),
    Key(("p",), "pin the pixel to compare its profile; on a pin, unpin it", ("p",)),
    Key(("x",), "remember this view; then blink between it and another", ("x",)),
    Key(("X",), "blink on and on", ("Shift x",)),
    Key(("c",), "next colour map", ("c",)),
    Key(("+", "="), "zoom in on the point", ("+",)),
    Key(("-", "_"), "zoom out", ("\N{MINUS SIGN}",)),
    Key(("0",), "show the whole field", ("0",)),
    Key(("Escape",), "stop playing; take back all marks and pins", ("Esc",)),
    Key(("?",), "show this list", ("?",)),
)  # fmt: skip
"""In the order in which they are listed."""


def step(
    state: ViewState,
    source: Source,
    key: str,
    times: int,
    on_screen: Sequence[tuple[int, int]] = ((0, 1), (1, 1)),
) -> ViewState | None:
    """Return the state after a key that steps; None where the key does something else.

    Parameters
    ----------
    times : int
        Presses.
    on_screen : sequence of (int, int)
        Of a step to the right and one upwards: the place of its axis among those of the main
        picture, and whether pixels go up there, 1, or -1.
    """
    roles = source.roles
    if key in ("i", "q", "u", "v"):
        letters = source.letters
        if key.upper() not in letters or roles.stokes is None:
            raise SelectionError(f"no Stokes {key.upper()} in this dataset")
        return state.moved(roles.stokes, letters.index(key.upper()))
    axis: int | None = None
    by = times * (FAST if key.isupper() and len(key) == 1 else 1)
    if key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        if not state.pictures:
            return None
        place, sign = on_screen[key in ("ArrowUp", "ArrowDown")]
        axis = state.pictures[0].axes[place]
        by *= sign * (1 if key in ("ArrowRight", "ArrowUp") else -1)
    elif key in "sSbB":
        axis, by = roles.wavelength, by if key in "sS" else -by
        if axis is None:
            raise SelectionError("no wavelength axis in this dataset: s and b step along it")
    elif key in "fFdD":
        axis, by = roles.stepped, by if key in "fF" else -by
        if axis is None:
            raise SelectionError("no axis of time or raster in this dataset: f and d step along it")
    elif key in "rReE":
        axis, by = roles.raster, by if key in "rR" else -by
        if axis is None:
            raise SelectionError("no raster in this dataset: r and e move its slit")
    if axis is None:
        return None
    pixel = min(max(state.point[axis] + by, 0), source.shape[axis] - 1)
    return state.moved(axis, pixel)
