"""Check that an ASDF, a report or a movie that was fetched is one, and whole.

A server that requires a login answers with a page, status 200 and its length. A file keeps its name
only if it is of the right kind.
"""

from __future__ import annotations

import json
from typing import Final, Literal, TypeAlias

from dkist_virtual.errors import DatasetError, FrameCorruptError
from dkist_virtual.fits.file_check import refuse_empty
from dkist_virtual.io.asdf_blocks import check_blocks
from dkist_virtual.io.local_file import FileBytes, open_regular

__all__ = ["DocumentKind", "check_document"]

DocumentKind: TypeAlias = Literal["asdf", "pdf", "json", "mp4"]

END: Final = 2_048
"""Bytes at the end of a PDF that contain its last line: some writers add blanks. Reports and movies
that are shorter have no content, and their end is not checked."""


def check_document(path: str, kind: DocumentKind) -> None:
    """Refuse a file that is of another kind, or cut short, with FrameCorruptError."""
    with FileBytes(path) as data:
        refuse_empty(data, _NAMES[kind])
        begin, size = data[:64], len(data)
        if kind == "asdf":
            try:
                check_blocks(data, path)
            except DatasetError as error:
                raise FrameCorruptError(str(error).removeprefix(f"{path}: ")) from error
        elif kind == "pdf":
            if not begin.startswith(b"%PDF-"):
                raise _other(kind, begin)
            if size > END and b"%%EOF" not in data[max(size - END, 0) : size]:
                raise FrameCorruptError(f"has no %%EOF in its last {END} bytes: it is cut short")
        elif kind == "mp4":
            _check_boxes(data)
        else:
            _check_json(path, begin)


_NAMES: Final = {"asdf": "an ASDF", "pdf": "a PDF", "json": "JSON", "mp4": "an MP4 movie"}


def _other(kind: DocumentKind, begin: bytes) -> FrameCorruptError:
    return FrameCorruptError(
        f"begins with {begin[:15]!r}: expected {_NAMES[kind]}. Is it the page of a login or a "
        "proxy?"
    )


def _check_json(path: str, begin: bytes) -> None:
    try:
        with open_regular(path) as file:
            json.load(file)
    except (ValueError, RecursionError) as error:
        raise _other("json", begin) from error


def _check_boxes(data: FileBytes) -> None:
    """Walk the boxes of an MP4 (ISO 14496-12, 4.2): each states its length, or that it is last."""
    at = 0
    while at < len(data):
        header = data[at : at + 16]
        length = int.from_bytes(header[:4], "big")
        if at == 0 and header[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            raise _other("mp4", data[:64])
        least = 8
        if length == 1:
            length, least = int.from_bytes(header[8:16], "big"), 16
        elif length == 0:
            return
        if len(data) > END and (length < least or at + length > len(data)):
            raise FrameCorruptError(
                f"a box at byte {at} ends at byte {at + length}, the file at {len(data)}: it is "
                "cut short, or not an MP4"
            )
        at += max(length, least)
