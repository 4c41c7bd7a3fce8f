"""Compile a kernel with numba, and load its machine code without numba.

Importing numba and loading what it compiled take half a second, nearly all of it for what only a
compiler needs. Machine code itself is linked by llvmlite in a millisecond.

Numba's functions take a pointer for the result, one for an exception, then the arguments, each
array as the fields of its structure. To pass so many through ctypes takes as long as decoding a
small cut-out. So each kernel gets an entry: a function that takes one block of words, the result's
first, and calls the kernel.
"""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass
from importlib import import_module
from itertools import count
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

_ENTRY: Final = "entry."
_ALLOCATE: Final = "NRT_MemInfo_alloc_aligned"
_FREE: Final = "NRT_MemInfo_call_dtor"

_HEADER_BYTES: Final = 48
"""Of what numba allocates: counter, destructor, its argument, data, size, allocator."""

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
        The name of its entry in the object files.
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


def _scalars(argument: Any) -> Iterator[Any]:
    """Return arrays and numbers of an argument, those of a tuple one by one."""
    if isinstance(argument, tuple):
        for each in argument:
            yield from _scalars(each)
    else:
        yield argument


def _layout(prototypes: Sequence[Any]) -> struct.Struct:
    """Return the layout of a block: the result, then of each array its address and shape."""
    codes = ["q"]
    for each in _scalars(tuple(prototypes)):
        array = isinstance(each, np.ndarray)
        codes.append("q" * (1 + each.ndim) if array else "d" if isinstance(each, float) else "q")
    return struct.Struct("=" + "".join(codes))


def _flatten(arguments: Sequence[Any], words: list[Any]) -> None:
    """Append the words of arguments."""
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            if argument.flags.writeable and argument.size:  # this way takes a third of the time
                words.append(_address(_in_place(argument)))
            else:
                words.append(argument.__array_interface__["data"][0])
            words += argument.shape
        elif isinstance(argument, tuple):
            _flatten(argument, words)
        else:
            words.append(argument)


_address: Final = ctypes.addressof
_in_place: Final[Callable[[Any], ctypes.c_char]] = ctypes.c_char.from_buffer


# Loading ------------------------------------------------------------------------------------------


def link(code: MachineCode, prototypes: Sequence[Any]) -> Callable[..., int]:
    """Load machine code; return a function that takes the kernel's arguments.

    Arrays have to be contiguous and aligned, of the prototypes' types. The GIL is released.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    for data in code.objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    engine.finalize_object()
    entry = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(
        engine.get_function_address(code.symbol)
    )
    layout = _layout(prototypes)
    pack = layout.pack_into
    block_type = _RESULTS[code.result] * (layout.size // 8)

    def call(*arguments: Any) -> int:
        block, words = block_type(), [0]
        _flatten(arguments, words)
        pack(block, 0, *words)
        status = entry(block)
        if status:
            raise RuntimeError(f"{code.symbol} raised an exception: status {status}")
        return int(block[0])

    call.engine = engine  # type: ignore[attr-defined]  # the code is gone when this is
    return call


def _machine() -> Any:
    import llvmlite.binding as llvm

    return llvm.Target.from_default_triple().create_target_machine(jit=True, codemodel="jitdefault")


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
    # What the object file was made of: nothing else says what it calls.
    final = library._final_module
    outside = {f.name for f in final.functions if f.is_declaration}
    outside |= {v.name for v in final.global_variables if v.is_declaration}
    outside = {name for name in outside if not name.startswith("llvm.")}
    # LLVM ends the process where it does not find a name.
    if outside - {_ALLOCATE, _FREE}:
        raise UnloadableError(f"a kernel that calls {', '.join(sorted(outside))}")
    if outside:
        objects.append(_memory())
    symbol = compiled.fndesc.llvm_func_name
    objects.append(_entry(symbol, prototypes))
    result = str(compiled.signature.return_type)
    return MachineCode(_ENTRY + symbol, result, tuple(objects))


def _entry(symbol: str, prototypes: Sequence[Any]) -> bytes:
    """Make the function that calls a kernel with the words of a block."""
    from llvmlite import ir

    word, double, status = ir.IntType(64), ir.DoubleType(), ir.IntType(32)
    module = _module("entry")
    entry = ir.Function(module, ir.FunctionType(status, [word.as_pointer()]), _ENTRY + symbol)
    builder = ir.IRBuilder(entry.append_basic_block())
    (block,) = entry.args
    places = count(1)

    def load() -> Any:
        return builder.load(builder.gep(block, [ir.Constant(word, next(places))]))

    # Pointers are passed as words are.
    exception = builder.alloca(word)
    builder.store(ir.Constant(word, 0), exception)
    passed = [builder.ptrtoint(block, word), builder.ptrtoint(exception, word)]
    for each in _scalars(tuple(prototypes)):
        if not isinstance(each, np.ndarray):
            number = load()
            passed.append(builder.bitcast(number, double) if isinstance(each, float) else number)
            continue
        data, shape = load(), [load() for _ in range(each.ndim)]
        size: Any = ir.Constant(word, 1)
        strides: list[Any] = []
        for n in reversed(shape):  # it is contiguous
            strides.insert(0, builder.mul(size, ir.Constant(word, each.itemsize)))
            size = builder.mul(size, n)
        # What counts references, the Python object, size, size of an item, data, shape, strides.
        nothing = ir.Constant(word, 0)
        passed += [nothing, nothing, size, ir.Constant(word, each.itemsize), data]
        passed += [*shape, *strides]
    kernel_type = ir.FunctionType(status, [value.type for value in passed])
    builder.ret(builder.call(ir.Function(module, kernel_type, symbol), passed))
    return _emit(module)


def _module(name: str) -> Any:
    import llvmlite.binding as llvm
    from llvmlite import ir

    module = ir.Module(name)
    module.triple = llvm.get_default_triple()
    return module


def _emit(module: Any) -> bytes:
    import llvmlite.binding as llvm

    return bytes(_machine().emit_object(llvm.parse_assembly(str(module))))


def _memory() -> bytes:
    """Make the functions of numba that allocate and free memory, of the C library's."""
    from llvmlite import ir

    word, pointer = ir.IntType(64), ir.IntType(8).as_pointer()
    module = _module("memory")
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
    return _emit(module)
