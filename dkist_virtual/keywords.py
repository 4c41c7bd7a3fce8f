"""Refuse keywords that a function does not know, where it hands them on to another one."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["check_keywords"]


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
