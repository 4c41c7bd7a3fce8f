"""Make a dataset with markup in every text that somebody else could have written into it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import asdf

MARKUP = (
    "</title></script><script>window.hacked=1</script><img src=x onerror=window.hacked=2>"
    "<svg onload=window.hacked=3>$$\\href{javascript:window.hacked=4}{x}$$`@{x}&lt;'\""
)
"""Runs in any page that takes it for more than text."""

KEPT = {"DATE", "EXTEND", "BITPIX", "CTYPE", "CUNIT", "WCSAXES", "BUNIT"}
"""Beginnings of cards that have to be what they are for the dataset to open at all."""


def make_hostile(directory: Path, place: Path) -> Path:
    """Copy a directory with an ASDF and frames, and write markup into the ASDF's texts.

    Record, headers and names of axes: everything but the names of files, and what the coordinates
    are made of.
    """
    shutil.copytree(directory, place)
    (path,) = place.glob("*.asdf")
    with asdf.open(path, lazy_load=False, memmap=False) as file:
        tree = dict(file.tree)
        dataset: Any = tree["dataset"]
        inventory = dataset.meta["inventory"]
        for key, value in list(inventory.items()):
            if isinstance(value, str) and not key.lower().endswith(
                ("time", "date", "key", "bucket")
            ):
                inventory[key] = MARKUP
        headers = dataset.meta["headers"]
        for name in headers.colnames:
            if headers[name].dtype.kind in "OU" and not name.startswith(tuple(KEPT)):
                headers[name] = [MARKUP] * len(headers)
        for frame in (dataset.wcs.input_frame, dataset.wcs.output_frame):
            for each in (frame, *getattr(frame, "frames", ())):
                names = enumerate(each._prop.axes_names)
                each._prop.axes_names = tuple(f"{number}{MARKUP}" for number, _ in names)
        asdf.AsdfFile(tree).write_to(path)
    return place
