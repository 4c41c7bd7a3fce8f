"""Open a file with saved pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.store.read_options import ReadOptions

__all__ = ["open_saved"]


def open_saved(path: str, form: str, options: ReadOptions) -> Dataset | TiledDataset:
    """Open a file of a form, with options that were checked.

    Raises
    ------
    DatasetError
        It is not what its name says, or an option is about frames: pixels are in the file.
    """
    if options.frames is not None or options.missing != "raise" or options.verify:
        raise DatasetError(
            f"{path}: has its pixels in itself: frames=, missing= and verify= are for datasets "
            "whose pixels are in frames"
        )
    if form == "fits":
        from dkist_virtual.dataset.save.files.fits_opened import open_fits

        return open_fits(path, options)
    if form == "netcdf":
        from dkist_virtual.dataset.save.files.netcdf_file import open_netcdf

        return open_netcdf(path, options)
    from dkist_virtual.dataset.save.files.asdf_cube import open_asdf_cube

    return open_asdf_cube(path, options)
