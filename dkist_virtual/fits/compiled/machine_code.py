"""Compile a kernel with numba, and load its machine code without numba.

Importing numba and loading what it compiled take half a second, nearly all of it for what only a
compiler needs. Machine code itself is linked by llvmlite in a millisecond. A kernel is called as
numba's functions call each other: a pointer for the result, one for an exception, then the
arguments, each array as the fields of its structure.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "MachineCode",
    "UnloadableError",
    "can_be_passed",
    "compile_kernel",
    "link",
    "prototype",
    "signature_of",
]

_ALLOCATE: Final = "NRT_MemInfo_alloc_aligned"
_FREE: Final = "NRT_MemInfo_call_dtor"

_HEADER_BYTES: Final = 48
"""Of what numba allocates: counter, destructor, its argument, data, size, allocator."""

_WORD: Final = ctypes.c_void_p
"""For integers of 64 bits too: ctypes takes six times as long to make a `c_int64` of one."""

_RESULTS: Final[dict[str, Any]] = {
    "int64": ctypes.c_int64,
    "uint64": ctypes.c_uint64,
    "none": ctypes.c_int64,
}


class UnloadableError(Exception):
    """Machine code that numba alone can load."""


@dataclass(frozen=True, slots=True)
class MachineCode:
    """Hold a compiled kernel.

    Attributes
    ----------
    symbol : str
        Its name in the object files.
    result : str
        The type of what it returns, as numba names it.
    objects : tuple of bytes
        Object files, which call each other and the C library.
    """

    symbol: str
    result: str
    objects: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.result not in _RESULTS:
            raise UnloadableError(f"a kernel that returns {self.result}")


# Arguments ----------------------------------------------------------------------------------------


def signature_of(argument: Any) -> str:
    """Return the type of an argument, as far as machine code depends on it."""
    if isinstance(argument, np.ndarray):
        return f"{argument.dtype.str}{argument.ndim}"
    if isinstance(argument, tuple):
        inner = ",".join(map(signature_of, argument))
        return f"{type(argument).__module__}.{type(argument).__qualname__}({inner})"
    return "f" if isinstance(argument, float) else "i"


def can_be_passed(arguments: Sequence[Any]) -> bool:
    """Check that arrays are as machine code takes them to be: contiguous and aligned."""
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            flags = argument.flags
            if not (flags.c_contiguous and flags.aligned):
                return False
        elif isinstance(argument, tuple) and not can_be_passed(argument):
            return False
    return True


def prototype(argument: Any) -> Any:
    """Return an argument of the same type that takes no memory."""
    if isinstance(argument, np.ndarray):
        return np.empty((0,) * argument.ndim, argument.dtype)
    if isinstance(argument, tuple):
        inner = map(prototype, argument)
        kind: Any = type(argument)
        return kind(*inner) if hasattr(argument, "_fields") else tuple(inner)
    return 0.0 if isinstance(argument, float) else 0


def _c_types(argument: Any) -> Iterator[Any]:
    if isinstance(argument, np.ndarray):
        # What counts references, the Python object, size, size of an item, data, shape, strides.
        yield from [_WORD] * (5 + 2 * argument.ndim)
    elif isinstance(argument, tuple):
        for each in argument:
            yield from _c_types(each)
    else:
        yield ctypes.c_double if isinstance(argument, float) else _WORD


def _flatten(arguments: Sequence[Any], flat: list[Any]) -> None:
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            if argument.flags.writeable and argument.size:
                data = ctypes.addressof(ctypes.c_char.from_buffer(argument.data))
            else:
                data = argument.__array_interface__["data"][0]
            flat += (None, None, argument.size, argument.itemsize, data)
            flat += argument.shape
            flat += argument.strides
        elif isinstance(argument, tuple):
            _flatten(argument, flat)
        else:
            flat.append(argument if isinstance(argument, float) else int(argument))


# Loading ------------------------------------------------------------------------------------------


def link(code: MachineCode, prototypes: Sequence[Any]) -> Callable[..., int]:
    """Load machine code; return a function that takes the kernel's arguments.

    Arrays have to be contiguous and aligned, of the prototypes' types. The GIL is released.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        jit=True, codemodel="jitdefault"
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    for data in code.objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    engine.finalize_object()
    c_types = [ctypes.c_void_p, ctypes.c_void_p]
    for each in prototypes:
        c_types += _c_types(each)
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *c_types)(engine.get_function_address(code.symbol))
    result_type = _RESULTS[code.result]

    def call(*arguments: Any) -> int:
        result, exception = result_type(), ctypes.c_void_p()
        flat: list[Any] = [ctypes.addressof(result), ctypes.addressof(exception)]
        _flatten(arguments, flat)
        status = function(*flat)
        if status:
            raise RuntimeError(f"{code.symbol} raised an exception: status {status}")
        return int(result.value)

    call.engine = engine  # type: ignore[attr-defined]  # the code is gone when this is
    return call


