"""Give VirtualiZarr the frames of a dataset, or of any FITS files, as virtual arrays.

>>> from dkist_virtual.publish.virtualizarr import DKISTParser, FITSParser

- `dkist_parser`: parse a store or an ASDF
- `manifest`: make a virtual array of references
"""

from __future__ import annotations

from dkist_virtual.publish.virtualizarr.dkist_parser import DKISTParser

__all__ = ["DKISTParser"]
