"""Broken frames, made from right ones by a seed: cards, tables, descriptors, streams, codecs.

The kernels are compiled code that no coverage tool looks into, so nothing is steered here: the
mutations know where things are instead. Case `i` of seed `s` is the same frame everywhere.
"""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK, CARD = 2880, 80
END = b"END".ljust(CARD)

NUMBERS = [
    *(0, 1, -1, 2, 3, 4, 7, 8, 16, 32, 40, 64, 100, 255, 256, 999, 1000, 1024, 2880, 4096),
    *(2**15, 2**16, 2**20, 2**24, 2**31 - 1, 2**31, -(2**31), 2**32, 2**40, 2**62, 2**63 - 1),
    *(2**63, -(2**63), 10**19, -32, -64, 10_000, 10_001),
]
REALS = ["0.0", "1.0", "-1.5", "1E-300", "1E300", "1E999", "-1D308", "32768.0", "nan", "1.", "0.1"]
ALGORITHMS = ["RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"]
WORDS = [
    *ALGORITHMS,
    *("NO_DITHER", "SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2", "NONE", "BINTABLE", "IMAGE"),
    *("BLOCKSIZE", "BYTEPIX", "SCALE", "SMOOTH", "COMPRESSED_DATA", "GZIP_COMPRESSED_DATA"),
    *("UNCOMPRESSED_DATA", "ZSCALE", "ZZERO", "ZBLANK", "1PB(9)", "1PI", "1PJ", "1QB", "1QK"),
    *("1J", "1D", "1E", "1K", "8X", "3A", "0J", "999999999J", "2PB", "", "'", "&", "\xff"),
]
KEYWORDS = [
    *("XTENSION", "SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "PCOUNT", "GCOUNT"),
    *("TFIELDS", "TTYPE1", "TFORM1", "TTYPE2", "TFORM2", "TTYPE3", "TFORM3", "TTYPE4", "TFORM4"),
    *("ZIMAGE", "ZBITPIX", "ZNAXIS", "ZNAXIS1", "ZNAXIS2", "ZNAXIS3", "ZTILE1", "ZTILE2", "ZTILE3"),
    *("ZCMPTYPE", "ZNAME1", "ZVAL1", "ZNAME2", "ZVAL2", "ZQUANTIZ", "ZDITHER0", "ZSCALE", "ZZERO"),
    *("ZBLANK", "BLANK", "BSCALE", "BZERO", "THEAP", "EXTNAME", "GROUPS", "TSCAL1", "TZERO3"),
    *("CONTINUE", "HIERARCH", "INHERIT", "EXTEND", "ZTENSION"),
]


@dataclass(frozen=True)
class Case:
    """A broken frame and how it is to be read."""

    name: str
    data: bytes
    target: int | str
    config: dict[str, Any]
    with_config: bool


@dataclass(frozen=True)
class Seed:
    """A right frame of the corpus, and where its HDU's parts lie."""

    name: str
    data: bytes
    target: int
    start: int
    data_start: int
    config: dict[str, Any]


def read_corpus(place: Path) -> list[Seed]:
    """The corpus, in the order of its names."""
    from dkist_virtual.fits.hdu import find_hdu, layout_of

    seeds = []
    for path in sorted(place.glob("*.fits")):
        data = path.read_bytes()
        target = 1 if b"XTENSION" in data[:CARD] or data.find(b"XTENSION") > 0 else 0
        hdu = find_hdu(data, target)
        layout = layout_of(hdu)
        dtype = layout.dtype.newbyteorder("<").str
        config = {"hdu": target, "dtype": dtype, "shape": list(layout.shape)}
        seeds.append(Seed(path.stem, data, target, hdu.start, hdu.data_start, config))
    return seeds


class Mutator:
    """Makes cases of a corpus.

    Parameters
    ----------
    corpus : list of Seed
    seed : int
    """

    def __init__(self, corpus: list[Seed], seed: int) -> None:
        self.corpus = corpus
        self.seed = seed

    def case(self, number: int) -> Case:
        """Case `number` of this seed."""
        rng = random.Random(f"{self.seed}:{number}")
        origin = rng.choice(self.corpus)
        # In three parts: what comes before, header and data; most mutations need two of them.
        frame = Frame(
            bytearray(origin.data[: origin.start]),
            [
                origin.data[i : i + CARD]
                for i in range(origin.start, origin.data.index(END, origin.start), CARD)
            ],
            bytearray(origin.data[origin.data_start :]),
        )
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
            rng.choice(MUTATIONS)(rng, frame, self.corpus)
        data = frame.file()
        if rng.random() < 0.15:
            data = broken_bytes(rng, data)
        if origin.start and rng.random() < 0.5:
            data = data[len(frame.before) :]
        config = dict(origin.config)
        if rng.random() < 0.2:
            config = broken_config(rng, config)
        target = rng.choice((origin.target, origin.target, origin.target, 0, 1, 2, "OBSERVATION"))
        return Case(
            f"{self.seed}:{number} of {origin.name}", data, target, config, rng.random() < 0.5
        )


class Frame:
    """The parts of a frame while it is being broken."""

    def __init__(self, before: bytearray, cards: list[bytes], data: bytearray) -> None:
        self.before, self.cards, self.data = before, cards, data

    def file(self) -> bytes:
        """The whole of it."""
        header = b"".join([*self.cards, END])
        return bytes(self.before + header + b" " * (-len(header) % BLOCK) + self.data)

    def find(self, keyword: str) -> int | None:
        """Where a card is."""
        key = keyword.encode("latin-1").ljust(8)
        return next((i for i, card in enumerate(self.cards) if card[:8] == key), None)

    def number(self, keyword: str, default: int) -> int:
        """An integer as it stands there."""
        at = self.find(keyword)
        found = re.match(rb"= +(-?\d{1,18})", self.cards[at][8:]) if at is not None else None
        return int(found[1]) if found else default

    def set(self, keyword: str, value: str) -> None:
        """Change a card, or add one."""
        card = f"{keyword:<8}= {value}".encode("latin-1").ljust(CARD)[:CARD]
        at = self.find(keyword)
        if at is None:
            self.cards.append(card)
        else:
            self.cards[at] = card

    def table(self) -> tuple[int, int]:
        """NAXIS1 and NAXIS2, so far as the data goes."""
        width = max(1, min(self.number("NAXIS1", 8), len(self.data)))
        return width, max(0, min(self.number("NAXIS2", 1), len(self.data) // width))


def value_of(rng: random.Random, old: int) -> str:
    """What a card may be made to say."""
    kind = rng.random()
    if kind < 0.35:
        return str(rng.choice(NUMBERS))
    if kind < 0.6:
        return str(old + rng.choice((-1, 1, 2, -old - 1, old, 7 * old, 10**6)))
    if kind < 0.7:
        return rng.choice(REALS)
    if kind < 0.95:
        return f"'{rng.choice(WORDS):<8}'"
    return rng.choice(("T", "F", "", "/", "'open", "9" * 60, "1_0", "\xe9", "(1,2)"))


def change_card(rng: random.Random, frame: Frame, _: list[Seed]) -> None:
    keyword = rng.choice(KEYWORDS)
    frame.set(keyword, value_of(rng, frame.number(keyword, 0)))


def change_there(rng: random.Random, frame: Frame, _: list[Seed]) -> None:
    if not frame.cards:
        return
    keyword = rng.choice(frame.cards)[:8].decode("latin-1").rstrip()
    frame.set(keyword, value_of(rng, frame.number(keyword, 0)))


def move_cards(rng: random.Random, frame: Frame, _: list[Seed]) -> None:
    if not frame.cards:
        return
    at, to = rng.randrange(len(frame.cards)), rng.randrange(len(frame.cards) + 1)
    kind = rng.random()
    if kind < 0.3:
        del frame.cards[at]
    elif kind < 0.6:
        frame.cards.insert(to, frame.cards[at])
    elif kind < 0.7:
        frame.cards.insert(to, rng.randbytes(CARD))
    elif kind < 0.8:
        frame.cards[1:] = rng.sample(frame.cards[1:], len(frame.cards) - 1)
    elif kind < 0.9:
        card = bytearray(frame.cards[at])
        card[rng.randrange(CARD)] = rng.choice(b"0123456789-.'= EXTD\xff\0")
        frame.cards[at] = bytes(card)
    else:
        frame.cards[to:to] = [b"COMMENT".ljust(CARD)] * rng.choice((1, 36, 2000))


def another_shape(rng: random.Random, frame: Frame, _: list[Seed]) -> None:
    """Another shape, whose number of tiles is still the right one."""
    axis = rng.randint(1, 3)
    size = rng.choice((1, 2, 5, 40, 255, 1000, 4097, 2**16, 2**22, 2**26, 2**33, 2**40))
    if rng.random() < 0.7:
        frame.set(f"ZNAXIS{axis}", str(size))
        frame.set(f"ZTILE{axis}", str(size + rng.choice((0, 0, 1))))
    else:
        # One more axis, of one pixel or of a tile.
        n = min(frame.number("ZNAXIS", 2) + 1, rng.choice((3, 4, 33, 70)))
        frame.set("ZNAXIS", str(n))
        for i in range(1, n + 1):
            if frame.find(f"ZNAXIS{i}") is None:
                frame.set(f"ZNAXIS{i}", "1")


def another_algorithm(rng: random.Random, frame: Frame, _: list[Seed]) -> None:
    frame.set("ZCMPTYPE", f"'{rng.choice(ALGORITHMS)}'")
    if rng.random() < 0.4:
        frame.set("ZBITPIX", str(rng.choice((8, 16, 32, 64, -32, -64))))
    if rng.random() < 0.3:
        frame.set("ZNAME1", "'BYTEPIX '")
        frame.set("ZVAL1", str(rng.choice((1, 2, 4, 8))))
    if rng.random() < 0.3:
        frame.set("ZNAME2", f"'{rng.choice(('SMOOTH', 'BLOCKSIZE', 'SCALE'))}'")
        frame.set("ZVAL2", str(rng.choice((0, 1, 16, 32, 1024))))


def change_row(rng: random.Random, frame: Frame, _: list[Seed]) -> None:
    """A descriptor, a scale, a zero: any aligned number of a table row."""
    width, rows = frame.table()
    if rows == 0 or width < 8:
        return
    for _n in range(rng.choice((1, 1, 2, rows))):
        at = rng.randrange(rows) * width + 4 * rng.randrange(max(1, width // 4 - 1))
        kind = rng.random()
        if kind < 0.6:
            old = struct.unpack_from(">i", frame.data, at)[0]
            new = rng.choice((old + 1, old - 1, 2 * old, 0, -1, 1, 2**31 - 1, rng.randrange(4000)))
            struct.pack_into(">i", frame.data, at, max(-(2**31), min(new, 2**31 - 1)))
        elif kind < 0.8:
            number = rng.choice((0.0, -1.0, 1e300, 1e-310, float("nan"), float("inf"), 0.5))
            struct.pack_into(">d", frame.data, at, number)
        else:
            frame.data[at : at + 8] = rng.randbytes(8)


def stream_of(rng: random.Random, frame: Frame) -> tuple[int, int] | None:
    """Where one tile's bytes lie, by a descriptor of four or eight bytes."""
    width, rows = frame.table()
    if rows == 0 or width < 8:
        return None
    row, heap = rng.randrange(rows), width * rows
    form = ">ii" if width < 16 or rng.random() < 0.7 else ">qq"
    column = rng.choice((0, 0, 8)) if width >= 24 else 0
    count, offset = struct.unpack_from(form, frame.data, row * width + column)
    if not (0 < count <= len(frame.data) and 0 <= offset <= len(frame.data) - heap):
        return None
    return heap + offset, min(heap + offset + count, len(frame.data))


def flip_stream(rng: random.Random, frame: Frame, _: list[Seed]) -> None:
    where = stream_of(rng, frame)
    if where is None or where[0] >= where[1]:
        return
    for _n in range(rng.choice((1, 1, 2, 8))):
        # The beginning says most: sizes, codes, the first blocks.
        early = min(where[1], where[0] + rng.choice((4, 30, 10_000)))
        at = rng.randrange(where[0], early)
        frame.data[at] = rng.choice((0, 255, 1, 128, rng.randrange(256), frame.data[at] ^ 1))


def new_stream(rng: random.Random, frame: Frame, corpus: list[Seed]) -> None:
    """Other bytes in a tile's place: of another frame, a header with large sizes, a bomb."""
    where = stream_of(rng, frame)
    if where is None:
        return
    kind = rng.randrange(6)
    numbers = [rng.choice((0, 1, 2, 6, 20, 40, 240, 2**20, 2**31 - 1, -1)) for _n in range(4)]
    if kind == 0:
        other = rng.choice(corpus)
        at = rng.randrange(other.data_start, len(other.data))
        made = other.data[at : at + where[1] - where[0]]
    elif kind == 1:
        made = b"\xdd\x99" + struct.pack(">iiiq", *numbers[:3], rng.getrandbits(62))
        made += bytes(rng.choice((0, 1, 12, 31, 62, 63, 255)) for _n in range(3))
        made += rng.randbytes(rng.choice((0, 1, 50, 500)))
    elif kind == 2:
        words = [0, rng.choice((7, 0, -1, 3)), rng.choice((-100, 5, 0, 40))]
        words += [rng.choice((40, 7, 0, 9)), 0, 0, 0]
        words += [rng.randrange(-(2**15), 2**15) if rng.random() < 0.2 else rng.randrange(2**15)
                  for _n in range(rng.choice((0, 5, 60)))]  # fmt: skip
        made = struct.pack(f">{len(words)}h", *words)
    elif kind == 3:
        packer = zlib.compressobj(9, wbits=31)
        made = packer.compress(bytes(rng.choice((0, 40, 160, 10**4, 10**6)))) + packer.flush()
    elif kind == 4:
        made = bytes([rng.choice((0, 255, 8, 16, 170))]) * (where[1] - where[0])
    else:
        made = rng.randbytes(where[1] - where[0])
    if rng.random() < 0.5:
        frame.data[where[0] : where[0] + len(made)] = made
        return
    # At the end of the heap, with a descriptor of the right length.
    width, rows = frame.table()
    pcount = frame.number("PCOUNT", 0)
    del frame.data[width * rows + max(0, min(pcount, 10**6)) :]
    offset = len(frame.data) - width * rows
    frame.data += made
    frame.set("PCOUNT", str(len(frame.data) - width * rows))
    at = rng.randrange(rows) * width
    if width % 16 == 0 and rng.random() < 0.3:
        struct.pack_into(">qq", frame.data, at, len(made), offset)
    else:
        struct.pack_into(">ii", frame.data, at, len(made), offset)


def cut_data(rng: random.Random, frame: Frame, _: list[Seed]) -> None:
    kind = rng.random()
    if kind < 0.5:
        del frame.data[rng.randrange(len(frame.data) + 1) :]
    elif kind < 0.75:
        frame.data += rng.randbytes(rng.choice((1, 100, 2880)))
    else:
        at = rng.randrange(len(frame.data) + 1)
        frame.data[at:at] = rng.randbytes(rng.choice((1, 8, 80)))


MUTATIONS: list[Callable[[random.Random, Frame, list[Seed]], None]] = [
    *(change_card, change_there, change_there, move_cards, another_shape, another_algorithm),
    *(change_row, change_row, flip_stream, flip_stream, flip_stream, new_stream, new_stream),
    cut_data,
]


def broken_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes changed without a thought of what they mean."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 4, 30))):
        if not made:
            break
        at = rng.randrange(len(made))
        kind = rng.random()
        if kind < 0.6:
            made[at] = rng.randrange(256)
        elif kind < 0.75:
            del made[at : at + rng.choice((1, 8, 80, 2880))]
        elif kind < 0.9:
            made[at:at] = made[at : at + rng.choice((1, 8, 80, 2880))]
        else:
            del made[at:]
    return bytes(made)


def broken_config(rng: random.Random, config: dict[str, Any]) -> Any:
    """A codec's configuration as JSON might have it."""
    odd = [
        *(None, True, False, 0, -1, 1, 7, 10**6, 2**63, 10**30, 1.0, float("nan"), "", "1", "SCI"),
        *("<f4", ">f4", "<f8", "|u1", "<u2", "|O", "\0", [], [1], {}, {"a": 1}, "OBSERVATION"),
        *([5, 40], [40, 5], [2**20, 2**20], [0], [-1, 3], [[1]], [None], "54", [10**30]),
    ]
    made: dict[Any, Any] = dict(config)
    kind = rng.random()
    if kind < 0.7:
        made[rng.choice(("hdu", "dtype", "shape", "shape"))] = rng.choice(odd)
    elif kind < 0.8:
        made[rng.choice(("level", "id", ""))] = rng.choice(odd)
    elif kind < 0.9:
        del made[rng.choice(("hdu", "dtype", "shape"))]
    else:
        return rng.choice(odd)
    return made
