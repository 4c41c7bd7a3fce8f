"""Decode broken frames by the thousand, and say of each what it may not do.

    python fuzz/run.py --seed 1 --count 100000 --jobs 2

A case passes when decoding it

- gives an array of the type and shape that its header declares, or one of the typed errors;
- holds at no time more than four times what it is (its bytes), declares (its pixels, each
  counted as 4 bytes at least, since that is what streams hold) and needs to be found in (32
  bytes for each axis of each tile), and 512 kB for the machinery: an image that is refused
  for its size may not ask for any of that;
- takes less than a second.

Bytes held are counted by tracemalloc for each case whose header asks for much, and for every
16th of the others; no process gets more than 3 GiB of address space.

Windows into frames are read as well, and compared with the whole. Exits with 1 on a find, whose
seed and number give the same frame again: ``--only NUMBER``, and ``--save FILE`` keeps it.
"""

from __future__ import annotations

import argparse
import faulthandler
import math
import random
import re
import resource
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from mutate import Case, Mutator, read_corpus

from dkist_virtual.errors import FrameCorruptError, FrameUnsupportedError, StoreCorruptError
from dkist_virtual.fits.decode import decode_frame, decode_window
from dkist_virtual.fits.hdu import image_layout
from dkist_virtual.fits.layout import CompressedImage
from dkist_virtual.fits.tiled import batches, decoders
from dkist_virtual.fits.tiled.decoders import pixel_limit
from dkist_virtual.fits.tiled.processor import chosen_kernel, lane_memory
from dkist_virtual.fits.tiled.table import read_table
from dkist_virtual.store.codecs import FITSCodecV3

CORPUS = Path(__file__).parent / "corpus"
TYPED = (FrameCorruptError, FrameUnsupportedError, StoreCorruptError)
SECONDS = 1.0
SPARE = 512 * 1024
ROOM = 3 * 2**30
ASKS = re.compile(
    rb"(?:Z?NAXIS\d*|[PG]COUNT|TFIELDS|ZTILE\d+|THEAP|ZVAL\d+|TFORM\d+) *= '? *(\d{4,19})"
)
"""Numbers of four digits and more that a header may make a decoder allocate by."""


class FoundError(Exception):
    """What a case did that it may not."""


def allowed_bytes(case: Case) -> int:
    """Four times the case's own declared and permitted size; see the module's docstring."""
    target = case.target
    try:
        if case.with_config:
            target = FITSCodecV3.from_dict({"configuration": case.config}).spec.hdu
        start, layout = image_layout(case.data, target)
    except TYPED:
        return 4 * len(case.data) + SPARE
    pixels = math.prod(layout.shape)
    tiles = layout.n_tiles if isinstance(layout, CompressedImage) else 0
    if case.with_config:
        permitted = list(layout.shape) == case.config.get("shape")
    else:
        permitted = tiles == 0 or pixels <= pixel_limit(len(case.data) - start)
    declared = pixels * max(4, layout.dtype.itemsize) if permitted else 0
    return 4 * (len(case.data) + declared + tiles * 32 * len(layout.shape)) + SPARE


def decode(case: Case, rng: random.Random) -> str:
    """Decode one case; the name of what came of it."""
    try:
        if case.with_config:
            spec = FITSCodecV3.from_dict({"configuration": case.config}).spec
            pixels = spec.decode(case.data)
            expected = np.dtype(spec.dtype), spec.shape
        else:
            pixels = decode_frame(case.data, case.target)
            layout = image_layout(case.data, case.target)[1]
            expected = layout.dtype, layout.shape
    except TYPED as error:
        if not str(error):
            raise FoundError("an error without a message") from error
        return type(error).__name__
    if (pixels.dtype, pixels.shape) != expected or not pixels.dtype.isnative:
        raise FoundError(f"{pixels.dtype} {pixels.shape} instead of {expected}")
    target = spec.hdu if case.with_config else case.target
    start, layout = image_layout(case.data, target)
    if isinstance(layout, CompressedImage) and rng.random() < 0.3:
        check_window(case, layout, start, pixels, rng)
        return "pixels, and a window"
    return "pixels"


def check_window(
    case: Case, layout: CompressedImage, start: int, whole: np.ndarray, rng: random.Random
) -> None:
    """Read a window by itself: it is what numpy cuts out of the whole."""
    window = []
    for n in layout.shape:
        begin = rng.randrange(n)
        pixels = range(begin, rng.randrange(begin, n) + 1, rng.choice((1, 1, 2, 3, 50)))
        window.append(pixels)
    hdu = memoryview(case.data)[start:]
    table = read_table(layout, hdu)
    buffer = np.frombuffer(hdu, "u1")
    part = decode_window(layout, table, tuple(window), buffer, table.starts)
    cut = whole[tuple(slice(p.start, p.stop, p.step) for p in window)]
    if not np.array_equal(part, cut, equal_nan=part.dtype.kind == "f"):
        raise FoundError(f"window {window} is not what the whole has there")


def is_traced(case: Case, number: int) -> bool:
    """Whether to count every byte that a case holds, which takes five times as long.

    Each that asks for something in its header, and every 16th of the others. All others have to
    live with the memory that `main` leaves the process.
    """
    if number % 16 == 0 or len(case.data) > 2**16:
        return True
    return any(int(digits) > 5000 for digits in ASKS.findall(case.data))


