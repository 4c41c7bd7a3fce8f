"""Make outputs once, and read each in fresh environments that have its readers alone.

    python readers/run.py [PYTHON ...]

An environment for each of `ENVIRONMENTS` and each Python, made by uv in a temporary directory. The
codec is installed as a wheel without its dependencies. Prints a table; exits with 1 if an output
was not read, or differently than astropy reads it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

#: So many environments at a time.
JOBS = 2


@dataclass(frozen=True)
class Environment:
    """What is installed, and which readers are tried.

    Attributes
    ----------
    packages
        Of the reader, beside what they bring.
    readers
        Names of `read.READERS`, or ``tables``.
    codec
        Whether the codec is installed after plain frames were read without it.
    """

    packages: tuple[str, ...]
    readers: tuple[str, ...]
    codec: bool = True


#: What the codec needs, beside Zarr and numcodecs; what else the package needs is not installed.
CODEC = ("numpy", "numba")

ENVIRONMENTS = {
    "kerchunk": Environment(("xarray", "kerchunk", "fastparquet"), ("xarray", "zarr")),
    "zarr 3.1": Environment(("zarr==3.1.*", "fsspec", "fastparquet", "ujson"), ("zarr",)),
    "icechunk": Environment(("icechunk", "xarray"), ("xarray", "zarr")),
    "virtualizarr": Environment(("virtualizarr", "kerchunk", "fastparquet"), ("virtualizarr",)),
    "tables": Environment(
        ("pandas", "pyarrow", "pystac[validation]", "intake"), ("tables",), codec=False
    ),
}


def find_uv() -> str:
    """Return uv of this environment, or of the machine."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        sys.exit("readers/run.py needs uv: python -m pip install uv")
    return found


def run(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program without this environment's paths."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(command, check=False, text=True, env=kept, **more)


def must(*command: str) -> None:
    """Run a program that may not fail."""
    done = run(*command, capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


def read_in(name: str, python: str, base: Path, uv: str) -> tuple[list[list[str]], int]:
    """Make an environment, and read all outputs in it; return its lines, and how many failed."""
    begin = time.monotonic()
    what = ENVIRONMENTS[name]
    place = Path(tempfile.mkdtemp(prefix="environment-", dir=base))
    binary = str(place / "bin" / "python")
    must(uv, "venv", "--quiet", "--clear", "--python", python, str(place))

    def install(*given: str) -> None:
        command = (uv, "pip", "install", "--quiet", "--python", binary, *given)
        if run(*command).returncode:
            # Several of these write into one cache, and one may miss what another has moved.
            must(*command)

    install(*what.packages)
    rows: list[list[str]] = []
    failed = 0
    for with_codec in (False, True)[: 1 + what.codec]:
        if with_codec:
            install(*CODEC)
            (wheel,) = (base / "dist").glob("*.whl")
            install("--no-deps", str(wheel))
        for reader in what.readers:
            command = (binary, str(base / "read.py"), reader, str(base / "outputs"))
            done = run(*command, stdout=subprocess.PIPE, cwd=base)
            failed += done.returncode != 0
            rows += map(json.loads, done.stdout.splitlines())
    shutil.rmtree(place)
    print(f"{name}, {python}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return rows, failed


def main(pythons: list[str]) -> int:
    """Make, read and print."""
    uv = find_uv()
    with tempfile.TemporaryDirectory(prefix="readers-") as temporary:
        base = Path(temporary)
        must(uv, "build", "--quiet", "--wheel", "--out-dir", str(base / "dist"), str(HERE.parent))
        must(sys.executable, str(HERE / "make.py"), str(base / "outputs"))
        shutil.copy(HERE / "read.py", base)  # nothing of the repository is beside it
        with ThreadPoolExecutor(JOBS) as pool:
            tasks = [
                pool.submit(read_in, name, python, base, uv)
                for python in pythons
                for name in ENVIRONMENTS
            ]
            results = [task.result() for task in tasks]
    rows = sorted({tuple(row) for found, _ in results for row in found})
    failed = sum(one for _, one in results)
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(f"{len(rows)} outputs were opened; {failed} programs failed")
    return int(failed > 0 or not rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [sys.executable]))
