"""Ctrl-C ends what runs on the event loop, whenever it comes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from dkist_virtual.io import event_loop
from dkist_virtual.io.event_loop import run


class Work:
    """A coroutine that runs until it is cancelled."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


def interrupting(when: Callable[[Work], object], work: Work) -> Callable[..., Future[Any]]:
    """Begin as asyncio does, and press Ctrl-C before what it returns is there."""
    begin = asyncio.run_coroutine_threadsafe

    def begins(*given: Any) -> Future[Any]:
        begin(*given)
        when(work)
        raise KeyboardInterrupt

    return begins


@pytest.mark.parametrize(
    "when", [lambda _: None, lambda work: work.begun.wait(30)], ids=["at once", "begun"]
)
def test_it_ends_where_ctrl_c_comes_while_it_is_begun(
    when: Callable[[Work], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work()
    begins = interrupting(when, work)
    monkeypatch.setattr(event_loop.asyncio, "run_coroutine_threadsafe", begins)
    with pytest.raises(KeyboardInterrupt):
        run(work(), patience=30)
    assert work.ended.is_set() or not work.begun.is_set()
    monkeypatch.undo()
    run(asyncio.sleep(0))  # what was begun before has had its turn
    assert work.ended.is_set() or not work.begun.is_set()


def test_it_ends_where_what_runs_meanwhile_fails() -> None:
    work = Work()

    def fails() -> None:
        if work.begun.is_set():
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        run(work(), patience=30, meanwhile=fails)
    assert work.ended.is_set()


def test_its_own_error_and_its_result_come_back() -> None:
    async def fails() -> None:
        raise ValueError("of its own")

    async def gives() -> int:
        return 7

    with pytest.raises(ValueError, match="of its own"):
        run(fails(), patience=30)
    assert run(gives()) == 7
