"""Name the places of frames as Icechunk does, and what it needs to read them.

Icechunk reads a virtual chunk only in a *container*, the beginning of a URL that the repository
names, and only if the user who opens it authorises that. What is written of a container is where it
is, never with which credentials.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dkist_virtual.errors import StoreError
from dkist_virtual.io.locations import Location, is_local, local_path, shown
from dkist_virtual.io.safety import check_no_secrets
from dkist_virtual.store.icechunk.repository import import_icechunk, s3_options

if TYPE_CHECKING:
    import icechunk

    from dkist_virtual.io.fetcher import Fetcher

__all__ = ["Containers", "location_of"]

_MARKS = "%?#"


def location_of(url: str) -> str:
    """Write the URL of a frame as Icechunk does: one of a local file is percent-encoded.

    Raises
    ------
    StoreError
        Icechunk reads no such place.
    """
    if is_local(url):
        return "file://" + quote(local_path(url), errors="surrogateescape")
    location = Location.of(url)
    if location.query:
        raise StoreError(
            f"{shown(url)}: this frame's URL has a query, which may be a signature, and would be "
            "written into the repository: expected the plain URL of a frame"
        )
    if location.is_web:
        return url
    if location.scheme in ("s3", "s3a"):
        return f"s3://{location.host}" + quote(location.path, safe="/")
    raise StoreError(
        f"{shown(url)}: Icechunk is not told how to read {location.scheme}://: expected frames on "
        "this machine, in S3 (s3://) or on a web server (https://)"
    )


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
                self._found.setdefault(self._base, self.base)
            else:
                self._found.setdefault(location.rpartition("/")[0] + "/", url.rpartition("/")[0])
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
                store = _store_of(icechunk, place, fetcher)
                config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store))
                changed = True
        return changed


def _store_of(icechunk: Any, place: str, fetcher: Fetcher) -> Any:
    """Say how Icechunk reads a container, without credentials."""
    if is_local(place):
        return icechunk.local_filesystem_store(local_path(place))
    location = Location.of(place)
    if location.is_web:
        return icechunk.http_store()
    made = s3_options(fetcher.options(place), place)
    if "endpoint_url" in made:
        check_no_secrets("endpoint_url", str(made["endpoint_url"]))
    kept = ("region", "endpoint_url", "allow_http", "anonymous", "force_path_style")
    return icechunk.s3_store(
        **{key: made[key] for key in kept if key in made},
        s3_compatible="endpoint_url" in made,
    )
