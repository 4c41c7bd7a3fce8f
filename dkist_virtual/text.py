"""Small words for messages: numbers of things, causes in common, why a request failed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from dkist_virtual.locations import shown

__all__ = ["ALIKE", "counted", "finding_lines", "same_causes", "why"]

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


class _Finding(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def url(self) -> str | None: ...
    @property
    def outcome(self) -> str: ...
    @property
    def detail(self) -> str: ...


def finding_lines(findings: Sequence[_Finding]) -> list[str]:
    """Write a line for each finding about a frame, or one for many that say the same."""
    names, said = [], []
    for finding in findings:
        url, detail = finding.url or "", finding.detail.replace("\n", " ")
        detail = detail.removeprefix(f"{finding.key}: ")
        name = url.rpartition("/")[2]
        # A file that was looked for elsewhere is named there alone.
        its_own = detail.replace(f"{url}: ", "", 1) if url else detail
        if url and not (name and f"/{name}" in its_own):
            detail = f"{shown(url)}: {its_own}"
        names.append(name)
        said.append(detail)
    outcomes = [f"{f.outcome}: {detail}" for f, detail in zip(findings, said, strict=True)]
    lines = []
    for group in same_causes(zip(names, outcomes, strict=True)):
        first, last = findings[group[0]], findings[group[-1]]
        if len(group) < ALIKE:
            of_each = [(findings[number], said[number]) for number in group]
            lines += [f"  {f.outcome}: {f.key} {detail}" for f, detail in of_each]
        else:
            lines.append(
                f"  {first.outcome}: {len(group)} frames from {first.key} to {last.key}, the "
                f"first: {said[group[0]]}"
            )
    return lines


_ADDRESS = re.compile(r"(?: to host|, url=)?\s*['\"]?[a-z][a-z0-9+.-]*://[^\s'\"]+['\"]?\)?")


def why(error: BaseException) -> str:
    """Say why a request failed without its address, which stands before it in messages."""
    inner = getattr(error, "os_error", None)  # aiohttp's, which names host and port
    if isinstance(inner, OSError):
        known = inner.errno is not None and inner.errno > 0 and "Connect call" in str(inner)
        said = os.strerror(inner.errno) if known and inner.errno else inner.strerror or str(inner)
        return f"no connection: {said}"
    return f"{type(error).__name__}: {_ADDRESS.sub('', str(error))}".rstrip(": ")
