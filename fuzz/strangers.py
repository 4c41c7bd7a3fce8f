"""Break a store's own files by the thousand, and say of each what opening it may not do.

    PYTHONPATH=tests/support python fuzz/strangers.py --seed 1 --count 2000

The files are those of small right stores: ``references.json``, ``.zmetadata`` and a shard of
``references.parq``, ``headers.parquet``, ``dataset.asdf``, ``verify.json``. Case `i` of seed `s`
is the same file everywhere. A case passes when opening the store, printing it, and reading its
references and headers

- works, or gives one of the typed errors, with a message;
- asks for no more than 512 MB of memory, however little of it is written to;
- reads no frame, and no file outside of the store and of where its frames are;
- takes less than ten seconds of the process's own time.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import dkist_virtual as dv
from dkist_virtual.errors import DKISTVirtualError

MEMORY = 2**29
SECONDS = 10.0

VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        40,
        2**31,
        2**63,
        -(2**63),
        10**30,
        1e308,
        0.5,
        "",
        "x",
        [],
        {},
    ),
    *(
        "/etc/passwd",
        "file:///etc/passwd",
        "../../x",
        "{{ 7 * 7 }}",
        "\x00",
        "a" * 5000,
        "é",
        "0.0",
    ),
    *([0], [1, 2, 3], [[0, 1, 1]] * 4, [[None] * 3] * 4, {"a": 1}, "<f4", ">f8", "O", "|V8", "<U9"),
    *(["/x", 0, 1], ["https://a.org/x", -1, 5], ["x", 2**62, 2**62], [["x"]], "base64:AAAA"),
]


class FoundError(Exception):
    """What a case did that it may not."""


def change_tree(rng: random.Random, tree: Any) -> Any:
    """Change one value somewhere in plain JSON."""
    if isinstance(tree, dict) and tree and rng.random() < 0.85:
        key = rng.choice(list(tree))
        kind = rng.random()
        if kind < 0.1:
            return {k: v for k, v in tree.items() if k != key}
        if kind < 0.2:
            return {
                **tree,
                rng.choice(["x", "data/0.0", "templates", "../x", ".zgroup"]): tree[key],
            }
        return {**tree, key: change_tree(rng, tree[key])}
    if isinstance(tree, list) and tree and rng.random() < 0.7:
        at = rng.randrange(len(tree))
        return [*tree[:at], change_tree(rng, tree[at]), *tree[at + 1 :]]
    if isinstance(tree, str) and tree.startswith("{") and rng.random() < 0.9:
        with suppress(ValueError):  # documents inside of documents, where no change broke them
            return json.dumps(change_tree(rng, json.loads(tree)))
    return rng.choice(VALUES)


def change_bytes(rng: random.Random, data: bytes) -> bytes:
    """Change some bytes, cut some out, put some in."""
    broken = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        at = rng.randrange(len(broken) + 1) if broken else 0
        kind = rng.random()
        if kind < 0.6 and at < len(broken):
            broken[at] = rng.choice(
                (0, 255, broken[at] ^ (1 << rng.randrange(8)), rng.randrange(256))
            )
        elif kind < 0.8:
            del broken[at : at + rng.choice((1, 4, 100, len(broken)))]
        else:
            broken[at:at] = rng.randbytes(rng.choice((1, 4, 100)))
    return bytes(broken)


def json_file(rng: random.Random, data: bytes) -> bytes:
    """Another document, or no JSON."""
    if rng.random() < 0.2:
        return change_bytes(rng, data)
    tree = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        tree = change_tree(rng, tree)
    return json.dumps(tree).encode()


def parquet_file(rng: random.Random, data: bytes) -> bytes:
    """Other columns, other types, other notes, other rows; or broken bytes."""
    if rng.random() < 0.4:
        return change_bytes(rng, data)
    table = pq.read_table(pa.BufferReader(data))
    about = dict(table.schema.metadata or {})
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(table.schema.names))
        field, column = table.schema.field(at), table.column(at)
        kind = rng.random()
        if kind < 0.15:
            table = table.remove_column(at)
            if not table.schema.names:
                break
        elif kind < 0.5 and field.metadata:
            notes = change_tree(rng, json.loads(field.metadata[b"dkist_virtual"]))
            if rng.random() < 0.3 and isinstance(notes, dict):
                notes["meta_yaml"] = rng.choice(
                    ("x: *a", "a: !numpy.ndarray {dtype: O, shape: [1], order: C, buffer: AAAA}",
                     "!!python/object/apply:os.system [x]", "[" * 500, "a: !astropy.units.Unit {unit: x}")
                )  # fmt: skip
            field = field.with_metadata({b"dkist_virtual": json.dumps(notes).encode()})
            table = table.set_column(at, field, column)
        elif kind < 0.8:
            other = rng.choice((
                pa.nulls(len(table)), pa.array(["x" * rng.choice((1, 10**5))] * len(table)),
                pa.array(np.full(len(table), rng.choice((0, -1, 2**62)), np.int64)),
                pa.array(np.zeros(len(table))), pa.array([b"\xff"] * len(table)),
                pa.array([[1, 2]] * len(table)), pa.array([True] * len(table)),
            ))  # fmt: skip
            table = table.set_column(
                at, pa.field(field.name, other.type, metadata=field.metadata), other
            )
        elif kind < 0.9:
            table = table.slice(0, rng.randrange(len(table) + 1))
        else:
            table = pa.concat_tables([table] * rng.choice((2, 50)))
    if rng.random() < 0.2 and b"dkist_virtual" in about:
        notes = change_tree(rng, json.loads(about[b"dkist_virtual"]))
        table = table.replace_schema_metadata({b"dkist_virtual": json.dumps(notes).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression=rng.choice(("zstd", "gzip", "none")))
    return bytes(sink.getvalue())


def asdf_file(rng: random.Random, data: bytes) -> bytes:
    """A tree that repeats itself, blocks that ask for much, other words; or broken bytes."""
    kind = rng.random()
    if kind < 0.3:
        return change_bytes(rng, data)
    end = data.index(b"\n...\n")
    head, tree = data[: data.index(b"--- ")], data[data.index(b"--- ") : end]
    if kind < 0.5:
        at = data.find(b"\xd3BLK")
        if at >= 0:
            broken = bytearray(data)
            place = at + rng.choice((4, 6, 10, 14, 22, 30))
            broken[place : place + 8] = rng.choice((0, 1, 2**31, 2**40, 2**62)).to_bytes(8, "big")
            return bytes(broken)
    lines = tree.split(b"\n")
    for _ in range(rng.choice((1, 2, 5))):
        at = rng.randrange(1, len(lines))
        line = lines[at]
        key, colon, _rest = line.partition(b":")
        lines[at] = rng.choice((
            key + colon + b" " + rng.choice((
                b"null", b"1e999", b"[]", b"{}", b"'x'", b"&a [*a]", b"!core/ndarray-1.1.0 {source: 7}",
                b"!!python/object/apply:os.system ['true']", b"!<tag:stsci.edu:gwcs/wcs-1.4.0> {}",
                b"{$ref: 'file:///etc/passwd'}", b"9" * 50, b"[" * 300 + b"]" * 300,
            )),
            line[rng.randrange(len(line) + 1) :], b" " + line, b"", lines[rng.randrange(len(lines))],
        ))  # fmt: skip
    if rng.random() < 0.1:
        lines.insert(1, b"l0: &l0 [1, 1, 1, 1, 1, 1, 1, 1]")
        lines[2:2] = [
            b"l%d: &l%d [%s]" % (i, i, b", ".join([b"*l%d" % (i - 1)] * 9)) for i in range(1, 12)
        ]
    return head + b"\n".join(lines) + data[end:]


FILES: dict[str, tuple[str, Callable[[random.Random, bytes], bytes]]] = {
    "references.json": ("json", json_file),
    "references.parq/.zmetadata": ("parquet", json_file),
    "references.parq/data/refs.0.parq": ("parquet", parquet_file),
    "headers.parquet": ("json", parquet_file),
    "dataset.asdf": ("json", asdf_file),
    "verify.json": ("json", json_file),
}


def make(directory: Path, frames: Path) -> dict[str, Path]:
    """The right stores."""
    stores = {how: directory / how for how in ("json", "parquet")}
    for how, place in stores.items():
        dv.convert(frames, place, references=how, progress=False)  # type: ignore[arg-type]
    dv.verify(stores["json"], progress=False)
    return stores


def use(store: Path) -> None:
    """What somebody does who looks at a store: nothing of it reads a frame."""
    ds = dv.open_dataset(store)
    str(ds), repr(ds)
    for tile in getattr(ds, "flat", [ds]):
        tile.files.names, tile.files.where(), tile.files.nbytes, tile.data.shape
        len(tile.headers)
        tile.headers[:1].as_array()
    list(dv.open_zarr(store).arrays())


ALLOWED: list[str] = []


def guard(event: str, arguments: tuple[Any, ...]) -> None:
    """Nothing is opened that is of no concern; looked at where Python itself opens files."""
    if event in ("os.system", "subprocess.Popen", "socket.connect", "os.exec"):
        raise FoundError(f"{event} {arguments[:2]}")
    if event == "open" and isinstance(arguments[0], str) and ALLOWED:
        path = arguments[0]
        if path.endswith(".fits") or path.startswith(("/etc/passwd", "/x")):
            raise FoundError(f"opened {path}")


def check(
    name: str, data: bytes, stores: dict[str, Path], scratch: Path, *, traced: bool = True
) -> str:
    """Hold one broken file to the rules; what came of it."""
    how, _ = FILES[name]
    store = scratch / "store"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(stores[how], store)
    (store / name).write_bytes(data)
    before = pa.total_allocated_bytes()
    if traced:  # which takes three times as long
        tracemalloc.start(1)
    began = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use(store)
        outcome = "used"
    except DKISTVirtualError as error:
        if not str(error):
            raise FoundError("an error without a message") from error
        outcome = type(error).__name__
    except FoundError:
        raise
    except BaseException as error:
        raise FoundError(f"{type(error).__name__}: {error}") from error
    finally:
        took, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    if peak > MEMORY or pa.total_allocated_bytes() - before > MEMORY:
        raise FoundError(f"asked for {peak} bytes")
    if took > SECONDS:
        raise FoundError(f"took {took:.1f} s")
    return outcome


def run(
    seed: int, numbers: range, frames: Path, scratch: Path, *, stop: bool = False
) -> tuple[Counter[str], list[str]]:
    """Check the cases of these numbers: how many came to what, and what was found."""
    stores = make(scratch / "right", frames)
    right = {name: (stores[how] / name).read_bytes() for name, (how, _) in FILES.items()}
    for store in stores.values():
        use(store)
    sys.addaudithook(guard)
    ALLOWED.append("")
    outcomes: Counter[str] = Counter()
    found: list[str] = []
    try:
        for number in numbers:
            rng = random.Random(f"{seed}:{number}")
            name = list(FILES)[number % len(FILES)]
            data = FILES[name][1](rng, right[name])
            traced = number // len(FILES) % 4 == 0
            try:
                outcomes[f"{name}: {check(name, data, stores, scratch, traced=traced)}"] += 1
            except FoundError as error:
                found.append(f"{seed}:{number} {name}: {error}")
                print("FOUND", found[-1], flush=True)
                if stop:
                    raise
    finally:
        ALLOWED.clear()
    return outcomes, found


def main() -> int:
    """Read the arguments, run, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--only", type=int, help="one case by its number")
    parser.add_argument("--frames", type=Path, help="a dataset, instead of making one")
    given = parser.parse_args()
    from simulated import generate

    numbers = range(given.count) if given.only is None else range(given.only, given.only + 1)
    with tempfile.TemporaryDirectory() as made:
        frames = given.frames or generate("visp_plain", Path(made) / "frames")
        outcomes, found = run(given.seed, numbers, frames, Path(made), stop=given.only is not None)
    for outcome, n in sorted(outcomes.items()):
        print(f"{n:6} {outcome}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
