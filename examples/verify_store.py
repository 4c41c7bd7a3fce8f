"""Verify a store: all good, then a flipped bit and a missing frame; and checked reads.

    python verify_store.py

Makes a small dataset. Needs the extra ``demo``.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf


def main(workspace: Path) -> None:
    asdf = make_vtf(workspace / "frames", (4, 1, 5, 48, 64))  # (stokes, scan, wavelength, y, x)
    store = workspace / "VTF.virtual"
    dv.convert(asdf, store)

    # 1. Check every frame against the store.
    print(dv.verify(store), "\n")

    # 2. One bit of one frame, and another frame gone.
    first, second, *_ = sorted((workspace / "frames").glob("*.fits"))
    data = bytearray(first.read_bytes())
    data[-3000] ^= 1
    first.write_bytes(data)
    second.unlink()
    report = dv.verify(store)
    assert isinstance(report, dv.Verification)
    print(report.counts, "exit status", report.exit_status)
    for finding in report.findings:
        print(f"{finding.outcome}: {finding.key}")

    # 3. Opening the store warns.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ds = dv.open_dataset(store, verify=True)
    print("Warned:", "1 of 20 frames looked at" in str(caught[-1].message))

    # 4. Checked reads: the frame's bytes are checked against the sum in its own header.
    assert isinstance(ds, dv.Dataset)
    for finding in report.findings:
        if finding.outcome == "corrupt":
            try:
                ds[tuple(map(int, finding.key.removeprefix("data/").split(".")[:3]))].data.compute()
            except dv.errors.FrameCorruptError:
                print("Refused:", finding.key)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
