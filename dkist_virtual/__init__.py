"""A DKIST dataset as a virtual Zarr store: FITS frames read where they are.

>>> import dkist_virtual as dv
>>> dv.convert("VISP_L1_..._metadata.asdf", "BKEWK.virtual")  # doctest: +SKIP
>>> ds = dv.open_dataset("BKEWK.virtual")  # doctest: +SKIP
>>> ds[0, 50].data.compute()  # doctest: +SKIP

Names are imported when they are first used: importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dkist_virtual import _moved, errors
from dkist_virtual._version import __version__

if TYPE_CHECKING:
    from dkist_virtual.conversion.convert import Conversion, convert
    from dkist_virtual.conversion.fits_files.references import FITSReferences
    from dkist_virtual.conversion.fits_files.survey import fits_references
    from dkist_virtual.conversion.update import update
    from dkist_virtual.datacenter.search import search
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.level2.inversion import Inversion, Profiles
    from dkist_virtual.dataset.load import load_dataset
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.dataset.open import open_dataset, open_zarr
    from dkist_virtual.dataset.paths.context import plot_context
    from dkist_virtual.dataset.pointing.stores import shift_store
    from dkist_virtual.dataset.save.asdf_file import save_dataset
    from dkist_virtual.publish.archive.archive import convert_archive
    from dkist_virtual.publish.archive.report import ArchiveReport
    from dkist_virtual.publish.catalogue.write import Catalogue, write_catalogue
    from dkist_virtual.publish.icechunk.to_icechunk import IcechunkCommit, to_icechunk
    from dkist_virtual.publish.page.write import WrittenPage, write_page
    from dkist_virtual.publish.virtualizarr.dkist_parser import DKISTParser
    from dkist_virtual.publish.virtualizarr.fits_parser import FITSParser
    from dkist_virtual.science.spectra.lines import lines
    from dkist_virtual.store.format.verify_json import Verification
    from dkist_virtual.verification.verify import verify

__all__ = [
    "ArchiveReport",
    "Catalogue",
    "Conversion",
    "DKISTParser",
    "Dataset",
    "FITSParser",
    "FITSReferences",
    "IcechunkCommit",
    "Inversion",
    "Profiles",
    "TiledDataset",
    "Verification",
    "WrittenPage",
    "__version__",
    "convert",
    "convert_archive",
    "errors",
    "fits_references",
    "lines",
    "load_dataset",
    "open_dataset",
    "open_zarr",
    "plot_context",
    "save_dataset",
    "search",
    "shift_store",
    "to_icechunk",
    "update",
    "verify",
    "write_catalogue",
    "write_page",
]

_HOMES = {
    "ArchiveReport": ("publish.archive.report", "ArchiveReport"),
    "Conversion": ("conversion.convert", "Conversion"),
    "convert": ("conversion.convert", "convert"),
    "convert_archive": ("publish.archive.archive", "convert_archive"),
    "FITSReferences": ("conversion.fits_files.references", "FITSReferences"),
    "fits_references": ("conversion.fits_files.survey", "fits_references"),
    "Dataset": ("dataset.dataset", "Dataset"),
    "DKISTParser": ("publish.virtualizarr.dkist_parser", "DKISTParser"),
    "FITSParser": ("publish.virtualizarr.fits_parser", "FITSParser"),
    "Inversion": ("dataset.level2.inversion", "Inversion"),
    "Profiles": ("dataset.level2.inversion", "Profiles"),
    "TiledDataset": ("dataset.mosaic", "TiledDataset"),
    "open_dataset": ("dataset.open", "open_dataset"),
    "load_dataset": ("dataset.load", "load_dataset"),
    "lines": ("science.spectra.lines", "lines"),
    "open_zarr": ("dataset.open", "open_zarr"),
    "plot_context": ("dataset.paths.context", "plot_context"),
    "save_dataset": ("dataset.save.asdf_file", "save_dataset"),
    "search": ("datacenter.search", "search"),
    "shift_store": ("dataset.pointing.stores", "shift_store"),
    "IcechunkCommit": ("publish.icechunk.to_icechunk", "IcechunkCommit"),
    "to_icechunk": ("publish.icechunk.to_icechunk", "to_icechunk"),
    "update": ("conversion.update", "update"),
    "Verification": ("store.format.verify_json", "Verification"),
    "verify": ("verification.verify", "verify"),
    "Catalogue": ("publish.catalogue.write", "Catalogue"),
    "WrittenPage": ("publish.page.write", "WrittenPage"),
    "write_page": ("publish.page.write", "write_page"),
    "write_catalogue": ("publish.catalogue.write", "write_catalogue"),
}

_DKIST = ("conf", "config", "log", "system_info", "write_default_config")
"""What a notebook that imports this package as ``dkist`` may look for, and is not here."""


def __getattr__(name: str) -> Any:
    if name == "net":  # of dkist, for notebooks that have imported this package as dkist
        return import_module("dkist.net")
    if name not in _HOMES:
        hint = f": it is dkist's own, import dkist; dkist.{name}" if name in _DKIST else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    room, attribute = _HOMES[name]
    value = getattr(import_module(f"{__name__}.{room}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


_moved.install()
