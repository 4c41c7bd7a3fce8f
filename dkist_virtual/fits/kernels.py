"""Compile kernels, and keep them on the disk where that is possible.

Where neither the package's folder nor the user's cache can be written, as in some containers, numba
refuses to compile a function that is to be kept. Here it is then compiled anew in each process, as
it is where the kept file cannot be read and where the disk is full.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numba
from numba.core import caching

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["njit"]


_FunctionCache: Any = caching.FunctionCache  # which comes without types


class _Kept(_FunctionCache):  # type: ignore[misc]
    """Keep a compiled function on the disk; whatever goes wrong there, it compiles."""

    def load_overload(self, *args: Any) -> Any:
        """Return the kept function, None where it is of no use."""
        try:
            return super().load_overload(*args)
        except Exception:  # noqa: BLE001  # unpickling what was cut or written over raises anything
            with suppress(Exception):
                self.flush()
            return None

    def save_overload(self, *args: Any) -> None:
        """Keep a function."""
        with suppress(Exception):  # a full disk, or a quota
            super().save_overload(*args)


def njit(*, cache: bool = False, **options: Any) -> Callable[[Any], Any]:
    """Compile a function as `numba.njit` does.

    Parameters
    ----------
    cache : bool
        Whether to keep the compiled function on the disk, where that is possible.
    **options
        Of `numba.njit`.
    """

    def compiled(function: Any) -> Any:
        kernel = numba.njit(**options)(function)
        if cache and kernel is not function:  # NUMBA_DISABLE_JIT gives the function itself
            try:
                kernel._cache = _Kept(function)  # numba has no public way to set it
            except RuntimeError as error:
                if "no locator" not in str(error):
                    raise
        return kernel

    return compiled
