"""Keep machine code on the disk, where that is possible.

It is kept where numba keeps what it compiles: in the directory that ``NUMBA_CACHE_DIR`` names,
else beside the modules, else in the user's cache. Files of other versions of kernel, compiler or
processor are not read. Where nothing can be written, nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dkist_virtual.fits.compiled.machine_code import MachineCode, UnloadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read", "write"]

_MARK: Final = b"dkist_virtual kernel 1\n"

_HOW_TO_RUN: Final = ("NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT", "NUMBA_NUM_THREADS")
"""Numba's settings that do not change machine code; the others may."""


def read(module: str, name: str, signature: str) -> MachineCode | None:
    """Read a kernel's machine code; None where there is none, or that of another version."""
    for folder in _folders():
        with suppress(OSError, ValueError, TypeError, KeyError, UnloadableError):
            return _unpack((folder / _file_name(module, name, signature)).read_bytes())
    return None


def write(module: str, name: str, signature: str, code: MachineCode) -> None:
    """Keep a kernel's machine code where that is possible."""
    for folder in _folders():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            handle, made = tempfile.mkstemp(dir=folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_pack(code))
                Path(made).replace(folder / _file_name(module, name, signature))
            except OSError:
                Path(made).unlink(missing_ok=True)
                raise
            return


def _pack(code: MachineCode) -> bytes:
    sizes = [len(data) for data in code.objects]
    facts = {"symbol": code.symbol, "result": code.result, "sizes": sizes, "version": _version()}
    rest = json.dumps(facts).encode() + b"\n" + b"".join(code.objects)
    return _MARK + hashlib.sha256(rest).digest() + rest


def _unpack(data: bytes) -> MachineCode:
    """Take a file apart; `ValueError` where it is not whole, or of another version."""
    begin = len(_MARK) + hashlib.sha256().digest_size
    if data[:begin] != _MARK + hashlib.sha256(data[begin:]).digest():
        raise ValueError("not a kernel, or not all of it")
    stop = data.index(b"\n", begin)
    facts = json.loads(data[begin:stop])
    if facts["version"] != _version():
        raise ValueError("of another version")
    objects, at = [], stop + 1
    for size in facts["sizes"]:
        objects.append(data[at : at + size])
        at += size
    return MachineCode(facts["symbol"], facts["result"], tuple(objects))


def _folders() -> Iterator[Path]:
    """Say where to look: the places of numba's own cache."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        yield Path(named) / "dkist_virtual"
        return
    yield Path(__file__).parent / "__pycache__"
    try:
        from platformdirs import user_cache_path
    except ModuleNotFoundError:  # the codec is installed with what it needs alone
        return
    yield user_cache_path("dkist_virtual", appauthor=False) / "kernels"


@cache
def _file_name(module: str, name: str, signature: str) -> str:
    # A home may be shared by machines of several kinds: each has files of its own.
    said = hashlib.sha256(f"{signature}\n{_processor()}".encode()).hexdigest()
    return f"{module.rpartition('.')[2]}.{name}-{said[:16]}.kernel"


@cache
def _processor() -> str:
    import llvmlite.binding as llvm

    features = sorted(llvm.get_host_cpu_features().items())
    settings = {k: v for k, v in os.environ.items() if k.startswith("NUMBA_")}
    for name in _HOW_TO_RUN:
        settings.pop(name, None)
    machine = (sys.platform, sys.maxsize, llvm.get_default_triple(), llvm.get_host_cpu_name())
    return repr((machine, features, sorted(settings.items())))


@cache
def _version() -> str:
    """Return a digest of what machine code was made from: the kernels' modules, the compiler."""
    digest = hashlib.sha256()
    fits = Path(__file__).parent.parent
    own = [
        fits / "kernels.py",
        fits / "compiled" / "sums.py",
        fits / "compiled" / "machine_code.py",
    ]
    for path in sorted([*own, *fits.glob("tiled/*.py")]):
        digest.update(path.read_bytes())
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(f"{package} {version(package)}\n".encode())
    return digest.hexdigest()
