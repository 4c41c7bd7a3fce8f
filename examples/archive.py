"""Stores of all datasets of an archive, kept up to date.

python archive.py [ARCHIVE STORES]     a directory with ASDFs at any depth, by default a small one
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import dkist_virtual as dv
from dkist_virtual.demo.archive import make_archive
from dkist_virtual.demo.vtf import make_vtf


def main(archive: Path, stores: Path) -> None:
    # Prints a line for each dataset that is new or has changed. Ctrl-C is safe: the same call
    # goes on.
    print(dv.convert_archive(archive, stores, on_dataset=print))

    # Said again, what has not changed costs a look at its ASDF's size and time.
    report = dv.convert_archive(archive, stores, verify_sample=2)
    print("Again:", report.counts)
    for failure in report.failures:
        print("Look at", failure)

    store = next(stores.glob("*.virtual"))
    print(dv.open_dataset(store))


if __name__ == "__main__":
    if sys.argv[1:]:
        main(*map(Path, sys.argv[1:3]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            work = Path(temporary)
            pattern = make_vtf(work / "VTF", (2, 2, 5, 48, 64), echo=lambda _: None)
            make_archive(work / "archive", [pattern], 3)
            main(work / "archive", work / "stores")
