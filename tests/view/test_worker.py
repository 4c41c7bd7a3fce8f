"""Parts are shown in the order in which they were read, whatever calls them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest

from dkist_virtual.view.pictures.sampling import Block
from dkist_virtual.view.reading.planes import BlockCache
from dkist_virtual.view.reading.turns import PAUSE
from dkist_virtual.view.reading.worker import Worker

PATIENCE = 30


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


@pytest.fixture
def worker() -> Iterator[Worker]:
    """One that calls what it schedules at once, in the thread that reads."""
    made = Worker(lambda call: call())
    yield made
    made.close()


def test_what_can_wait_is_read_after_what_cannot(worker: Worker) -> None:
    order: list[str] = []
    begun, others, shown = threading.Event(), threading.Event(), threading.Event()
    whole = threading.Event()

    def patient() -> Iterator[str | None]:
        begun.set()
        others.wait(PATIENCE)
        yield None
        yield "map"

    def urgent() -> Iterator[str]:
        others.set()
        assert not shown.wait(2 * PAUSE)
        yield "picture"

    def show(name: str) -> None:
        order.append(name)
        shown.set()

    worker.read("picture-1", patient, show, pytest.fail, is_patient=True)
    assert begun.wait(PATIENCE)
    worker.read("picture-0", urgent, order.append, pytest.fail)
    worker.when_idle(lambda: order.append("drawn"), "picture", is_patient=False)
    worker.when_idle(whole.set)
    assert whole.wait(PATIENCE)
    assert order == ["picture", "drawn", "map"]


def test_what_can_wait_rests_until_somebody_looks() -> None:
    worker = Worker(lambda call: call())
    worker.rest()
    begun, whole = threading.Event(), threading.Event()

    def steps() -> Iterator[int]:
        begun.set()
        yield 1

    worker.read("map", steps, lambda _: None, pytest.fail, is_patient=True)
    assert not begun.wait(2 * PAUSE)
    worker.go_on()
    worker.when_idle(whole.set)
    assert whole.wait(PATIENCE)
    assert begun.is_set()
    worker.close()


def test_a_request_that_waits_ends_with_a_newer_one_or_the_page() -> None:
    worker = Worker(lambda call: call())
    worker.rest()
    read: list[str] = []

    def steps(name: str) -> Iterator[str]:
        read.append(name)
        yield name

    for name in ("first", "second"):
        worker.read("map", partial(steps, name), read.append, pytest.fail, is_patient=True)
    worker.close()
    worker._patient.shutdown(wait=True)
    assert read == []


def test_what_can_wait_ends_also_while_another_has_its_turn(worker: Worker) -> None:
    """The newer request may read the same block, and would wait for it in a turn of its own."""
    cache, block = BlockCache(), Block(np.zeros((1, 1), np.float32), None)
    asked, has_turn, ended, goes_on, whole = (threading.Event() for _ in range(5))

    def read() -> Iterator[Block | None]:
        asked.set()
        try:
            while not has_turn.is_set():
                yield None
            yield block
        except GeneratorExit:
            ended.set()
            raise

    def other() -> Iterator[None]:
        has_turn.set()
        assert goes_on.wait(PATIENCE)
        yield None

    def picture() -> Iterator[Block | None]:
        return cache.read("block", read)

    shown: list[Block] = []
    worker.read("picture-1", picture, shown.append, pytest.fail, is_patient=True)
    assert asked.wait(PATIENCE)
    worker.read("mean", other, pytest.fail, pytest.fail, is_patient=True)
    assert has_turn.wait(PATIENCE)
    worker.read("picture-1", picture, shown.append, pytest.fail, is_patient=True)
    assert ended.wait(PATIENCE)
    goes_on.set()
    worker.when_idle(whole.set)
    assert whole.wait(PATIENCE)
    assert shown == [block]
