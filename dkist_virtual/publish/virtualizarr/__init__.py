"""Give VirtualiZarr the frames of a dataset, or of any FITS files, as virtual arrays.

>>> from dkist_virtual.publish.virtualizarr import DKISTParser, FITSParser

- `dkist_parser`: parse a store or an ASDF
- `fits_parser`: parse the images of any FITS file
- `manifest`: make a virtual array of references
- `registry_fetcher`: read bytes with the object stores of a registry
"""

from __future__ import annotations

from dkist_virtual.publish.virtualizarr.dkist_parser import DKISTParser
from dkist_virtual.publish.virtualizarr.fits_parser import FITSParser

__all__ = ["DKISTParser", "FITSParser"]
