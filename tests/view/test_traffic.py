"""What the line at the end of a page says was read is what was read."""

from __future__ import annotations

from pathlib import Path

from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.traffic import Traffic, traffic
from dkist_virtual.view.page.status import read_text


def test_reads_are_counted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(5000))
    before = traffic()
    for length in (1000, 2000):
        Fetcher().read(str(tmp_path / "file"), 10, length)
    after = traffic()
    assert after == Traffic(before.requests + 2, before.n_bytes + 3000)
    assert read_text(before, after) == "2 reads, 3 kB"
    assert read_text(after, after) == ""