def check(case: Case, seed: int, *, traced: bool = True) -> str:
    """Hold one case to the rules; the name of what came of it.

    Raises
    ------
    FoundError
    """
    rng = random.Random(f"window {case.name} {seed}")
    if traced:
        tracemalloc.start(1)
    # The process's own time: other work on the machine is not the decoder's fault.
    begin = time.process_time()
    try:
        outcome = decode(case, rng)
    except FoundError:
        raise
    except BaseException as error:
        raise FoundError(f"{type(error).__name__}: {error}") from error
    finally:
        took = time.process_time() - begin
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    if peak > SPARE and peak > allowed_bytes(case):
        raise FoundError(f"held {peak} bytes where {allowed_bytes(case)} are allowed")
    if took > SECONDS:
        raise FoundError(f"took {took:.2f} s")
    return outcome


def warm_up(mutator: Mutator) -> None:
    """Compile, load and cache what only the first frame of its kind pays for."""
    randoms = decoders.random_list()
    for seed in mutator.corpus:
        decode_frame(seed.data, seed.target)
    buffer = np.frombuffer(bytes(64), "u1")
    one = np.ones(1, np.int64)
    numbers = (buffer, one, 32 * one, 0 * one, False, 32)
    places = (0 * one, one, one, 0)
    kinds: list[tuple[Any, ...]] = [(batches.DECODE_FLOATS, batches.DECODE_INTEGERS, numbers)]
    kernel = chosen_kernel()
    if kernel != "plain":
        for n_tiles in (1, 9):
            lanes = (*lane_memory(kernel, 32, n_tiles), buffer, one, 32 * one, 32)
            kinds.append((batches.LANES_FLOATS, batches.LANES_INTEGERS, lanes))
    for decode_floats, decode_integers, source in kinds:
        for code in ("u1", "i2", "i4", "i8"):
            decode_integers(*source, 4, np.zeros(1, code), *places)
        for code in ("f4", "f8"):
            floats = (np.ones(1), np.ones(1), one, False, 0, one, randoms)
            decode_floats(*source, *floats, np.zeros(1, code), *places)
    for values in (np.zeros(1, "i4"), np.zeros(1, "i8")):
        for code in ("f4", "f8"):
            decoders.DEQUANTISE(values, 1.0, 0.0, 0, False, 0, 1, randoms, np.zeros(1, code))
    for number in range(-300, 0):
        try:
            decode(mutator.case(number), random.Random(number))
        except Exception:  # noqa: BLE001  # it is found again where it counts
            continue


def run(seed: int, numbers: range, *, progress: bool = False) -> tuple[Counter[str], list[str]]:
    """Check the cases of these numbers: how many came to what, and what was found."""
    warnings.simplefilter("error")
    mutator = Mutator(read_corpus(CORPUS), seed)
    warm_up(mutator)
    outcomes: Counter[str] = Counter()
    found: list[str] = []
    try:
        for k, number in enumerate(numbers, 1):
            case = mutator.case(number)
            traced = is_traced(case, number)
            outcomes["traced"] += traced
            try:
                outcomes[check(case, seed, traced=traced)] += 1
            except FoundError as error:
                outcomes["FOUND"] += 1
                found.append(f"{case.name}: {error}")
                print(found[-1], flush=True)
            if progress and k % 10_000 == 0:
                print(f"at {number}: {dict(outcomes)}", flush=True)
            if progress and k % 100 == 0:
                # A hang in compiled code stops everything but this watch.
                faulthandler.dump_traceback_later(120, exit=True)
    finally:
        faulthandler.cancel_dump_traceback_later()
    return outcomes, found


def main() -> int:
    """Read the arguments, share the cases out, print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", type=int, help="one case by its number")
    parser.add_argument("--save", type=Path, help="where to keep the bytes of that case")
    given = parser.parse_args()
    if given.only is not None:
        case = Mutator(read_corpus(CORPUS), given.seed).case(given.only)
        print(case.name, case.target, case.config, case.with_config)
        if given.save:
            given.save.write_bytes(case.data)
        numbers = range(given.only, given.only + 1)
    else:
        numbers = range(given.first, given.first + given.count, given.step)
    begin = time.monotonic()
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    if given.jobs > 1:
        # Processes of their own: one that is killed by a crash says so by its exit code.
        workers = []
        for job in range(given.jobs):
            share = {"count": given.count - job, "first": given.first + job, "step": given.jobs}
            words = [f"--{name}={value}" for name, value in share.items()]
            words.append(f"--seed={given.seed}")
            workers.append(subprocess.Popen([sys.executable, __file__, *words]))
        codes = [worker.wait() for worker in workers]
        print(f"{given.count} frames, seed {given.seed}: {time.monotonic() - begin:.0f} s, {codes}")
        return int(any(codes))
    outcomes, found = run(given.seed, numbers, progress=given.only is None)
    took = time.monotonic() - begin
    print(f"{len(numbers)} frames, seed {given.seed}: {dict(outcomes)}, {took:.0f} s", flush=True)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
