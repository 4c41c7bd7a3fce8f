"""The house: which room may import which, held against every import in the package.

The table is DESIGN's: a room may import any room above it, and within a row the rooms to its
left. ``docs/explanation/house`` says which rooms joined the table since, and why. Imports inside
functions and under ``if TYPE_CHECKING`` count: a circle that is merely late is still a circle.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dkist_virtual

PACKAGE = "dkist_virtual"

ROOMS = (
    "printable",
    "errors",
    "forks",
    "keywords",
    "locations",
    "text",
    "asdf_blocks",
    "trust",
    "datetimes",
    "cards",
    "layouts",
    "compression",
    "fits",
    "kernels",
    "checksum",
    "rice",
    "hcompress",
    "plio",
    "table",
    "scaling",
    "algorithms",
    "cores",
    "memory",
    "answers",
    "local_file",
    "streams",
    "tiles",
    "window",
    "codec",
    "selection",
    "world",
    "times",
    "points",
    "crop",
    "references",
    "shards",
    "header_notes",
    "header_table",
    "arrow",
    "headers",
    "tree",
    "asdf_arrays",
    "description",
    "dkist_loader",
    "source",
    "block_cache",
    "web",
    "remote",
    "fetch",
    "sessions",
    "places",
    "read_options",
    "asdf_file",
    "looks",
    "scan",
    "scanned",
    "frame_check",
    "read_only",
    "frame_reader",
    "store",
    "handle",
    "leaves",
    "arrays",
    "computed",
    "attributes",
    "journal",
    "locks",
    "building",
    "known",
    "assembly",
    "convert",
    "update",
    "file_check",
    "document_check",
    "parts",
    "download",
    "catalogue",
    "globus",
    "files",
    "planes",
    "grid",
    "picture",
    "ticks",
    "figure_text",
    "colorbar",
    "sliders",
    "stepping",
    "lines",
    "plot",
    "mosaic_plot",
    "overview",
    "summary",
    "provenance",
    "combined_headers",
    "lineage",
    "verdict",
    "opened",
    "regrid",
    "own_data",
    "arithmetic",
    "carried",
    "export",
    "skymap",
    "dataset",
    "mosaic",
    "results",
    "search",
    "cache",
    "open",
    "compare",
    "verify",
    # The front door shows the rooms above it. Only what is written as a user would write it
    # may go through it: a room that did would depend on everything.
    "__init__",
    "demo",
    "demo_mosaic",
    "demo_server",
    "demo_data_center",
    "cli_options",
    "cli_search",
    "cli",
    "__main__",
)

# No room: imports none, and is open to all.
VERSION = "_version"

LEVEL = {VERSION: -1} | {room: level for level, room in enumerate(ROOMS)}


def imports(source: str, package: str = PACKAGE) -> Iterator[tuple[int, str]]:
    """Yield the line and the room of each import of this package in a module's source.

    ``from dkist_virtual import x`` is the room ``x`` if there is one of that name, and the front
    door, ``__init__``, if not.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root, _, room = alias.name.partition(".")
                if root == package:
                    yield node.lineno, room.partition(".")[0] or "__init__"
        elif isinstance(node, ast.ImportFrom):
            # The package is flat, so any relative import starts at the package itself.
            module = f"{package}.{node.module or ''}".rstrip(".") if node.level else node.module
            root, _, room = str(module).partition(".")
            if root != package:
                continue
            if room:
                yield node.lineno, room.partition(".")[0]
            else:
                for alias in node.names:
                    yield node.lineno, alias.name if alias.name in LEVEL else "__init__"
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            # importlib.import_module("dkist_virtual.x") and __import__ are imports as well.
            called = ast.unparse(node.func).rpartition(".")[2]
            root, _, room = str(node.args[0].value).partition(".")
            if called in {"import_module", "__import__"} and root in {package, ""}:
                yield node.lineno, room.partition(".")[0] or "__init__"


def upward(room: str, source: str) -> list[str]:
    """Say for each import that the table forbids which line it is on and what it breaks."""
    if room not in LEVEL:
        return [f"{room}.py: is no room in the table: say what it rests on and what rests on it"]
    found = []
    for line, target in imports(source):
        if target not in LEVEL:
            found.append(f"{room}.py:{line}: imports {target}, which is no room in the table")
        elif LEVEL[target] >= LEVEL[room]:
            found.append(f"{room}.py:{line}: imports {target}, which does not come before it")
    return found


def modules() -> list[Path]:
    return sorted(Path(dkist_virtual.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_module_imports_only_what_the_table_allows(path: Path) -> None:
    assert upward(path.stem, path.read_text(encoding="utf-8")) == []


def test_every_module_is_in_the_table_and_the_package_is_flat() -> None:
    root = Path(dkist_virtual.__file__).parent
    assert {path.parent for path in modules()} == {root}
    assert {path.stem for path in modules()} <= set(LEVEL)


UPWARD = (
    "import dkist_virtual.dataset",
    "import numpy, dkist_virtual.dataset as d",
    "from dkist_virtual.dataset import Dataset",
    "from dkist_virtual import dataset",
    "from dkist_virtual import dataset as d",
    "from .dataset import Dataset",
    "from . import dataset",
    "def f():\n    from dkist_virtual.dataset import Dataset",
    "async def f():\n    from .dataset import Dataset",
    "if TYPE_CHECKING:\n    from dkist_virtual.dataset import Dataset",
    "try:\n    import dkist_virtual.dataset\nexcept ImportError:\n    pass",
    "class A:\n    def f(self):\n        import dkist_virtual.dataset",
    "from dkist_virtual.tiles import decode",  # a room is not above itself
    "from dkist_virtual import Dataset",  # the front door holds everything
    "import dkist_virtual",
    "from dkist_virtual.no_such_room import x",
    "importlib.import_module('dkist_virtual.dataset')",
    "import_module('.dataset', 'dkist_virtual')",
)


@pytest.mark.parametrize("source", UPWARD)
def test_an_arrow_drawn_upward_is_found(source: str) -> None:
    assert len(upward("tiles", source)) == 1


ALLOWED = (
    "from dkist_virtual.errors import FrameError",
    "from dkist_virtual import fits, rice",
    "from dkist_virtual._version import __version__",
    "def f():\n    from .fits import Layout",
    "import dkist\nimport dkist.dataset\nfrom dkist import dataset",
    "from dkist_virtual_other import dataset",
    "s = 'from dkist_virtual import dataset'",
)


@pytest.mark.parametrize("source", ALLOWED)
def test_what_the_table_allows_is_not_found(source: str) -> None:
    assert upward("tiles", source) == []


def test_the_front_door_shows_only_what_is_above_it() -> None:
    assert upward("__init__", "def f():\n    from dkist_virtual.verify import verify") == []
    assert len(upward("__init__", "def f():\n    from dkist_virtual.cli import main")) == 1
    assert upward("demo", "import dkist_virtual as dv") == []
    assert len(upward("verify", "import dkist_virtual as dv")) == 1


def test_within_a_row_left_comes_before_right() -> None:
    assert upward("mosaic", "from dkist_virtual.dataset import Dataset") == []
    assert len(upward("dataset", "from dkist_virtual.mosaic import TiledDataset")) == 1
