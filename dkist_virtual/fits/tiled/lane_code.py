# ruff: noqa: ARG001  # numba hands an intrinsic more than it needs
"""Write the code of kernels that decode several Rice tiles at a time, each in a lane of a vector.

LLVM's own vectoriser does nothing for a loop over lanes, so the vector instructions are written
here, in LLVM's language. They are such that any processor can run them: LLVM splits vectors that
are longer than the processor's. No pixel depends on that, since each product and each sum is
rounded by itself (fast-math is off).

Bits are loaded as words of eight bytes. The place of a load is clamped to the last eight bytes of
the buffer, so that none reaches beyond it, whatever the bits say.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils

from dkist_virtual.fits.kernels import intrinsic
from dkist_virtual.fits.tiled.dequantise import ZERO_VALUE
from dkist_virtual.fits.tiled.processor import LANES, AVX512By8, AVX512By16

__all__ = [
    "ACTIVE", "BIT", "END", "FS", "LAST", "LEFT", "PLACE", "POSITION", "RANDOM", "SEED",
    "STREAMED_BYTES", "TILE", "TODO", "finish_stores", "lane_codes",
    "store_floats", "store_integers", "window",
]  # fmt: skip

STREAMED_BYTES: Final = 2**22
"""An output of so many bytes is stored past the cache: the processor need not load it first."""

BIT: Final = 0
"""Row of the state, which has a column for each lane: the next bit of its stream."""
LAST: Final = 1
"""Its last pixel; the low 32 bits count."""
FS: Final = 2
"""The low bits of a code in its block; -1 where all differences are 0."""
ACTIVE: Final = 3
"""-1 where it has a tile, else 0."""
END: Final = 4
"""The bit after its tile."""
TILE: Final = 5
"""The number of its tile."""
TODO: Final = 6
"""How many pixels of the tile are left."""
POSITION: Final = 7
"""Where its next pixel goes in the output."""
LEFT: Final = 8
"""How many pixels are left of the run."""
SEED: Final = 9
"""Where its present random numbers begin."""
RANDOM: Final = 10
"""Its next random number; -1 before the first."""
PLACE: Final = 11
"""Not of lanes: the block and the group of codes that were the last, and the next tile."""


# Which comes without types.
cgutils: Any = _cgutils

_I1, _I32, _I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
_F32, _F64 = ir.FloatType(), ir.DoubleType()


def _fixed(x: Any, like: Any) -> Any:
    """A constant of a type: of a vector, in all lanes."""
    if isinstance(like, ir.VectorType):
        return ir.Constant(like, [x] * like.count)
    return ir.Constant(like, x)


def _splat(b: Any, x: Any, n: int) -> Any:
    """A vector of `n` equal numbers."""
    one = b.insert_element(ir.Constant(ir.VectorType(x.type, n), ir.Undefined), x, _fixed(0, _I32))
    zeros = _fixed(0, ir.VectorType(_I32, n))
    return b.shuffle_vector(one, ir.Constant(one.type, ir.Undefined), zeros)


def _call(b: Any, name: str, result: Any, *args: Any) -> Any:
    """A call of one of LLVM's intrinsics."""
    kind = ir.FunctionType(result, [x.type for x in args])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), args)


def _suffix(t: Any) -> str:
    return f"v{t.count}i{t.element.width}" if isinstance(t, ir.VectorType) else f"i{t.width}"


def _shifted(b: Any, how: str, x: Any, n: Any) -> Any:
    """`x` shifted by `n` bits, 0 where these are 64 or more; LLVM makes one instruction of it."""
    moved = getattr(b, how)(x, n)
    return b.select(b.icmp_unsigned("<", n, _fixed(64, n.type)), moved, _fixed(0, x.type))


def _least(b: Any, x: Any, y: Any) -> Any:
    return b.select(b.icmp_unsigned("<", x, y), x, y)


def _data_of(context: Any, b: Any, kind: Any, array: Any) -> Any:
    return context.make_array(kind)(context, b, array).data


