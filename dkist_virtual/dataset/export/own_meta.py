"""Give other libraries what is in the meta of a dataset beside what it was opened with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dkist_virtual.dataset.derived.state import own_meta

if TYPE_CHECKING:
    from dkist_virtual.dataset.derived.state import FrameCube

__all__ = ["exported_meta"]


def exported_meta(ds: FrameCube) -> dict[str, Any]:
    """Return it with how the pixels were computed, ``meta["result"]``, as JSON text."""
    own = own_meta(ds)
    if isinstance(own.get("result"), dict):
        own["result"] = json.dumps(own["result"])
    return own
