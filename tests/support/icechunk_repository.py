"""An Icechunk repository on this disk that may read frames of one directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import icechunk


def repository(path: Path, frames: Path) -> Any:
    """Create a repository in a directory; its virtual chunks are below `frames`."""
    config = icechunk.RepositoryConfig.default()
    prefix = f"file://{frames}/"
    config.set_virtual_chunk_container(
        icechunk.VirtualChunkContainer(prefix, icechunk.local_filesystem_store(str(frames)))
    )
    return icechunk.Repository.create(
        icechunk.local_filesystem_storage(str(path)),
        config,
        authorize_virtual_chunk_access={prefix: None},
    )


def open_plainly(place: Path, *prefixes: str, **chosen: str) -> Any:
    """Open a repository as a user of plain Zarr does: the group of a snapshot.

    Only frames in directories or on servers, given as the beginnings of their URLs, may be read.
    """
    import zarr

    icechunk.set_logs_filter("error")  # else a warning about disks at each opening
    credentials = getattr(icechunk, "credentials", None)
    remote = any(prefix.startswith("http") for prefix in prefixes)
    kind = "HttpAccess" if remote else "LocalFileSystemAccess"
    access = getattr(credentials, kind, None)  # version 1 has None instead
    opened = icechunk.Repository.open(
        icechunk.local_filesystem_storage(str(place)),
        authorize_virtual_chunk_access=dict.fromkeys(prefixes, access),
    )
    session = opened.readonly_session(**(chosen or {"branch": "main"}))
    return zarr.open_group(session.store, mode="r")
