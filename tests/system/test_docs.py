"""The reference names everything that a user holds; links lead somewhere; news can be built."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

import dkist_virtual as dv
from dkist_virtual._moved import MOVED
from dkist_virtual.datacenter import globus
from dkist_virtual.dataset import files
from dkist_virtual.dataset.polarimetry import polarimetry
from dkist_virtual.dataset.seeing import of_frames
from dkist_virtual.dataset.spectral import spectral
from dkist_virtual.io.download import download
from dkist_virtual.plot import image_plot as plot
from dkist_virtual.plot import line_plot as lines
from dkist_virtual.plot import mosaic_plot
from dkist_virtual.science.stitching import record as stitched
from dkist_virtual.verification import against_astropy as compare
from dkist_virtual.verification import frame as frame_check

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")

HELD = (
    dv.ArchiveReport,
    dv.Conversion,
    dv.Dataset,
    dv.TiledDataset,
    dv.Verification,
    compare.Comparison,
    download.Downloaded,
    files.Files,
    frame_check.Finding,
    of_frames.FrameSeeing,
    globus.Transfer,
    lines.LinePlot,
    mosaic_plot.MosaicPlot,
    plot.ImagePlot,
    polarimetry.Polarimetry,
    spectral.Spectral,
    stitched.Pair,
    stitched.Stitching,
)


def directive(held: type[Any]) -> str:
    """The lines with which the page draws a class in, empty where it does not."""
    found = re.search(rf"^.. autoclass:: (\S+\.)?{held.__name__}\n(   :.*\n)*", PAGE, re.MULTILINE)
    return found[0] if found else ""


@pytest.mark.parametrize("held", HELD, ids=lambda held: held.__name__)
def test_every_public_name_is_on_the_page(held: type[Any]) -> None:
    lines = directive(held)
    assert lines, f"{held} is not on the page"
    for name in dir(held):
        if name.startswith("_"):
            continue
        home = next(each for each in held.__mro__ if name in vars(each))
        drawn_in = ":members:" in lines and home.__module__.startswith("dkist_virtual")
        if home is not held:
            drawn_in = drawn_in and ":inherited-members:" in lines
        # Attributes of dataclasses are described in the docstring of their class.
        assert drawn_in or f"`{name}`" in PAGE or name in (held.__doc__ or ""), name


@pytest.mark.parametrize("name", sorted(set(dv.__all__) - {"__version__", "errors"}))
def test_every_name_of_the_package_is_on_the_page(name: str) -> None:
    assert re.search(rf"(autofunction|autoclass):: {name}\n|`{name}`", PAGE)


@pytest.mark.parametrize("page", ["README", "CONTRIBUTING", "SECURITY", "changes/README"])
def test_links_of_pages_outside_the_documentation(page: str) -> None:
    path = ROOT / f"{page}.md"
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    assert links or page == "changes/README"
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_news_fragments_make_an_entry() -> None:
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9"]
    made = subprocess.run([*command, "--dir", ROOT], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert "## 9.9 (" in made.stdout
    for fragment in (ROOT / "changes").glob("*.*.md"):
        assert fragment.read_text(encoding="utf-8").split("\n")[0] in made.stdout, fragment


def test_changes_name_the_new_place_of_every_former_path() -> None:
    pages = [ROOT / "CHANGELOG.md", *(ROOT / "changes").glob("*.removal.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    for former, new in MOVED.items():
        assert f"| `dkist_virtual.{former}` | `dkist_virtual.{new}` |" in text


def test_the_architecture_page_names_what_exists() -> None:
    """A name with a slash is a path; one without, in a wing's paragraph, is in that wing."""
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    package = Path(dv.__file__).parent
    files = [path.relative_to(package).with_suffix("") for path in package.rglob("*.py")]
    paths = {str(each).removesuffix("/__init__") for each in files}
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+)`", text))
    assert named - paths == set()
    for wing, paragraph in re.findall(r"^`([a-z]+)`\n: ((?:.+\n)+)", text, re.MULTILINE):
        rooms = {path.rpartition("/")[2] for path in paths if path.startswith(wing)}
        assert rooms, wing
        assert set(re.findall(r"`([a-z_]+)`", paragraph)) - rooms - paths == set(), wing


def test_inventories_name_what_exists() -> None:
    projects = runpy.run_path(str(ROOT / "docs" / "inventories.py"))["PROJECTS"]
    for _, pages in projects.values():
        for entry in " ".join(pages.values()).split():
            assert resolve_name(entry.partition(":")[2])


SCRIPTS = sorted(
    script
    for folder in ("benchmarks", "docs", "examples", "fuzz")
    for script in (ROOT / folder).glob("*.py")
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_scripts_import_names_that_exist(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dkist_virtual"):
            module = import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name) or import_module(f"{node.module}.{alias.name}")