# Compiling ----------------------------------------------------------------------------------------


def compile_kernel(module: str, name: str, prototypes: Sequence[Any]) -> MachineCode:
    """Compile a kernel for arguments of some types.

    Raises
    ------
    UnloadableError
        It needs more of numba than memory.
    """
    import numba

    kernel = getattr(import_module(module), name)
    options = {**kernel.targetoptions, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    options.pop("nopython")  # of which njit warns
    bare = numba.njit(**options)(kernel.py_func)
    bare.compile(tuple(map(numba.typeof, prototypes)))
    (compiled,) = bare.overloads.values()
    library = compiled.library
    objects = [library.serialize_using_object_code()[2][0]]  # as numba's own cache does
    final = (
        library._final_module
    )  # what the object file was made of; nothing else says what it calls
    outside = {f.name for f in final.functions if f.is_declaration}
    outside |= {v.name for v in final.global_variables if v.is_declaration}
    outside = {name for name in outside if not name.startswith("llvm.")}
    # LLVM ends the process where it does not find a name.
    if outside - {_ALLOCATE, _FREE}:
        raise UnloadableError(f"a kernel that calls {', '.join(sorted(outside))}")
    if outside:
        objects.append(_memory())
    return MachineCode(
        compiled.fndesc.llvm_func_name, str(compiled.signature.return_type), tuple(objects)
    )


def _memory() -> bytes:
    """Make the functions of numba that allocate and free memory, of the C library's."""
    import llvmlite.binding as llvm
    from llvmlite import ir

    word, pointer = ir.IntType(64), ir.IntType(8).as_pointer()
    module = ir.Module("memory")
    module.triple = llvm.get_default_triple()
    allocate = ir.Function(module, ir.FunctionType(pointer, [word]), "malloc")
    free = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer]), "free")

    made = ir.Function(module, ir.FunctionType(pointer, [word, ir.IntType(32)]), _ALLOCATE)
    builder = ir.IRBuilder(made.append_basic_block())
    size, align = made.args[0], builder.zext(made.args[1], word)
    room = builder.add(align, ir.Constant(word, _HEADER_BYTES))
    memory = builder.call(allocate, [builder.add(size, room)])
    with builder.if_then(builder.icmp_unsigned("==", memory, ir.Constant(pointer, None))):
        builder.ret(memory)
    behind = builder.sub(builder.add(builder.ptrtoint(memory, word), room), ir.Constant(word, 1))
    data = builder.and_(behind, builder.neg(align))
    header = builder.bitcast(memory, word.as_pointer())
    nothing = ir.Constant(word, 0)
    fields = (ir.Constant(word, 1), nothing, nothing, data, size, nothing)
    for i, field in enumerate(fields):
        builder.store(field, builder.gep(header, [ir.Constant(word, i)]))
    builder.ret(memory)

    gone = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer]), _FREE)
    builder = ir.IRBuilder(gone.append_basic_block())
    builder.call(free, [gone.args[0]])
    builder.ret_void()

    machine = llvm.Target.from_default_triple().create_target_machine(
        jit=True, codemodel="jitdefault"
    )
    return bytes(machine.emit_object(llvm.parse_assembly(str(module))))
