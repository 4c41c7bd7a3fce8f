"""Write the small parts of messages: counts, sizes, the time, common causes, wrong keywords."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

__all__ = [
    "ALIKE", "as_sentence", "check_keywords", "counted", "human_bytes", "keywords_of",
    "same_causes", "shorten", "shows_progress", "utc_now",
]  # fmt: skip

ALIKE: Final = 3
"""So many things with one cause share a line."""


def as_sentence(text: str) -> str:
    """End a text with a full stop, unless it ends with such a mark already."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def counted(n: int, what: str) -> str:
    """Write how many there are: "1 frame", "2 frames"."""
    return f"{n:d} {what}{'s' * (n != 1)}"


def same_causes(causes: Iterable[tuple[str, str]]) -> list[list[int]]:
    """Group things by cause, in which the name of each is ignored.

    Takes names and causes; returns the positions of each group, in the order in which causes come
    first.
    """
    groups: dict[str, list[int]] = {}
    for number, (name, cause) in enumerate(causes):
        groups.setdefault(cause.replace(name, "\0") if name else cause, []).append(number)
    return list(groups.values())


def human_bytes(n: float) -> str:
    """Write a number of bytes in the unit that fits it, decimal as the Data Center does."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 999.5:
            return f"{n:.0f} {unit}" if unit == "B" or n >= 99.5 else f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


def utc_now() -> str:
    """Write the present moment as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def shorten(error: BaseException) -> str:
    """Write an error in one line: asdf's validation errors quote schema and file in full."""
    lines = str(error).strip().splitlines()
    kind = type(error).__name__
    return f"{kind}: {lines[0].strip()}" if lines else kind


def keywords_of(function: Callable[..., Any]) -> list[str]:
    """List the keywords that a method names, without ``self`` and those that it passes on."""
    parameters = inspect.signature(function).parameters
    passed_on = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [
        name for name, one in parameters.items() if name != "self" and one.kind not in passed_on
    ]


def check_keywords(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse unknown keywords of a function, with a TypeError that lists the known ones."""
    known = sorted(set(known))
    if unknown := [name for name in given if name not in known]:
        raise TypeError(
            f"{function}: no such keyword: {', '.join(unknown)}. Expected {', '.join(known)}"
        )


def shows_progress(given: bool | None) -> bool:
    """Tell whether to show a bar on stderr: as it is given, or where stderr is a terminal."""
    return sys.stderr.isatty() if given is None else given
