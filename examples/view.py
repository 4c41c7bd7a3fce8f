"""Look at a dataset in the browser, and go on with what was marked there.

    python view.py

Makes a small dataset first. Draw a box on the page, or mark times, and
press Ctrl-C here. Needs the extras ``demo`` and ``view``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf


def main(directory: Path) -> None:
    make_vtf(directory / "frames", shape=(4, 2, 5, 96, 128), echo=lambda _: None)
    ds = dv.open_dataset(directory / "frames")

    # 1. The page is served from now on; it reads what is looked at.
    somebody_looks = sys.stdin.isatty()
    viewer = ds.view(browser=somebody_looks)
    print("served to this machine alone:", viewer.url.startswith("http://127.0.0.1:"))

    # 2. Until Ctrl-C.
    if somebody_looks:
        viewer.wait()

    # 3. What is marked on the page, as a dataset: nothing is read for that.
    marked = viewer.selection
    print(f"selected: {marked.shape} in {len(marked.files.names)} files")
    viewer.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(made))
