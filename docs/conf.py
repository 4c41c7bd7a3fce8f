"""Sphinx configuration: MyST pages whose code runs when they are built."""

from __future__ import annotations

from dkist_virtual._version import __version__

project = "dkist_virtual"
author = "The dkist_virtual developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
# Parts of pages, drawn in with {include}; and what a build leaves behind.
exclude_patterns = ["_build", "jupyter_execute", "Thumbs.db", ".DS_Store"]

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

html_theme = "pydata_sphinx_theme"
html_title = "dkist_virtual"
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
copybutton_prompt_text = r">>> |\$ "
copybutton_prompt_is_regexp = True
