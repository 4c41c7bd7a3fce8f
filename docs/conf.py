"""Sphinx configuration: MyST pages whose code runs when they are built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dkist_virtual._version import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for the modules below

import draw_lanes  # noqa: E402
import draw_wings  # noqa: E402
import inventories  # noqa: E402

project = "dkist_virtual"
author = "The dkist_virtual developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
# The picture on the architecture page shows the code of this build.
draw_wings.draw(HERE.parent / "dkist_virtual", HERE / "_generated" / "wings.svg")
draw_lanes.draw(HERE / "_generated" / "lanes.svg")

# The news fragments, as the next release will show them, without its heading.
draft = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", version, "--dir"]
news = subprocess.run([*draft, HERE.parent], check=True, capture_output=True, text=True).stdout
(HERE / "_generated" / "next_version.md").write_text(news.partition(")\n")[2], encoding="utf-8")

intersphinx_mapping = inventories.mapping(HERE / "_generated")
intersphinx_timeout = 5  # seconds, after which links are made without that project's answer

# Parts of pages, drawn in with {include}; and what a build leaves behind.
exclude_patterns = [
    "_build", "development", "_generated", "jupyter_execute", "Thumbs.db", ".DS_Store",
]  # fmt: skip

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

# Every block runs in every build. A cache would hold on to output of an older dkist_virtual: it
# looks at the page, not at the package.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autosummary_generate = True
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say more than the annotations: shape, unit, order
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = True
# Types as docstrings name them.
napoleon_type_aliases = {
    "Quantity": "~astropy.units.Quantity",
    "SkyCoord": "~astropy.coordinates.SkyCoord",
    "Time": "~astropy.time.Time",
    "TimeRange": "~sunpy.time.TimeRange",
    "Unit": "~astropy.units.Unit",
    "NDData": "~astropy.nddata.NDData",
    "NDUncertainty": "~astropy.nddata.NDUncertainty",
    "WCS": "~astropy.wcs.WCS",
    "ExtraCoords": "~ndcube.ExtraCoords",
    "datetime": "~datetime.datetime",
}

html_theme = "pydata_sphinx_theme"
html_title = "dkist_virtual"
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
copybutton_prompt_text = r">>> |\$ "
copybutton_prompt_is_regexp = True
