"""Show references of other programs as a read-only Zarr v3 store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dkist_virtual.store.read_only import ReadOnlyStore, check_byte_range, cut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from numpy.typing import NDArray
    from zarr.abc.buffer import Buffer, BufferPrototype
    from zarr.abc.store import ByteRequest

    from dkist_virtual.fits.decode import Window
    from dkist_virtual.store.kerchunk.documents import InlineArray
    from dkist_virtual.store.zarr_store import FrameStore

__all__ = ["OtherStore"]


class OtherStore(ReadOnlyStore):
    """Show arrays of frames, and beside them small arrays whose values are at hand.

    Parameters
    ----------
    frames : FrameStore
    attributes : mapping
        Of the root.
    inline : mapping of str to InlineArray
    """

    def __init__(
        self,
        frames: FrameStore,
        attributes: Mapping[str, Any],
        inline: Mapping[str, InlineArray],
        *,
        read_only: bool = True,
    ) -> None:
        super().__init__(read_only=read_only)
        self.frames, self.attributes, self.inline = frames, dict(attributes), dict(inline)
        root = {"zarr_format": 3, "node_type": "group", "attributes": self.attributes}
        self._known = {"zarr.json": json.dumps(root).encode()}
        for name, array in self.inline.items():
            self._known[f"{name}/zarr.json"] = json.dumps(array.document).encode()
            self._known[f"{name}/{array.key}"] = array.data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OtherStore) and (
            (self.frames, self._known) == (other.frames, other._known)
        )

    def __hash__(self) -> int:
        return hash(self.frames)

    def __reduce__(self) -> tuple[Any, ...]:
        return OtherStore, (self.frames, self.attributes, self.inline)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {', '.join([*self.frames.references.arrays, *self.inline])}>"
        )

    __str__ = __repr__

    def read_window(self, key: str, window: Window) -> NDArray[Any] | None:
        """Read pixels of part of a frame: see `FrameStore.read_window`."""
        return self.frames.read_window(key, window)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Get the bytes at a key; None where there are none."""
        check_byte_range(byte_range)
        if key in self._known:
            return prototype.buffer.from_bytes(cut(self._known[key], byte_range))
        return await self.frames.get(key, prototype, byte_range)

    async def exists(self, key: str) -> bool:
        """Check whether a key is in the store."""
        return key in self._known or await self.frames.exists(key)

    async def getsize(self, key: str) -> int:
        """Get the number of bytes at a key without reading them."""
        return len(self._known[key]) if key in self._known else await self.frames.getsize(key)

    async def list(self) -> AsyncIterator[str]:
        """List all keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List all keys that begin with `prefix`."""
        for key in self._known:
            if key.startswith(prefix):
                yield key
        async for key in self.frames.list_prefix(prefix):
            if key not in self._known:
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List what is directly under `prefix`."""
        name = prefix.strip("/")
        if name in self.inline:
            yield "zarr.json"
            yield self.inline[name].key
        async for key in self.frames.list_dir(prefix):
            yield key
        if not name:
            for key in self.inline:
                yield key
