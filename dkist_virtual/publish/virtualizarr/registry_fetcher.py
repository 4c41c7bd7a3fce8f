"""Read bytes with the object stores that a user of VirtualiZarr has registered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dkist_virtual.errors import FrameMissingError, FrameUnreachableError
from dkist_virtual.io.byte_range import Reply
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.locations import Location, is_local, shown
from dkist_virtual.io.remote.reply import too_long
from dkist_virtual.io.settings import setting
from dkist_virtual.store.read_options import ReadOptions

if TYPE_CHECKING:
    from dkist_virtual.io.byte_range import Request
    from dkist_virtual.io.remote.reply import Sink

__all__ = ["RegistryFetcher", "RegistryOptions"]


@dataclass(frozen=True)
class RegistryFetcher(Fetcher):
    """Fetch bytes of files: remote ones from the object stores of a registry.

    A URL with a query, such as that of an ASDF at the Data Center, is the address of no object:
    it is requested as everywhere else in this package.

    Parameters
    ----------
    registry : ObjectStoreRegistry
    """

    registry: Any = None

    async def ask(self, request: Request) -> Reply:
        """Request a byte range, on an event loop."""
        if Location.of(request.url).query:
            return await super().ask(request)
        if request.length == 0 and not request.sized:
            return Reply(b"", None)
        store, path = self._place(request.url)
        how = {}
        if request.stop is not None:
            how["range"] = (request.start, max(request.stop, request.start + 1))
        try:
            found = await store.get_async(path, options=how)
            size: int = found.meta["size"]
            most = int(setting("largest_file")) if request.most is None else request.most
            if request.stop is None and size > most:
                raise too_long(most)
            data = bytes(await found.bytes_async())
            return Reply(data, size, etag=found.meta["e_tag"], firm=True)
        except Exception as error:
            raise _translated(request.url, error) from error

    async def pour(self, url: str, sink: Sink) -> None:
        """Fetch the whole of a file into a sink, on an event loop."""
        if is_local(url) or Location.of(url).query:
            return await super().pour(url, sink)
        store, path = self._place(url)
        try:
            found = await store.get_async(path)
            await sink.begin(found.meta["size"], found.meta["e_tag"])
            if found.meta["size"] > sink.most:
                raise too_long(sink.most)
            async for piece in found.stream():
                await sink.write([bytes(piece)])
        except Exception as error:
            raise _translated(url, error) from error
        return None

    def _place(self, url: str) -> tuple[Any, str]:
        try:
            store, path = self.registry.resolve(url)
        except ValueError:
            location = Location.of(url)
            raise FrameUnreachableError(
                f"{shown(url)}: no object store is registered for {location.scheme}://"
                f"{location.host}: expected one in the registry that the parser is given"
            ) from None
        return store, path


def _translated(url: str, error: Exception) -> Exception:
    """Say what an object store's error means; errors of other kinds stay as they are."""
    from obstore.exceptions import BaseError, NotFoundError

    said = f"{shown(url)}: {type(error).__name__}: {error}"
    if isinstance(error, (FileNotFoundError, NotFoundError)):
        return FrameMissingError(said)
    return FrameUnreachableError(said) if isinstance(error, (BaseError, OSError)) else error


@dataclass(frozen=True)
class RegistryOptions(ReadOptions):
    """How to read a dataset with the object stores of a registry.

    Parameters
    ----------
    registry : ObjectStoreRegistry
    """

    registry: Any = field(default=None, repr=False)

    def fetcher(self) -> Fetcher:
        """Make the fetcher that reads bytes with the registry."""
        return RegistryFetcher(registry=self.registry)