def _load(b: Any, pointer: Any, kind: Any, align: int) -> Any:
    x = b.load(b.bitcast(pointer, kind.as_pointer()))
    x.align = align
    return x


def _store(b: Any, x: Any, pointer: Any, align: int) -> None:
    b.store(x, b.bitcast(pointer, x.type.as_pointer())).align = align


def _first_byte_and_last(context: Any, b: Any, kind: Any, array: Any) -> tuple[Any, Any]:
    """Where a buffer begins, and the last byte of it at which eight may be loaded."""
    made = context.make_array(kind)(context, b, array)
    size = b.extract_value(made.shape, 0)
    return made.data, b.sub(size, _fixed(8, _I64))


@intrinsic
def window(typingctx: Any, buffer: Any, bit: Any) -> Any:
    """At least 57 bits from bit number `bit` on, as the high bits of a uint64.

    Bits behind the buffer's end are zeros. The buffer has eight bytes at least.
    """

    def codegen(context: Any, b: Any, sig: Any, args: Any) -> Any:
        base, last = _first_byte_and_last(context, b, sig.args[0], args[0])
        byte = b.lshr(args[1], _fixed(3, _I64))
        at = _least(b, byte, last)
        word = _call(b, "llvm.bswap.i64", _I64, _load(b, b.gep(base, [at]), _I64, 1))
        return _shifted(b, "shl", word, b.sub(args[1], b.shl(at, _fixed(3, _I64))))

    return types.uint64(buffer, types.int64), codegen


def _zeros_before_one(b: Any, word: Any, *, wide: bool) -> Any:
    """Number of zeros before the first one in each lane; over 64 where there are too many."""
    if wide:
        return _call(b, f"llvm.ctlz.{_suffix(word.type)}", word.type, word, _fixed(0, _I1))
    # The exponent of the high 52 bits as a double: exact, since they fit into its mantissa.
    v = word.type
    vf = ir.VectorType(_F64, v.count)
    high = b.or_(b.lshr(word, _fixed(12, v)), _fixed(0x433 << 52, v))
    number = b.fsub(b.bitcast(high, vf), _fixed(2.0**52, vf))
    return b.sub(_fixed(1023 + 51, v), b.lshr(b.bitcast(number, v), _fixed(52, v)))


