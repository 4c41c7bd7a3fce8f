"""Worker processes that are forked after, and during, reads in their parent."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frame_server import FrameServer

import dkist_virtual as dv

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def _send(queue: Any, ds: Any) -> None:
    queue.put((float(np.nansum(ds.data.compute())), float(np.nansum(np.asarray(ds[0, 0].data)))))


def test_forked_workers_read_while_their_parent_does(simulated: Any, tmp_path: Path) -> None:
    frames = simulated("visp_moving")
    with FrameServer(frames).running() as server:
        dv.convert(frames, tmp_path / "store", base=server.url, progress=False)
        for place in (None, frames):
            ds: Any = dv.open_dataset(tmp_path / "store", frames=place, chunks="frame")
            expected = (
                float(np.nansum(ds.data.compute())), float(np.nansum(np.asarray(ds[0, 0].data)))
            )  # fmt: skip
            stop = threading.Event()

            def busy(ds: Any = ds, stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    ds.data.compute()

            thread = threading.Thread(target=busy)
            thread.start()
            try:
                context = multiprocessing.get_context("fork")
                queue = context.Queue()
                workers = [context.Process(target=_send, args=(queue, ds)) for _ in range(2)]
                for worker in workers:
                    worker.start()
                assert [queue.get(timeout=60) for _ in workers] == [expected] * 2
                for worker in workers:
                    worker.join()
            finally:
                stop.set()
                thread.join()
