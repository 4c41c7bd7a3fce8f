"""Write the small parts of messages: counts, sizes, common causes, unknown keywords."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["ALIKE", "check_keywords", "counted", "human_bytes", "same_causes", "shorten"]

ALIKE: Final = 3
"""So many things of one cause are one line."""


def counted(n: int, what: str) -> str:
    """Say how many there are: "1 frame", "2 frames"."""
    return f"{n:d} {what}{'s' * (n != 1)}"


def same_causes(causes: Iterable[tuple[str, str]]) -> list[list[int]]:
    """Group things by what is said of them, apart from their own names.

    Parameters
    ----------
    causes : iterable of (str, str)
        The name of each, which its cause may hold, and the cause.

    Returns
    -------
    list of list of int
        Positions, in the order in which each cause comes first.
    """
    groups: dict[str, list[int]] = {}
    for number, (name, cause) in enumerate(causes):
        groups.setdefault(cause.replace(name, "\0") if name else cause, []).append(number)
    return list(groups.values())


def human_bytes(n: float) -> str:
    """A number of bytes in the unit that fits it, decimal as the Data Center counts."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 999.5:
            return f"{n:.0f} {unit}" if unit == "B" or n >= 99.5 else f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


def shorten(error: BaseException) -> str:
    """Write an error in one line: asdf's validation errors quote schema and file in full."""
    lines = str(error).strip().splitlines()
    kind = type(error).__name__
    return f"{kind}: {lines[0].strip()}" if lines else kind


def check_keywords(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keywords that are not known.

    Parameters
    ----------
    function : str
        What the user called.
    given, known : iterable of str

    Raises
    ------
    TypeError
        Naming those that are not known, and all that are.
    """
    known = sorted(set(known))
    if unknown := [name for name in given if name not in known]:
        raise TypeError(
            f"{function}: no such keyword: {', '.join(unknown)}. Expected {', '.join(known)}"
        )
