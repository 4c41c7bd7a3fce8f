"""Press Ctrl-C while frames are read or fetched: all stops, and the next read works."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer, no_fault


def interrupting(at: int, what: Any) -> Callable[[str, int], Any]:
    """Press Ctrl-C when the request of a number is there; it is answered with `what`."""
    main = threading.main_thread().ident
    assert main is not None
    asked: list[str] = []

    def fault(path: str, _: int) -> Any:
        asked.append(path)
        if len(asked) == at + 1:
            signal.pthread_kill(main, signal.SIGINT)
        return what if len(asked) > at else None

    return fault


@pytest.fixture
def served(simulated: Any, tmp_path: Path) -> Iterator[tuple[FrameServer, Path]]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with FrameServer(simulated("visp_plain")).running() as server:
            store = tmp_path / "store"
            dv.convert(
                simulated("visp_plain"), store, base=server.url, scan="never", progress=False
            )
            yield server, store
    finally:
        signal.signal(signal.SIGINT, before)


READS: dict[str, Callable[[Any], Any]] = {
    "one frame": lambda ds: np.asarray(ds[0, 0].data),
    "a few rows": lambda ds: np.asarray(ds[0, 0, 3:5].data),
    "all frames": lambda ds: np.asarray(ds.data),
    "a row of each": lambda ds: np.asarray(ds[:, :, 7].data),
}


@pytest.mark.parametrize(
    ("name", "at"),
    mostly_slow(itertools.product(READS, [0, 1]), ("one frame", 0), ("a row of each", 1)),
)
def test_a_read_is_given_up_and_the_next_one_works(
    name: str, at: int, served: tuple[FrameServer, Path], simulated: Any
) -> None:
    read, (server, store) = READS[name], served
    expected = read(dv.open_dataset(store, frames=simulated("visp_plain")))
    ds = dv.open_dataset(store)
    one = name in ("one frame", "a few rows")
    server.fault = interrupting(0 if one else at, "stall")
    with pytest.raises(KeyboardInterrupt):
        read(ds)
    # No answer ends before its client gives it up: this waits until all are.
    server.forget()
    server.fault = no_fault
    np.testing.assert_array_equal(read(ds), expected)
    asked = len(server.requests)
    server.forget()
    assert asked in (1, 8)
    np.testing.assert_array_equal(read(dv.open_dataset(store)), expected)


@pytest.mark.parametrize("at", mostly_slow([0, 3], 3))
def test_a_download_leaves_whole_files_and_parts(
    at: int, served: tuple[FrameServer, Path], simulated: Any, tmp_path: Path
) -> None:
    server, store = served
    ds: Any = dv.open_dataset(store)
    server.fault = interrupting(at, "stall")
    with pytest.raises(KeyboardInterrupt, match="Run it again to continue"):
        ds.download(tmp_path / "here", workers=2, progress=False)
    server.forget()
    server.fault = no_fault

    def check() -> int:
        frames = [path for path in (tmp_path / "here").iterdir() if path.suffix == ".fits"]
        for path in frames:
            assert path.read_bytes() == (simulated("visp_plain") / path.name).read_bytes()
        return len(frames)

    assert check() <= at
    np.testing.assert_array_equal(
        np.asarray(ds.data), np.asarray(dv.open_dataset(store, frames=simulated("visp_plain")).data)
    )
    ds.download(tmp_path / "here", progress=False)
    assert check() == len(ds.files)
    assert {path.suffix for path in (tmp_path / "here").iterdir()} == {".fits"}
