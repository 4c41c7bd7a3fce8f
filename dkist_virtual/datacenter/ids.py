"""Tell IDs of datasets and products from other text."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_id"]

_ID: Final = re.compile(r"L\d-[A-Z0-9-]{4,20}|[A-Z0-9]{4,12}")


def is_id(text: str) -> bool:
    """Whether a text has the form of a dataset ID, or of a product ID such as ``L1-ABCDE``."""
    return _ID.fullmatch(text) is not None
