"""Choose what of a matrix of cases runs in ``make test``; the others are marked slow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def mostly_slow(values: Iterable[Any], *quick: Any, every: int = 0) -> list[Any]:
    """Parameters of which those named in `quick`, or each `every`-th one, are not slow.

    A value that is a tuple is one of several arguments, as in ``parametrize``.
    """
    assert bool(quick) != bool(every)
    chosen: list[Any] = []
    for i, value in enumerate(values):
        if value in quick if quick else i % every == 0:
            chosen.append(value)
        elif hasattr(value, "marks"):  # a `pytest.param`
            chosen.append(pytest.param(*value.values, marks=pytest.mark.slow, id=value.id))
        else:
            arguments = value if isinstance(value, tuple) else (value,)
            chosen.append(pytest.param(*arguments, marks=pytest.mark.slow))
    return chosen


def paired(*values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Combinations in which each value occurs: as many as the longest list has, the others again.

    Where each combination costs seconds, and what the values do does not depend on each other.
    """
    n = max(map(len, values))
    return [tuple(one[(k + k // len(one)) % len(one)] for one in values) for k in range(n)]


def mark_costly(items: Iterable[pytest.Item]) -> None:
    """Mark all cases of a test that says ``every(n)`` as slow, but for every `n`-th one."""
    seen: dict[str, int] = {}
    for item in items:
        if (marker := item.get_closest_marker("every")) is not None:
            test = item.nodeid.partition("[")[0]
            seen[test] = number = seen.get(test, -1) + 1
            if number % marker.args[0]:
                item.add_marker(pytest.mark.slow)
