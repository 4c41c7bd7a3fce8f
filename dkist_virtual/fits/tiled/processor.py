"""Choose the kernel of Rice tiles by what the processor has, and make the memory that it works in.

No module that needs numba is imported here: machine code is chosen, and loaded, without it.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

import numpy as np

from dkist_virtual.fits.compiled.background import keep_from_forking
from dkist_virtual.fits.compiled.kernel import may_compile

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LANES",
    "N_ROWS",
    "VARIABLE",
    "AVX2By8",
    "AVX2By16",
    "AVX512By8",
    "AVX512By16",
    "Kernel",
    "chosen_kernel",
    "fits_into_lanes",
    "lane_memory",
]

Kernel = Literal["avx512", "avx2", "plain"]

VARIABLE: Final = "DKIST_VIRTUAL_KERNEL"
"""The environment variable that names a kernel."""

N_ROWS: Final = 12
"""Of a kernel's state: `lane_code` says what each of them is."""

_STAGE: Final = 256
"""Pixels of a lane that are decoded before any goes to the output: a lane takes 1 KiB."""

_MOST_BLOCK: Final = 4096
"""Pixels of the longest block that the stage is made for."""

_AVX512: Final = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


class AVX512By8(NamedTuple):
    """The memory of a kernel of 8 lanes that counts zeros with an instruction of AVX-512."""

    state: Any
    stage: Any


class AVX512By16(NamedTuple):
    """The same of 16 lanes, which are two vectors."""

    state: Any
    stage: Any


class AVX2By8(NamedTuple):
    """The memory of a kernel of 8 lanes that counts zeros without such an instruction."""

    state: Any
    stage: Any


class AVX2By16(NamedTuple):
    """The same of 16 lanes."""

    state: Any
    stage: Any


LANES: Final[dict[type, int]] = {AVX512By8: 8, AVX512By16: 16, AVX2By8: 8, AVX2By16: 16}
"""How many tiles are decoded at a time.

16 lanes take less time than twice 8, since the processor works on one vector while it waits for the
other. Fewer tiles than 9 would leave half of them idle.
"""


@cache
def chosen_kernel() -> Kernel:
    """Return which kernel decodes Rice tiles.

    `avx512` and `avx2` decode 8 or 16 tiles at a time, `plain` one after the other. Any runs on any
    processor that numba compiles for; they differ in speed.

    Raises
    ------
    ValueError
        The environment variable `DKIST_VIRTUAL_KERNEL` names another one.
    """
    kernels: tuple[Kernel, ...] = get_args(Kernel)
    named = os.environ.get(VARIABLE, "")
    if named and named not in kernels:
        raise ValueError(f"{VARIABLE} = {named}: expected one of {', '.join(kernels)}, or nothing")
    if not may_compile():
        return "plain"
    for kernel in kernels:
        if named == kernel:
            return kernel
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return "plain"
    features = _features()
    if features >= _AVX512:
        return "avx512"
    return "avx2" if "avx2" in features else "plain"


def _features() -> set[str]:
    """Return the features of the processor that numba compiles for."""
    named = os.environ.get("NUMBA_CPU_FEATURES")
    if named is None and os.environ.get("NUMBA_CPU_NAME", "").lower() == "generic":
        named = ""  # as numba has it
    if named is not None:
        return {part.strip()[1:] for part in named.split(",") if part.strip().startswith("+")}
    with keep_from_forking():
        from llvmlite.binding import get_host_cpu_features

        host: dict[str, bool] = get_host_cpu_features()
    return {name for name, has in host.items() if has}


def fits_into_lanes(buffer: NDArray[np.uint8], blocksize: int, n_tiles: int) -> bool:
    """Return whether these kernels can decode from a buffer, in blocks of this many pixels.

    They could decode one or two tiles as well, which take less time one after the other.
    """
    return n_tiles > 2 and buffer.size >= 8 and blocksize <= _MOST_BLOCK


def lane_memory(kernel: Kernel, blocksize: int, n_tiles: int) -> tuple[Any, int]:
    """Return the memory that a kernel works in, and how many pixels of a lane it has room for."""
    by_8, by_16 = (AVX512By8, AVX512By16) if kernel == "avx512" else (AVX2By8, AVX2By16)
    kind: Any = by_8 if n_tiles <= LANES[by_8] else by_16
    n_lanes = LANES[kind]
    stride = max(_STAGE // blocksize, 1) * blocksize
    # Vectors of eight are read from anywhere in it.
    stage = np.empty(n_lanes * stride + 8, np.int32)
    return kind(np.zeros((N_ROWS, n_lanes), np.int64), stage), stride
