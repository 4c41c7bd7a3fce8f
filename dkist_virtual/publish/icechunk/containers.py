"""Name the places of frames as Icechunk does, and what it needs to read them.

Icechunk reads a virtual chunk only in a *container*, the beginning of a URL that the repository
names, and only if the user who opens it authorises that. What is written of a container is where it
is, never with which credentials.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dkist_virtual.errors import StoreError
from dkist_virtual.io.locations import Location, is_local, shown
from dkist_virtual.io.safety import check_no_secrets
from dkist_virtual.store.icechunk.address import location_of
from dkist_virtual.store.icechunk.repository import import_icechunk, s3_options

if TYPE_CHECKING:
    import icechunk

    from dkist_virtual.io.fetcher import Fetcher

__all__ = ["Containers"]


def container_of(directory: str) -> str:
    """Choose the container of a directory: itself, or the one above that can be a container.

    Icechunk compares the beginning of a URL as it was written, and again as it is decoded: both
    are the same only of names without blanks and other characters that URLs encode.

    Parameters
    ----------
    directory : str
        As Icechunk writes it, with a slash at its end.

    Raises
    ------
    StoreError
        That would be the whole disk.
    """
    scheme, _, rest = directory.partition("://")
    host, *names = rest.rstrip("/").split("/")
    plain = list(itertools.takewhile(lambda name: quote(name) == name, names))
    if scheme == "file" and not plain:
        raise StoreError(
            f"{shown(directory)}: Icechunk would have to be allowed to read the whole disk, as it "
            "refers to no directory whose name has blanks or other characters that URLs encode: "
            "expected frames below a directory without any"
        )
    return f"{scheme}://{'/'.join([host, *plain])}/"


@dataclass(slots=True)
class Containers:
    """Collect the containers that frames are in.

    Parameters
    ----------
    base : str
        The directory of the frames' relative names, which is one where they are below it.
    """

    base: str
    _base: str = field(init=False)
    _found: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._base = location_of(self.base).rstrip("/") + "/"

    def add(self, urls: list[str]) -> list[str]:
        """Note the containers of frames, and give their URLs as Icechunk writes them."""
        written = [location_of(url) if url else "" for url in urls]
        for url, location in zip(urls, written, strict=True):
            if not location:
                continue
            if location.startswith(self._base):
                self._found.setdefault(container_of(self._base), self.base)
            else:
                directory = location.rpartition("/")[0] + "/"
                self._found.setdefault(container_of(directory), url.rpartition("/")[0])
        return written

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The beginnings of URLs that the repository has to name."""
        return tuple(self._found)

    def configure(self, config: icechunk.RepositoryConfig, fetcher: Fetcher) -> bool:
        """Name the containers in the configuration of a repository; tell whether any is new."""
        known = config.virtual_chunk_containers or {}
        icechunk = import_icechunk()
        changed = False
        for prefix, place in self._found.items():
            if prefix not in known:
                store = _store_of(icechunk, prefix, place, fetcher)
                config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store))
                changed = True
        return changed


def _store_of(icechunk: Any, prefix: str, place: str, fetcher: Fetcher) -> Any:
    """Say how Icechunk reads a container, without credentials."""
    if is_local(place):
        return icechunk.local_filesystem_store(prefix.removeprefix("file://").rstrip("/"))
    location = Location.of(place)
    if location.is_web:
        has_port = ":" in location.host.rpartition("]")[2]
        if has_port and icechunk.__version__.startswith("1."):
            raise StoreError(
                f"{shown(place)}: icechunk {icechunk.__version__} reads no URL with a port, which "
                "it forgets: python -m pip install --upgrade icechunk"
            )
        return icechunk.http_store({"allow_http": "true"} if location.scheme == "http" else None)
    made = s3_options(fetcher.options(place), place)
    if "endpoint_url" in made:
        check_no_secrets("endpoint_url", str(made["endpoint_url"]))
    kept = ("region", "endpoint_url", "allow_http", "anonymous", "force_path_style")
    return icechunk.s3_store(
        **{key: made[key] for key in kept if key in made},
        s3_compatible="endpoint_url" in made,
    )
