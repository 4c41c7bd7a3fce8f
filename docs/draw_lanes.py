"""Draw how codes of several Rice tiles are read at a time."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#2c5f8a"
READ, ZEROS, ONE, LOW, REST = "#e4e7ea", "#cfe3f3", "#2c5f8a", "#f6d9a8", "#ffffff"
LANES, BITS, CODES = 8, 38, 4
CELL, PITCH = 0.5, 0.8
VECTOR, STAGE, OUTPUT = 22.2, 32.0, 40.5


def code(difference: int, fs: int) -> list[tuple[str, str]]:
    """Code a difference (FITS 4.0, 10.4.1): each bit, and the colour of its kind."""
    value = 2 * difference if difference >= 0 else -2 * difference - 1
    low = format(value % 2**fs, f"0{fs}b") if fs else ""
    return [("0", ZEROS)] * (value >> fs) + [("1", ONE)] + [(bit, LOW) for bit in low]


def lane(random_: random.Random) -> tuple[list[tuple[str, str]], int, int, list[int]]:
    """Make a stream: its bits, how many were read, its fs, and the next differences."""
    fs = random_.choice((1, 2, 2, 3))
    read = random_.randrange(3, 9)
    bits = [(random_.choice("01"), READ) for _ in range(read)]
    differences = [random_.randint(-(2**fs), 2**fs) for _ in range(CODES)]
    for difference in differences:
        bits += code(difference, fs)
    bits += [(random_.choice("01"), REST) for _ in range(BITS)]
    return bits[:BITS], read, fs, differences


def cell(axes: Axes, x: float, y: float, width: float, colour: str, text: str) -> None:
    """Draw a box with a word in it."""
    axes.add_patch(Rectangle((x, y), width, CELL, facecolor=colour, edgecolor=INK, linewidth=0.4))
    ink = "white" if colour == ONE else "black"
    axes.text(x + width / 2, y + CELL / 2, text, ha="center", va="center", fontsize=6.5, color=ink)


def arrow(axes: Axes, x: float, to: float) -> None:
    """Draw an arrow from one column to the next."""
    y = LANES * PITCH / 2 - 0.15
    axes.annotate("", (to, y), (x, y), arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.6})


def draw(path: Path) -> None:
    """Write the figure."""
    random_ = random.Random(5)
    figure = Figure(figsize=(11, 3.9), layout="constrained")
    axes = figure.add_subplot()
    axes.axis("off")
    axes.set(xlim=(-1.5, OUTPUT + 7.7), ylim=(-2.1, LANES * PITCH + 1.2))
    for number in range(LANES):
        y = (LANES - 1 - number) * PITCH
        bits, read, fs, differences = lane(random_)
        axes.text(-0.3, y + CELL / 2, f"tile {number}", ha="right", va="center", fontsize=7.5)
        for i, (bit, colour) in enumerate(bits):
            cell(axes, i * CELL, y, CELL, colour, bit)
        axes.plot([read * CELL] * 2, [y - 0.1, y + CELL + 0.1], color="#c0392b", linewidth=2)
        word = [bit for bit, _ in bits[read:]]
        cell(axes, VECTOR, y, 5.6, REST, "".join(word[:9]) + "…")
        zeros = word.index("1")
        cell(axes, VECTOR + 5.6, y, 2.2, ZEROS, f"{zeros} + {1 + fs}")
        pixels, last = [], 100 + random_.randrange(100)
        for i, difference in enumerate(differences):
            last += difference
            pixels.append(last)
            cell(axes, STAGE + 1.5 * i, y, 1.5, "#d9ecd9", str(last))
        for i in range(6):
            done = i < CODES
            text = str(pixels[i]) if done else ""
            cell(axes, OUTPUT + 1.2 * i, y, 1.2, "#d9ecd9" if done else REST, text)
    top = LANES * PITCH + 0.1
    for x, text in (
        (BITS * CELL / 2, "streams, each at a bit of its own"),
        (VECTOR + 3.9, "words and lengths\nof the codes: a vector"),
        (STAGE + 3, "four pixels\nof each lane"),
        (OUTPUT + 3.6, "rows of the output"),
    ):
        axes.text(x, top, text, ha="center", va="bottom", fontsize=8.5, color=INK)
    arrow(axes, BITS * CELL + 0.3, VECTOR - 0.3)
    arrow(axes, VECTOR + 8.1, STAGE - 0.3)
    arrow(axes, STAGE + 6.3, OUTPUT - 0.3)
    for i, (colour, text) in enumerate(
        (
            (READ, "read before"),
            (ZEROS, "zeros: the high part of a value"),
            (ONE, "the one that ends them"),
            (LOW, "low bits, fs of them"),
            (REST, "not read yet"),
        )
    ):
        x = 7.6 * i + (2.2 if i > 1 else 0) + (1.2 if i > 2 else 0)
        cell(axes, x, -1.7, CELL, colour, "")
        axes.text(x + 0.8, -1.45, text, va="center", fontsize=7.5)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


if __name__ == "__main__":
    draw(Path(__file__).parent / "_generated" / "lanes.svg")
