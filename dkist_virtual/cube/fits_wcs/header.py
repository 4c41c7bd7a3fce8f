"""Hold a WCS in the words of FITS: cards of an image, and lookup tables."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

if TYPE_CHECKING:
    from dkist_virtual.cube.world_axes import Values

__all__ = ["FITSWCS", "TABLE_NAME", "Table", "read_wcs"]

TABLE_NAME: Final = "WCS-TABLE"
"""The EXTNAME of lookup tables; EXTVER counts them."""


@dataclass(frozen=True, eq=False)
class Table:
    """A lookup table of coordinates that change together (FITS WCS paper III, section 6).

    Parameters
    ----------
    version : int
        Its EXTVER.
    coordinates : array, (K_M, ..., K_1, M)
        Of M coordinates, at the pixels of M index vectors.
    indices : tuple of array, (K_m,)
        Pixel numbers, from 1.
    """

    version: int
    coordinates: Values
    indices: tuple[Values, ...]

    def __post_init__(self) -> None:
        expected = (*(len(index) for index in self.indices[::-1]), len(self.indices))
        if self.coordinates.shape != expected:
            raise ValueError(
                f"coordinates have shape {self.coordinates.shape}: expected {expected}"
            )

    def hdu(self) -> fits.BinTableHDU:
        """Make the binary table, of one row."""
        sizes = ",".join(str(n) for n in self.coordinates.shape[::-1])
        columns = [
            fits.Column(
                "COORDS", f"{self.coordinates.size}D", dim=f"({sizes})",
                array=self.coordinates[None],
            )
        ]  # fmt: skip
        for number, index in enumerate(self.indices, 1):
            columns.append(
                fits.Column(f"INDEX{number}", f"{len(index)}D", dim=f"({len(index)})",
                            array=index[None])
            )  # fmt: skip
        hdu = fits.BinTableHDU.from_columns(columns, name=TABLE_NAME, ver=self.version)
        hdu.header["EXTLEVEL"] = 1
        return hdu


@dataclass(frozen=True, eq=False)
class FITSWCS:
    """A WCS in the words of FITS.

    Parameters
    ----------
    cards : tuple of (keyword, value, comment)
        Of the image.
    tables : tuple of Table
        That the cards refer to.
    n_axes : int
        WCSAXES: more than the image has axes, where a coordinate needs an axis of its own.
    away : float
        The largest distance found between header and WCS, in pixels, as astropy reads the header.
    forms : dict of str to str
        How each coordinate is expressed, by its code: tangent plane, evenly spaced, lookup table
        or one value.
    unsaid : tuple of str
        For each coordinate that FITS cannot express, a sentence.
    notes : tuple of str
        What a reader has to know, in sentences.
    """

    cards: tuple[tuple[str, Any, str], ...]
    tables: tuple[Table, ...]
    n_axes: int
    away: float
    forms: dict[str, str] = field(default_factory=dict)
    unsaid: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def numbered(self, after: int) -> FITSWCS:
        """Return the same with lookup tables that are counted from another number."""
        if not after or not self.tables:
            return self
        versions = re.compile(r"PV\d+_1")
        return replace(
            self,
            cards=tuple(
                (key, value + after if versions.fullmatch(key) else value, comment)
                for key, value, comment in self.cards
            ),
            tables=tuple(replace(table, version=table.version + after) for table in self.tables),
        )

    def header(self) -> fits.Header:
        """Return the cards as a header."""
        header = fits.Header()
        for keyword, value, comment in self.cards:
            header[keyword] = (value, comment)
        return header

    def hdus(self) -> list[fits.BinTableHDU]:
        """Make the HDUs of the tables."""
        return [table.hdu() for table in self.tables]

    def wcs(self) -> WCS:
        """Return what astropy reads in cards and tables."""
        return read_wcs(self.header(), self.hdus())


def read_wcs(header: fits.Header, tables: Sequence[fits.BinTableHDU]) -> WCS:
    """Read a WCS from the header of an image and the tables that it refers to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)  # that it set MJD-OBS from DATE-OBS
        file = fits.HDUList([fits.PrimaryHDU(header=header), *tables])
        return WCS(header, fobj=file)
