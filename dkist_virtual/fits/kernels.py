"""Compile kernels, and keep them on the disk where that is possible.

Where neither the package's folder nor the user's cache can be written, as in some containers, numba
refuses to compile a function that is to be kept. Here it is then compiled anew in each process, as
it is where the kept file cannot be read and where the disk is full.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
from numba import extending
from numba.core import caching

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["intrinsic", "njit"]


# None of them comes with types.
_FunctionCache: Any = caching.FunctionCache
_IndexFile: Any = caching.IndexDataCacheFile
intrinsic: Callable[[Callable[..., Any]], Any] = extending.intrinsic


class _Kept(_FunctionCache):  # type: ignore[misc]
    """Keep a compiled function on the disk; whatever goes wrong there, it compiles."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        # numba compiles anew where the function's module has changed. A kernel is also made of the
        # code and the constants of the modules beside it.
        folder = Path(function.__code__.co_filename).parent
        found = [(path.name, path.stat()) for path in sorted(folder.glob("*.py"))]
        self._cache_file = _IndexFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=(
                self._impl.locator.get_source_stamp(),
                [(name, stat.st_mtime, stat.st_size) for name, stat in found],
            ),
        )

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
