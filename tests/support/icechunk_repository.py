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
