"""Draw the wings of the package and the imports between them, from the code itself."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PACKAGE = "dkist_virtual"
NAMES = f"{PACKAGE}/__init__"
BASE = "base modules"
INK, PAPER = "#2c5f8a", "#f4f6f8"


def wing_of(package: Path, path: Path) -> str:
    """Name the box of a module: its folder, the public names, or the base modules."""
    first = path.relative_to(package).parts[0]
    if first == "__init__.py":
        return NAMES
    return BASE if first.endswith(".py") else first


def imports(package: Path) -> Counter[tuple[str, str]]:
    """Count the imports from each wing of each other wing, those inside functions too."""
    files = sorted(package.rglob("*.py"))
    boxes = {path.relative_to(package).parts[0].removesuffix(".py"): wing_of(package, path)
             for path in files}  # fmt: skip
    counted: Counter[tuple[str, str]] = Counter()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                top, _, rest = name.partition(".")
                if top == PACKAGE:
                    counted[wing_of(package, path), boxes.get(rest.partition(".")[0], NAMES)] += 1
    # The base modules are open to every wing, and say nothing about who imports whom.
    return Counter(
        {(a, b): n for (a, b), n in counted.items() if a != b and a != BASE and b != BASE}
    )


def floors(arrows: Counter[tuple[str, str]]) -> dict[str, int]:
    """Number the floor of each wing: 0 imports nothing, n imports from below n only."""
    below = {wing: {b for a, b in arrows if a == wing} for pair in arrows for wing in pair}

    @cache
    def floor(wing: str) -> int:
        return 1 + max((floor(other) for other in below[wing]), default=-1)

    return {wing: floor(wing) for wing in below}


def purpose(package: Path, wing: str) -> str:
    """Give the first sentence of a wing's docstring, in lines that fit a box."""
    if wing == NAMES:
        return "the public names"
    tree = ast.parse((package / wing / "__init__.py").read_text(encoding="utf-8"))
    sentence = (ast.get_docstring(tree) or "").split("\n")[0].replace("`", "").rstrip(".")
    return "\n".join(wrap(sentence, 34))


def draw_house(axes: Axes, package: Path, arrows: Counter[tuple[str, str]]) -> None:
    """Draw a box for each wing on its floor; arrows show the imports that no other way implies."""
    floor = floors(arrows)
    top = max(floor.values())
    axes.set(xlim=(0, 6), ylim=(-0.45, top + 0.45))
    axes.axis("off")
    rows = [sorted(wing for wing in floor if floor[wing] == n) for n in range(top + 1)]
    at = {
        wing: (3 + 3 * (place - (len(row) - 1) / 2), float(n))
        for n, row in enumerate(rows)
        for place, wing in enumerate(row)
    }

    def leads(source: str, target: str) -> bool:
        return any(b == target or leads(b, target) for a, b in arrows if a == source)

    for source, target in arrows:
        if not any(leads(b, target) for a, b in arrows if a == source):
            (x, y), (to_x, to_y) = at[source], at[target]
            axes.annotate(
                "", (to_x, to_y + 0.38), (x, y - 0.38),
                arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.4},
            )  # fmt: skip
    for wing, (x, y) in at.items():
        box = FancyBboxPatch((x - 1.35, y - 0.33), 2.7, 0.66, boxstyle="round,pad=0.03")
        box.set(facecolor=PAPER, edgecolor=INK)
        axes.add_patch(box)
        name = wing.removesuffix("/__init__")
        axes.text(x, y + 0.2, name, ha="center", va="center", fontsize=10.5, weight="bold")
        lines = purpose(package, wing)
        axes.text(x, y + 0.06, lines, ha="center", va="top", fontsize=8, linespacing=1.1)
    base = sorted(p.stem for p in package.glob("*.py") if not p.stem.startswith("_"))
    text = "open to all\nwings but fits:\n" + "\n".join(base)
    axes.text(4.6, 0.5, text, ha="left", va="center", fontsize=8, color="#555555")


def draw_table(axes: Axes, arrows: Counter[tuple[str, str]]) -> None:
    """Draw how often each wing imports each other one: all of it is on one side of the diagonal."""
    floor = floors(arrows)
    wings = sorted(floor, key=lambda wing: (-floor[wing], wing))
    n = len(wings)
    axes.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5), aspect="equal")
    names = [wing.removesuffix("/__init__") for wing in wings]
    axes.set_xticks(range(n), names, rotation=60, ha="left", rotation_mode="anchor", fontsize=9)
    axes.set_yticks(range(n), names, fontsize=9)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xticks([i - 0.5 for i in range(1, n)], minor=True)
    axes.set_yticks([i - 0.5 for i in range(1, n)], minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    for i in range(n):
        axes.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, facecolor="#eeeeee"))
    for (source, target), count in arrows.items():
        axes.text(
            wings.index(target), wings.index(source), str(count), ha="center", va="center",
            fontsize=9, color=INK,
        )  # fmt: skip
    axes.set_title("How often a wing (row) imports another (column)", fontsize=10, y=-0.09)


def draw(package: Path, picture: Path) -> None:
    """Write the picture: the house at the left, all imports as a table at the right."""
    arrows = imports(package)
    figure = Figure(figsize=(12, 9.5), facecolor="white")
    draw_house(figure.add_axes((0.0, 0.005, 0.5, 0.99)), package, arrows)
    draw_table(figure.add_axes((0.59, 0.22, 0.4, 0.56)), arrows)
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture)


if __name__ == "__main__":
    here = Path(__file__).parent
    draw(here.parent / PACKAGE, here / "_generated" / "wings.svg")
