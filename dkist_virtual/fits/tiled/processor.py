"""Choose the kernel of Rice tiles by what the processor has.

Importing this module imports numba.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from typing import Final, Literal, get_args

from llvmlite.binding import get_host_cpu_features
from numba import config

__all__ = ["VARIABLE", "Kernel", "chosen_kernel"]

Kernel = Literal["avx512", "avx2", "plain"]

VARIABLE: Final = "DKIST_VIRTUAL_KERNEL"
"""The environment variable that names a kernel."""

_AVX512: Final = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


@cache
def chosen_kernel() -> Kernel:
    """Return which kernel decodes Rice tiles.

    `avx512` and `avx2` decode eight tiles at a time, `plain` one after the other. Any runs on any
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
    if getattr(config, "DISABLE_JIT", False):
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
    named = getattr(config, "CPU_FEATURES", None)
    if named is not None:
        return {part.strip()[1:] for part in named.split(",") if part.strip().startswith("+")}
    host: dict[str, bool] = get_host_cpu_features()
    return {name for name, has in host.items() if has}
