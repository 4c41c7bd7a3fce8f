"""Serve a dataset's frames, beside a store that was made from a scan of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer

__all__ = ["serve_store"]


@contextmanager
def serve_store(frames: Path, directory: Path) -> Iterator[FrameServer]:
    """Copy frames to ``directory/frames``, and convert them to ``directory/store``."""
    shutil.copytree(frames, directory / "frames")
    with FrameServer(directory).running() as server:
        dv.convert(
            directory / "frames", directory / "store",
            base=f"{server.url}/frames", frames=directory / "frames", progress=False,
        )  # fmt: skip
        yield server
