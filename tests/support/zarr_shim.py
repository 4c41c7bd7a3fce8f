"""What runs `zarr.testing.store.StoreTests`, zarr's own tests of a store, on a store of frames.

Those tests write bytes of their own under keys of their own, and read them back through the store.
A store of frames has other keys, and what they point at is in files: here each key of a test stands
for a frame's chunk, and its bytes are written into that frame's file.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype

from dkist_virtual.store.codecs import FrameSpec
from dkist_virtual.store.format.references import (
    WHOLE_FILE,
    ArrayMetadata,
    FrameColumns,
    ReferenceSet,
)
from dkist_virtual.store.zarr_store import FrameStore

N = 12


def references_to(directory: Path) -> ReferenceSet:
    """An array of whole files, none of which was scanned, so that they may have any length."""
    attributes: dict[str, Any] = {"_ARRAY_DIMENSIONS": ["frame", "y", "x"], "unit": None}
    metadata = ArrayMetadata((N, 4, 5), (1, 4, 5), "<f4", FrameSpec(0, "<f4", (4, 5)), attributes)
    urls = np.array([f"{directory}/{i}.fits" for i in range(N)], np.dtypes.StringDType())
    nowhere = np.full(N, WHOLE_FILE, np.int64)
    root = {"format_version": 1, "base": str(directory), "tiles": None, "n_frames": N}
    return ReferenceSet(root, {"data": (metadata, FrameColumns(urls, nowhere, nowhere.copy()))})


class KeyedStore(FrameStore):
    """A store of frames by the keys of zarr's tests: each new one stands for the next frame."""

    def __init__(self, directory: Path, **how: Any) -> None:
        super().__init__(references_to(directory), **how)
        self.directory = directory
        self.names: dict[str, int] = {}

    def file(self, key: str) -> Path:
        return self.directory / f"{self.names.setdefault(key, len(self.names))}.fits"

    def own(self, key: str) -> str:
        return f"data/{self.names[key]}.0.0" if key in self.names else key

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        return await super().get(self.own(key), prototype, byte_range)

    async def exists(self, key: str) -> bool:
        return await super().exists(self.own(key))

    async def getsize(self, key: str) -> int:
        return await super().getsize(self.own(key))


def run_here(test: Callable[..., Any]) -> Callable[..., Any]:
    """A test that is a coroutine function as a function: pytest alone runs no coroutines."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(test(*args, **kwargs))

    return run


def chunk_spec_of(array: Any) -> ArraySpec:
    """What zarr tells a codec of a chunk of an array; the method that gives it moves."""
    metadata = array.metadata
    return ArraySpec(
        shape=array.chunks,
        dtype=metadata.data_type,
        fill_value=metadata.fill_value,
        config=ArrayConfig.from_dict({}),
        prototype=default_buffer_prototype(),
    )