@intrinsic
def lane_codes(
    typingctx: Any, lanes: Any, buffer: Any, fs_bits: Any, fs_most: Any,
    block: Any, group: Any, blocks: Any, groups: Any, stride: Any,
) -> Any:  # fmt: skip
    """Decode groups of four codes of every lane; return what is left to be done one by one.

    In the low 32 bits are the lanes whose codes of the last group were not read, in the high ones
    those whose block is not to be read here.
    """
    kind = lanes.instance_class
    n, wide = LANES[kind], kind in (AVX512By8, AVX512By16)
    v, v2 = ir.VectorType(_I64, n), ir.VectorType(_I32, 2 * n)

    def mask_of(b: Any, bits: Any) -> Any:
        return b.zext(b.bitcast(bits, ir.IntType(n)), _I64)

    def codegen(context: Any, b: Any, sig: Any, args: Any) -> Any:
        state = _data_of(context, b, lanes.types[0], b.extract_value(args[0], 0))
        stage = _data_of(context, b, lanes.types[1], b.extract_value(args[0], 1))
        base, last_byte = _first_byte_and_last(context, b, sig.args[1], args[1])
        fs_bits, fs_most, block0, group0, blocks, groups, stride = args[2:]
        last_bytes = _splat(b, last_byte, n)
        most = _splat(b, fs_most, n)
        lane_starts = [b.gep(stage, [b.mul(stride, _fixed(k, _I64))]) for k in range(n)]

        def row(k: int) -> Any:
            return b.gep(state, [_fixed(k * n, _I64)])

        def gather(bit: Any) -> Any:
            byte = b.lshr(bit, _fixed(3, v))
            at = _least(b, byte, last_bytes)
            word = ir.Constant(v, ir.Undefined)
            for k in range(n):
                place = b.gep(base, [b.extract_element(at, _fixed(k, _I32))])
                word = b.insert_element(word, _load(b, place, _I64, 1), _fixed(k, _I32))
            word = _call(b, f"llvm.bswap.{_suffix(v)}", v, word)
            # Bits behind the buffer's end are zeros.
            return _shifted(b, "shl", word, b.sub(bit, b.shl(at, _fixed(3, v))))

        active = _load(b, row(ACTIVE), v, 8)
        is_active = b.icmp_signed("<", active, _fixed(0, v))
        low = _load(b, row(LAST), v, 8)
        low = b.and_(low, _fixed(2**32 - 1, v))
        last0 = b.bitcast(b.or_(low, b.shl(low, _fixed(32, v))), v2)
        bit0 = _load(b, row(BIT), v, 8)
        header_shift = _splat(b, b.sub(_fixed(64, _I64), fs_bits), n)
        body, head, again, stopped, ended, done = (
            b.append_basic_block(name)
            for name in ("group", "block", "next", "stopped", "ended", "done")
        )
        before = b.block
        b.branch(head)

        # A block: its header, unless it is gone on with.
        b.position_at_end(head)
        block, group, bit, last = b.phi(_I64), b.phi(_I64), b.phi(v), b.phi(v2)
        for phi, x in ((block, block0), (group, group0), (bit, bit0), (last, last0)):
            phi.add_incoming(x, before)
        word = gather(bit)
        has_header = b.icmp_signed("==", group, _fixed(0, _I64))
        header = b.sub(b.lshr(word, header_shift), _fixed(1, v))
        fs = b.select(has_header, header, _load(b, row(FS), v, 8))
        _store(b, fs, row(FS), 8)
        skipped = b.select(has_header, fs_bits, _fixed(0, _I64))
        skip = _splat(b, skipped, n)
        begin_bit = b.add(bit, b.and_(skip, active))
        word = b.shl(word, skip)
        # As unsigned numbers, since -1 says that there are no codes.
        coded = b.and_(b.icmp_unsigned("<=", fs, most), is_active)
        above = b.and_(b.icmp_signed(">", fs, most), is_active)
        on = b.sext(coded, v)
        # Another lane reads codes of no bits, each of which is a 0.
        ones = b.not_(on)
        fs0 = b.and_(fs, on)
        fs1 = b.and_(b.add(fs, _fixed(1, v)), on)
        low_bits = b.sub(b.shl(_fixed(1, v), fs0), _fixed(1, v))
        whole = b.sub(_fixed(64, v), fs1)
        word = b.or_(word, ones)
        limit0 = _splat(b, b.sub(_fixed(57, _I64), skipped), n)
        place0 = b.add(b.mul(block, groups), group)
        began = b.block
        b.cbranch(b.icmp_signed("<", group, groups), body, ended)

        # Four codes of each lane.
        b.position_at_end(body)
        phis = {}
        starts = {
            "word": word, "bit": begin_bit, "last": last, "limit": limit0,
            "at": group, "place": place0,
        }  # fmt: skip
        for name, x in starts.items():
            phis[name] = b.phi(x.type)
            phis[name].add_incoming(x, began)
        w, values, total = phis["word"], [], None
        for _ in range(4):
            zeros = _zeros_before_one(b, w, wide=wide)
            length = b.add(zeros, fs1)
            if wide:
                # The code comes to the low end. Bits that come there again do not matter: a code
                # that reads them is longer than what is left.
                w = low = _call(b, f"llvm.fshl.{_suffix(v)}", v, w, w, length)
            else:
                low = _shifted(b, "lshr", w, b.sub(whole, zeros))
                w = _shifted(b, "shl", w, length)
            values.append(b.or_(b.shl(zeros, fs0), b.and_(low, low_bits)))
            total = length if total is None else b.add(total, length)
        last_now, pairs = phis["last"], []
        for one, two in (values[:2], values[2:]):
            order = [i + i % 2 * (2 * n - 1) for i in range(2 * n)]
            order = ir.Constant(ir.VectorType(_I32, 2 * n), order)
            both = b.shuffle_vector(b.bitcast(one, v2), b.bitcast(two, v2), order)
            sign = b.sub(_fixed(0, v2), b.and_(both, _fixed(1, v2)))
            both = b.xor(b.lshr(both, _fixed(1, v2)), sign)
            upper = b.bitcast(b.shl(b.bitcast(both, v), _fixed(32, v)), v2)
            both = b.add(b.add(both, upper), last_now)
            order = [i | 1 for i in range(2 * n)]
            last_now = b.shuffle_vector(both, both, ir.Constant(ir.VectorType(_I32, 2 * n), order))
            pairs.append(b.bitcast(both, v))
        bad = b.icmp_unsigned(">", total, phis["limit"])
        place = b.shl(phis["place"], _fixed(2, _I64))
        for k in (0, 1):
            order = [i + k + j * n for i in range(0, n, 2) for j in (0, 1)]
            mixed = b.shuffle_vector(*pairs, ir.Constant(ir.VectorType(_I32, n), order))
            for j in range(0, n, 2):
                order = ir.Constant(ir.VectorType(_I32, 2), [j, j + 1])
                part = b.shuffle_vector(mixed, mixed, order)
                _store(b, part, b.gep(lane_starts[j + k], [place]), 4)
        bads = mask_of(b, bad)
        end_bit = b.add(phis["bit"], total)
        at = b.add(phis["at"], _fixed(1, _I64))
        b.cbranch(b.icmp_unsigned("!=", bads, _fixed(0, _I64)), stopped, again)

        b.position_at_end(again)
        more = b.append_basic_block("more")
        b.cbranch(b.icmp_signed("<", at, groups), more, ended)
        b.position_at_end(more)
        next_word = gather(end_bit)
        for name, x in {
            "word": b.or_(next_word, ones), "bit": end_bit, "last": last_now,
            "limit": _fixed(57, v), "at": at, "place": b.add(phis["place"], _fixed(1, _I64)),
        }.items():  # fmt: skip
            phis[name].add_incoming(x, b.block)
        b.branch(body)

        # A block is done, as far as it is to be done here.
        b.position_at_end(ended)
        ended_bit, ended_last = b.phi(v), b.phi(v2)
        for phi, x, y in ((ended_bit, begin_bit, end_bit), (ended_last, last, last_now)):
            phi.add_incoming(x, began)
            phi.add_incoming(y, again)
        aboves = mask_of(b, above)
        next_block = b.add(block, _fixed(1, _I64))
        for phi, x in (
            (block, next_block), (group, _fixed(0, _I64)), (bit, ended_bit), (last, ended_last)
        ):  # fmt: skip
            phi.add_incoming(x, ended)
        goes_on = b.and_(
            b.icmp_signed("<", next_block, blocks), b.icmp_signed("==", aboves, _fixed(0, _I64))
        )
        b.cbranch(goes_on, head, done)

        # Some lane needs to be looked at: the others keep what they have read.
        b.position_at_end(stopped)
        stopped_bit = b.select(bad, phis["bit"], end_bit)
        stopped_last = b.select(bad, b.bitcast(phis["last"], v), b.bitcast(last_now, v))
        stopped_last = b.bitcast(stopped_last, v2)
        b.branch(done)

        b.position_at_end(done)
        result = []
        for one, two in (
            (ended_bit, stopped_bit), (ended_last, stopped_last),
            (_fixed(0, _I64), bads), (aboves, _fixed(0, _I64)), (groups, phis["at"]),
        ):  # fmt: skip
            phi = b.phi(one.type)
            phi.add_incoming(one, ended)
            phi.add_incoming(two, stopped)
            result.append(phi)
        _store(b, result[0], row(BIT), 8)
        _store(b, b.bitcast(result[1], v), row(LAST), 8)
        _store(b, block, row(PLACE), 8)
        _store(b, result[4], b.gep(row(PLACE), [_fixed(1, _I64)]), 8)
        return b.or_(result[2], b.shl(result[3], _fixed(32, _I64)))

    i = types.int64
    return i(lanes, buffer, i, i, i, i, i, i, i), codegen


