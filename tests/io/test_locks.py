"""Locks between processes: one holds a file, a killed one does not, and nothing is left behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from dkist_virtual.io.locks import open_locked, unlock

HOLDER = """
import sys
from dkist_virtual.io.locks import open_locked
print(open_locked(sys.argv[1]) is not None, flush=True)
sys.stdin.read()
"""


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "a"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"True\n"
    assert open_locked(path) is None
    child.send_signal(signal.SIGKILL)
    file = open_locked(path, wait=True)
    assert file is not None
    child.communicate()
    os.close(file)
    assert os.listdir(tmp_path) == ["a"]


def test_it_ends_when_the_file_is_unlocked_or_closed(tmp_path: Path) -> None:
    first = open_locked(tmp_path / "a")
    assert first is not None
    assert open_locked(tmp_path / "a") is None
    unlock(first)
    second = open_locked(tmp_path / "a")
    assert second is not None
    os.close(second)
    os.close(first)


def test_a_file_that_its_holder_removed_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock, calls = tmp_path / "a", filelock.lock_descriptor, []

    def removed_before(file: int, **how: bool) -> bool:
        calls.append(file)
        if len(calls) == 1:
            path.unlink()
        return lock(file, **how)

    monkeypatch.setattr(filelock, "lock_descriptor", removed_before)
    file = open_locked(path)
    assert file is not None
    assert len(calls) == 2
    assert os.path.samestat(os.fstat(file), path.stat())
    os.close(file)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_locks_keeps_nobody_out(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> bool:
        raise OSError(number, "no locks here")

    monkeypatch.setattr(filelock, "lock_descriptor", fails)
    files = [open_locked(tmp_path / "a") for _ in range(2)]
    for file in files:
        assert file is not None
        os.close(file)
