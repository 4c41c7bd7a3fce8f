"""Name a kernel, and say whether its machine code is there.

There is machine code for each combination of argument types. It is read from the disk when it is
first asked for; where there is none, short work is done with numpy until it is compiled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, TypeAlias
from weakref import WeakSet

import numpy as np

from dkist_virtual.fits.compiled import background, code_files
from dkist_virtual.fits.compiled.machine_code import (
    UnloadableError,
    can_be_passed,
    compile_kernel,
    link,
    prototype,
    signature_of,
)
from dkist_virtual.fits.threads import ThreadLock

__all__ = ["Kernel", "may_compile"]

Function: TypeAlias = Callable[..., int]


def may_compile() -> bool:
    """Say whether kernels may be compiled at all: ``NUMBA_DISABLE_JIT`` forbids it."""
    return os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


class Kernel:
    """Find the machine code of a kernel, or have it compiled.

    Parameters
    ----------
    module, name : str
        Where its Python function is, decorated with `dkist_virtual.fits.kernels.njit`. Only
        compiling imports the module.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name
        self._lock = ThreadLock()
        self._found: dict[str, Function] = {}
        self._found_by_types: dict[tuple[object, ...], Function] = {}
        self._jobs: dict[str, background.Job] = {}
        self._looked_for: set[str] = set()
        _KERNELS.add(self)

    def __call__(self, *arguments: Any) -> int:
        """Call the kernel; where it is not there, compile it first."""
        function = self.find(arguments)
        if function is None:
            function = self._wait(arguments)
        return function(*arguments)

    def run(
        self, arguments: Sequence[Any], otherwise: Callable[[], int], seconds: Callable[[], float]
    ) -> int:
        """Call the kernel, or what does the same without it while it is not compiled.

        Parameters
        ----------
        arguments : sequence
            Of the kernel.
        otherwise : callable
            Does the same with numpy.
        seconds : callable
            Estimates how long that takes.
        """
        function = self.find(arguments)
        if function is not None:
            return function(*arguments)
        if not may_compile():
            return otherwise()
        if not background.may_decode(seconds()):
            return self._wait(arguments)(*arguments)
        with background.decoding():
            function = self.find(arguments)  # it may have come while others decoded
            result = otherwise() if function is None else function(*arguments)
        if function is None and background.is_worthwhile():
            background.submit(self._job(arguments))
        return result

    def find(self, arguments: Sequence[Any]) -> Function | None:
        """Return the kernel for arguments of some types; None where it is not compiled yet."""
        types = tuple(map(_type_of, arguments))  # sooner made than a text
        found = self._found_by_types.get(types)
        if found is not None:
            return found
        signature = " ".join(map(signature_of, arguments))
        found = self._found.get(signature)
        if found is not None:
            if not can_be_passed(arguments):
                return self._decorated()
            self._found_by_types[types] = found
            return found
        if not may_compile():
            return None
        with background.keep_from_forking(), self._lock:
            job = self._jobs.get(signature)
            if job is not None and job.ready:
                self._found[signature] = job.wait()
            elif signature not in self._looked_for:
                self._looked_for.add(signature)
                read = self._read(signature, list(map(prototype, arguments)))
                if read is not None:
                    self._found[signature] = read
            found = self._found.get(signature)
        return self._decorated() if found and not can_be_passed(arguments) else found

    def forget_jobs(self) -> None:
        """Forget what is being compiled: a forked process compiles it itself."""
        self._jobs.clear()

    def _wait(self, arguments: Sequence[Any]) -> Function:
        if not may_compile() or not can_be_passed(arguments):
            return self._decorated()
        function: Function = self._job(arguments).wait()
        return function

    def _job(self, arguments: Sequence[Any]) -> background.Job:
        signature = " ".join(map(signature_of, arguments))
        prototypes = list(map(prototype, arguments))
        with self._lock:
            if signature not in self._jobs:
                self._jobs[signature] = background.Job(lambda: self._compile(signature, prototypes))
            return self._jobs[signature]

    def _read(self, signature: str, prototypes: Sequence[Any]) -> Function | None:
        code = code_files.read(self.module, self.name, signature)
        return None if code is None else link(code, prototypes)

    def _compile(self, signature: str, prototypes: Sequence[Any]) -> Function:
        # Another process may have compiled it meanwhile.
        found = self._read(signature, prototypes)
        if found is not None:
            return found
        try:
            code = compile_kernel(self.module, self.name, prototypes)
        except UnloadableError:
            return self._decorated()
        code_files.write(self.module, self.name, signature, code)
        return link(code, prototypes)

    def _decorated(self) -> Function:
        function: Function = getattr(import_module(self.module), self.name)
        return function


def _type_of(argument: Any) -> object:
    """Return the type of an argument, and whether machine code can take it."""
    kind = type(argument)
    if kind is int:
        return int
    if isinstance(argument, np.ndarray):
        flags = argument.flags
        return argument.dtype, argument.ndim, flags.c_contiguous and flags.aligned
    return (kind, *map(_type_of, argument)) if isinstance(argument, tuple) else kind


_KERNELS: Final[WeakSet[Kernel]] = WeakSet()


def _forget() -> None:
    for kernel in _KERNELS:
        kernel.forget_jobs()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
