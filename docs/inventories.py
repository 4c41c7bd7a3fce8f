"""Write small inventories of other projects, for builds without a network.

Sphinx asks each project for its inventory first, and takes these where it does not answer: a build
in a closed network gives the same pages, with links for the names below.
"""

from __future__ import annotations

import zlib
from pathlib import Path

# For each project its address, where the page of a name is, and the names that these pages use.
# `{}` is the name; the anchor on the page is the name too.
PROJECTS = {
    "python": (
        "https://docs.python.org/3/",
        {
            "library/pathlib.html": "class:pathlib.Path",
            "library/datetime.html": "class:datetime.datetime",
        },
    ),
    "numpy": (
        "https://numpy.org/doc/stable/",
        {"reference/generated/{}.html": "class:numpy.ndarray class:numpy.dtype"},
    ),
    "dask": (
        "https://docs.dask.org/en/stable/",
        {"generated/{}.html": "class:dask.array.Array"},
    ),
    "distributed": (
        "https://distributed.dask.org/en/stable/",
        {"api.html": "class:distributed.Client"},
    ),
    "zarr": (
        "https://zarr.readthedocs.io/en/stable/",
        {"api/zarr/array/": "class:zarr.Array", "api/zarr/group/": "class:zarr.Group"},
    ),
    "xarray": (
        "https://docs.xarray.dev/en/stable/",
        {
            "generated/{}.html": "class:xarray.DataArray class:xarray.Dataset"
            " function:xarray.open_dataset"
        },
    ),
    "astropy": (
        "https://docs.astropy.org/en/stable/",
        {
            "api/{}.html": "class:astropy.units.Quantity class:astropy.units.Unit"
            " class:astropy.coordinates.SkyCoord class:astropy.time.Time class:astropy.wcs.WCS"
            " class:astropy.table.Table class:astropy.nddata.NDData"
            " class:astropy.nddata.NDUncertainty"
        },
    ),
    "ndcube": (
        "https://docs.sunpy.org/projects/ndcube/en/stable/",
        {"api/{}.html": "class:ndcube.NDCube class:ndcube.NDCubeSequence class:ndcube.ExtraCoords"},
    ),
    "sunpy": (
        "https://docs.sunpy.org/en/stable/",
        {
            "generated/api/{}.html": "class:sunpy.map.GenericMap class:sunpy.time.TimeRange"
            " class:sunpy.net.base_client.QueryResponseTable"
        },
    ),
    "gwcs": (
        "https://gwcs.readthedocs.io/en/latest/",
        {"api/{}.html": "class:gwcs.WCS"},
    ),
    "matplotlib": (
        "https://matplotlib.org/stable/",
        {
            "api/_as_gen/{}.html": "method:matplotlib.axes.Axes.plot",
            "api/figure_api.html": "class:matplotlib.figure.Figure",
        },
    ),
}


def names(project: str) -> dict[str, str]:
    """Give the names of a project that are linked without a network, each with its kind."""
    listed = " ".join(PROJECTS[project][1].values()).split()
    return {name: kind for kind, _, name in (entry.partition(":") for entry in listed)}


def inventory(project: str) -> bytes:
    """Make the inventory of a project, in version 2 of Sphinx's format."""
    lines = []
    for page, listed in PROJECTS[project][1].items():
        for kind, _, name in (entry.partition(":") for entry in listed.split()):
            lines.append(f"{name} py:{kind} 1 {page.format(name)}#$ -\n")
    head = (
        f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    return head.encode() + zlib.compress("".join(sorted(lines)).encode())


def mapping(directory: Path) -> dict[str, tuple[str, tuple[str | None, ...]]]:
    """Write all inventories into a directory, and give what `intersphinx_mapping` takes."""
    directory.mkdir(parents=True, exist_ok=True)
    found: dict[str, tuple[str, tuple[str | None, ...]]] = {}
    for project, (address, _) in PROJECTS.items():
        path = directory / f"{project}.inv"
        path.write_bytes(inventory(project))
        found[project] = (address, (None, str(path)))
    return found
