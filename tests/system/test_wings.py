"""Wings import only the wings below them; ``docs/explanation/architecture`` says why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dkist_virtual

ROOT = Path(dkist_virtual.__file__).parent

# What a wing may import beside itself: a name stands for itself and for all that it may import.
# `fits` comes first: it imports nothing else of the package.
BASE = {"errors", "protocols", "text", "times"}
MAY = {
    "fits": set(),
    "_version": set(),
    "errors": {"fits"},
    "protocols": set(),
    "text": set(),
    "times": {"errors"},
    "io": {*BASE},
    "store": {"io", "_version"},
    "cube": {"store"},
    # A store keeps what an overview says of the axes, which `cube` describes.
    "conversion": {"cube"},
    "plot": {"cube"},
    # Is handed datasets, as `science` is; knows them by protocols.
    "view": {"plot"},
    # Is handed datasets, and knows them by protocols.
    "science": {"cube"},
    "datacenter": {"conversion"},
    "dataset": {"conversion", "cube", "plot", "view", "datacenter", "science"},
    "verification": {"dataset"},
    # Verifies some frames of each store that it makes.
    "publish": {"verification"},
    # The names of the package, which are imported when they are first used.
    "__init__": {"publish", "_moved"},
    "_moved": {"__init__"},
    "demo": {"__init__"},
    "cli": {"demo"},
    "__main__": {"cli"},
}


def allowed(wing: str) -> set[str]:
    found = {wing}
    for other in MAY[wing] - found:
        found |= {other} if other == "__init__" and wing == "_moved" else allowed(other)
    return found


def imports(source: str) -> Iterator[tuple[int, str]]:
    """The line and the wing of every import of the package, those inside functions too."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "ruff bans relative imports"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "dkist_virtual":
                wing = rest.partition(".")[0]
                yield node.lineno, wing if wing in MAY else "__init__"


def wing_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("wing", sorted({wing_of(path) for path in ROOT.rglob("*.py")}))
def test_a_wing_imports_only_what_it_may(wing: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {target}"
        for path in sorted(ROOT.rglob("*.py"))
        if wing_of(path) == wing
        for line, target in imports(path.read_text(encoding="utf-8"))
        if target not in allowed(wing)
    ]
    assert found == []


def test_modules_of_a_wing_form_no_circle() -> None:
    files = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in ROOT.rglob("*.py")}
    arrows = {name: set() for name in files}
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "dkist_virtual."
            ):
                module = node.module.removeprefix("dkist_virtual.")
                targets = {module, *(f"{module}.{alias.name}" for alias in node.names)}
                arrows[name] |= targets & set(files) - {name}
    seen: dict[str, bool] = {}  # False while what it imports is being walked

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert seen.get(name) is not False, " -> ".join((*way, name))
        if name not in seen:
            seen[name] = False
            for target in sorted(arrows[name]):
                walk(target, (*way, name))
            seen[name] = True

    for name in sorted(files):
        walk(name, ())


@pytest.mark.parametrize(
    ("wing", "source"),
    [
        ("fits", "from dkist_virtual.errors import FrameError"),
        ("io", "def f():\n    from dkist_virtual.store.handle import StoreHandle"),
        ("cube", "import dkist_virtual.conversion.scan"),
        ("plot", "from dkist_virtual import Dataset"),
        ("store", "if TYPE_CHECKING:\n    from dkist_virtual import dataset"),
    ],
)
def test_an_arrow_upward_is_found(wing: str, source: str) -> None:
    assert [target for _, target in imports(source) if target not in allowed(wing)]


def test_folders_and_modules_stay_small() -> None:
    for directory in {path.parent for path in ROOT.rglob("*.py")}:
        modules = [path for path in directory.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= 13, directory
    for path in ROOT.rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, path
