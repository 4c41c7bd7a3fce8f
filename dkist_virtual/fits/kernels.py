"""Compile kernels, and keep them on the disk where there is a place for that.

Where neither the package's folder nor the user's cache can be written, as in some containers, numba
refuses to compile at all what is to be kept: it is then compiled anew in each process. The same
happens where what was kept cannot be read any more, and where the disk is full.
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
    """A compiled function on the disk: what goes wrong there keeps nobody from compiling."""

    def load_overload(self, *args: Any) -> Any:
        """What was kept, None where that is nothing of use."""
        try:
            return super().load_overload(*args)
        except Exception:  # noqa: BLE001  # unpickling what was cut or written over raises anything
            with suppress(Exception):
                self.flush()
            return None

    def save_overload(self, *args: Any) -> None:
        """Keep it."""
        with suppress(Exception):  # a full disk, or a quota
            super().save_overload(*args)


def njit(*, cache: bool = False, **options: Any) -> Callable[[Any], Any]:
    """Compile a function as `numba.njit` does.

    Parameters
    ----------
    cache : bool
        Whether to keep what was compiled on the disk, where that can be.
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
