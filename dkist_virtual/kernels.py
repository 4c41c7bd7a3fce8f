"""Compile kernels, and keep them on the disk where there is a place for that.

Where neither the package's folder nor the user's cache can be written, as in some containers, numba
refuses to compile at all what is to be kept: it is then compiled anew in each process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["njit"]


def njit(**options: Any) -> Callable[[Any], Any]:
    """Compile a function as `numba.njit` does.

    Parameters
    ----------
    **options
        Of `numba.njit`.
    """

    def compiled(function: Any) -> Any:
        try:
            return numba.njit(**options)(function)
        except RuntimeError as error:
            if "no locator" not in str(error):
                raise
            return numba.njit(**{**options, "cache": False})(function)

    return compiled
