"""Describe a file to be fetched, and check it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dkist_virtual.fits.file_check import Checked, check_whole
from dkist_virtual.io.download.document_check import DocumentKind, check_document
from dkist_virtual.io.download.part_file import MOST
from dkist_virtual.io.local_file import FileBytes

if TYPE_CHECKING:
    from dkist_virtual.io.fetcher import Fetcher

__all__ = ["Item"]


@dataclass(frozen=True, slots=True)
class Item:
    """One file to be fetched, by its name below the destination.

    It is tried at each of `urls` in order. `size` is its length when it was scanned, -1 where it
    was not; then `most` is the largest length to accept. `checked` is the HDU and the sum to
    verify, `kind` that of a file that is not FITS.
    """

    name: str
    urls: tuple[str, ...] = field(repr=False)  # may be signed
    size: int
    fetcher: Fetcher = field(repr=False)
    checked: Checked
    most: int = MOST
    kind: DocumentKind | None = None

    def check_whole(self, path: str) -> None:
        """Refuse a file that is of another kind, or not whole, with FrameCorruptError."""
        if self.kind is None:
            with FileBytes(path) as data:
                check_whole(data, self.checked)
        else:
            check_document(path, self.kind)
