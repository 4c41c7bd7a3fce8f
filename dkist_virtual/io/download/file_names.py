"""Refuse file names that a download may not write."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

from dkist_virtual.io.download.part_file import PART, PART_NOTES
from dkist_virtual.io.download.report import failed
from dkist_virtual.io.local_file import is_something_else
from dkist_virtual.io.locations import absolute
from dkist_virtual.io.safety import unsafe_name

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_names"]


def check_names(names: Iterable[str], destination: str) -> None:
    """Refuse names that would be written outside a directory, or over each other.

    Raises a DownloadError with each of them. The directory need not exist.
    """
    failures: dict[str, str] = {}
    root = os.path.realpath(absolute(destination))
    taken: dict[str, str] = {}
    directories: dict[str, str] = {}
    safe: dict[str, bool] = {}
    for name in dict.fromkeys(names):
        parts = name.split("/")
        if reason := _unsafe(name):
            failures[name] = reason
            continue
        parent = "/".join(parts[:-1])
        if parent not in safe:
            real = os.path.realpath(os.path.join(root, *parts[:-1]))
            safe[parent] = real == root or os.path.commonpath([real, root]) == root
        if not safe[parent]:
            failures[name] = f"{parent} is a link that leads out of {destination}"
        elif os.path.isdir(os.path.join(root, name)):
            failures[name] = "a directory of that name is there"
        elif is_something_else(os.path.join(root, name)):
            failures[name] = "something of that name is there that is not a regular file"
        # Disks that ignore upper and lower case would make one file of two.
        folded = _folded(name)
        other = taken.setdefault(folded, name)
        if other != name:
            failures[name] = f"is the same as {other} where upper and lower case are alike"
        for depth in range(1, len(parts)):
            directories.setdefault(_folded("/".join(parts[:depth])), name)
    for folded, name in directories.items():
        if folded in taken:
            failures[name] = f"needs a directory where {taken[folded]} is a file"
    if failures:
        raise failed(
            f"{len(failures)} names would not be written safely below {destination}; nothing was "
            "fetched",
            failures,
        )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _unsafe(name: str) -> str:
    """Say why a name may not be written below a directory; empty where it may."""
    if reason := unsafe_name(name):
        return reason
    if name.casefold().endswith((PART, PART_NOTES)):
        return f"ends in {PART}, which is reserved for files that are being fetched"
    return ""