@intrinsic
def finish_stores(typingctx: Any) -> Any:
    """Let all threads see what was stored past the cache."""

    def codegen(context: Any, b: Any, sig: Any, args: Any) -> Any:
        b.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def store_floats(
    typingctx: Any, lanes: Any, begin: Any, count: Any, out: Any, position: Any,
    scale: Any, zero: Any, blank: Any, has_blank: Any, dither: Any, randoms: Any, random: Any,
) -> Any:  # fmt: skip
    """Turn `count` integers of the stage into floats of the output."""
    width = 8
    v, vf = ir.VectorType(_I32, width), ir.VectorType(_F64, width)
    is_single = out.dtype == types.float32
    vo = ir.VectorType(_F32 if is_single else _F64, width)

    def codegen(context: Any, b: Any, sig: Any, args: Any) -> Any:
        stage = _data_of(context, b, lanes.types[1], b.extract_value(args[0], 1))
        begin, count = args[1:3]
        made = context.make_array(sig.args[3])(context, b, args[3])
        out_ = made.data
        position, scale, zero, blank, has_blank, dither = args[4:10]
        randoms_ = _data_of(context, b, sig.args[10], args[10])
        random = args[11]
        stage = b.gep(stage, [begin])
        out_ = b.gep(out_, [position])
        randoms_ = b.gep(randoms_, [random])
        scale, zero = _splat(b, scale, width), _splat(b, zero, width)
        short = b.trunc(blank, _I32)
        can_be = b.icmp_signed("==", b.sext(short, _I64), blank)
        has_blank = b.and_(can_be, b.icmp_signed("!=", has_blank, _fixed(0, _I64)))
        blank, has_blank = _splat(b, short, width), _splat(b, has_blank, width)
        second = _splat(b, b.icmp_signed("==", dither, _fixed(2, _I64)), width)
        vr = ir.VectorType(_F32, width)
        tail, last_randoms = cgutils.alloca_once(b, vo), cgutils.alloca_once(b, vr)
        single = 4 if is_single else 8
        large = b.icmp_unsigned(">=", made.nitems, _fixed(STREAMED_BYTES // single, _I64))
        beside = b.and_(b.ptrtoint(out_, _I64), _fixed(15, _I64))
        streamed = b.and_(large, b.icmp_unsigned("==", beside, _fixed(0, _I64)))

        def put(x: Any, at: Any) -> None:
            """Write a vector; in a large output past the cache, which it would only fill."""
            with b.if_else(streamed, likely=False) as (past, into):
                with past:
                    each = 16 // single
                    for k in range(0, width, each):
                        order = ir.Constant(ir.VectorType(_I32, each), list(range(k, k + each)))
                        part = b.shuffle_vector(x, x, order)
                        place = b.gep(out_, [b.add(at, _fixed(k, _I64))])
                        stored = b.store(part, b.bitcast(place, part.type.as_pointer()))
                        stored.align = 16
                        stored.set_metadata("nontemporal", b.module.add_metadata([_fixed(1, _I32)]))
                with into:
                    _store(b, x, b.gep(out_, [at]), single)

        def numbers(at: Any, randoms: Any, *, dithered: bool) -> Any:
            values = _load(b, b.gep(stage, [at]), v, 4)
            x = b.sitofp(values, vf)
            if dithered:
                x = b.fsub(x, b.fpext(_load(b, randoms, vr, 4), vf))
                x = b.fadd(x, _fixed(0.5, vf))
            x = b.fadd(b.fmul(x, scale), zero)
            x = b.fptrunc(x, vo) if is_single else x
            if dithered:
                none = b.icmp_signed("==", values, _fixed(ZERO_VALUE, v))
                x = b.select(b.and_(none, second), _fixed(0.0, vo), x)
            gone = b.and_(b.icmp_signed("==", values, blank), has_blank)
            return b.select(gone, _fixed(float("nan"), vo), x)

        whole = b.and_(count, _fixed(-width, _I64))
        rest = b.sub(count, whole)
        with b.if_else(b.icmp_signed("!=", dither, _fixed(0, _I64))) as branches:
            for dithered, branch in zip((True, False), branches, strict=True):
                with branch:
                    with cgutils.for_range_slice(
                        b, _fixed(0, _I64), whole, _fixed(width, _I64), _I64
                    ) as (i, _):
                        put(numbers(i, b.gep(randoms_, [i]), dithered=dithered), i)
                    with b.if_then(b.icmp_signed("!=", rest, _fixed(0, _I64)), likely=False):
                        if dithered:  # there need not be eight of them
                            some = b.bitcast(last_randoms, randoms_.type)
                            cgutils.raw_memcpy(b, some, b.gep(randoms_, [whole]), rest, 4, 1)
                        _store(b, numbers(whole, last_randoms, dithered=dithered), tail, single)
        with b.if_then(b.icmp_signed("!=", rest, _fixed(0, _I64)), likely=False):
            cgutils.raw_memcpy(b, b.gep(out_, [whole]), b.bitcast(tail, out_.type), rest, single, 1)
        return context.get_dummy_value()

    i, f = types.int64, types.float64
    return types.void(lanes, i, i, out, i, f, f, i, i, i, randoms, i), codegen


@intrinsic
def store_integers(
    typingctx: Any, lanes: Any, begin: Any, count: Any, out: Any, position: Any, bytepix: Any
) -> Any:
    """Put `count` integers of the stage into the output; return not 0 where it has no room for one.

    Of each the low `bytepix` bytes count; a single one is unsigned.
    """
    width = 8
    v, bits = ir.VectorType(_I32, width), out.dtype.bitwidth
    vo = ir.VectorType(ir.IntType(bits), width)

    def codegen(context: Any, b: Any, sig: Any, args: Any) -> Any:
        begin, count, _, position, bytepix = args[1:]
        stage = _data_of(context, b, lanes.types[1], b.extract_value(args[0], 1))
        stage = b.gep(stage, [begin])
        out_ = b.gep(_data_of(context, b, sig.args[3], args[3]), [position])
        unused = b.sub(_fixed(32, _I32), b.shl(b.trunc(bytepix, _I32), _fixed(3, _I32)))
        unused = _splat(b, unused, width)
        unsigned = _splat(b, b.icmp_signed("==", bytepix, _fixed(1, _I64)), width)
        tail, lost = cgutils.alloca_once(b, vo), cgutils.alloca_once(b, v)
        b.store(_fixed(0, v), lost)

        def numbers(at: Any) -> Any:
            high = b.shl(_load(b, b.gep(stage, [at]), v, 4), unused)
            x = b.select(unsigned, b.lshr(high, unused), b.ashr(high, unused))
            if bits >= 32:
                return x if bits == 32 else b.sext(x, vo)
            kept = b.trunc(x, vo)
            back = b.sext(kept, v) if out.dtype.signed else b.zext(kept, v)
            b.store(b.or_(b.load(lost), b.xor(back, x)), lost)
            return kept

        whole = b.and_(count, _fixed(-width, _I64))
        rest = b.sub(count, whole)
        step = _fixed(width, _I64)
        with cgutils.for_range_slice(b, _fixed(0, _I64), whole, step, _I64) as (i, _):
            _store(b, numbers(i), b.gep(out_, [i]), bits // 8)
        with b.if_then(b.icmp_signed("!=", rest, _fixed(0, _I64)), likely=False):
            # What follows the last number in the stage does not count.
            before = b.load(lost)
            _store(b, numbers(whole), tail, bits // 8)
            order = ir.Constant(v, list(range(width)))
            counts = b.icmp_signed("<", order, _splat(b, b.trunc(rest, _I32), width))
            b.store(b.select(counts, b.load(lost), before), lost)
            end = b.gep(out_, [whole])
            cgutils.raw_memcpy(b, end, b.bitcast(tail, out_.type), rest, bits // 8, 1)
        some = b.icmp_signed("!=", b.load(lost), _fixed(0, v))
        return b.zext(b.bitcast(some, ir.IntType(width)), _I64)

    i = types.int64
    return i(lanes, i, i, out, i, i), codegen
