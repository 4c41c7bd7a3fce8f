"""Parts are shown in the order in which they were read, whatever calls them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from dkist_virtual.view.reading.worker import Worker


def test_the_last_part_is_shown_before_its_request_is_over() -> None:
    """Bokeh calls what is scheduled while a page is made in any order."""
    scheduled: list[Callable[[], None]] = []
    shown: list[int] = []
    worker = Worker(scheduled.append)

    def steps() -> Iterator[int]:
        yield from range(20)

    worker.read("picture", steps, shown.append, lambda _: None)
    idle: list[list[int]] = []
    worker.when_idle(lambda: idle.append(list(shown)))
    worker._threads.shutdown(wait=True)
    assert len(scheduled) == 21
    random.Random(22).shuffle(scheduled)
    for call in scheduled:
        call()
    assert shown == list(range(20))
    assert idle == [shown]
    worker.close()
