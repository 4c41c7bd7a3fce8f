"""Choose the form of a saved dataset by the name of its file, and check the form's options."""

from __future__ import annotations

import inspect
import os
import warnings
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FORMS", "Form", "form_of", "save"]


@dataclass(frozen=True, slots=True)
class Form:
    """A form in which a dataset can be saved.

    Parameters
    ----------
    suffix : str
        The end of its names.
    what : str
        What it is, for messages.
    home : str, optional
        The module and function that write it, below this folder: it takes the dataset and the
        place, `overwrite` and `progress`, and its options, which are its other keywords. None
        where the form is not there yet.
    """

    suffix: str
    what: str
    home: tuple[str, str] | None

    def writer(self) -> Callable[..., None]:
        """Import what writes this form."""
        if self.home is None:
            raise DatasetError(
                f"save to a name with {self.suffix}: this version does not write {self.what} yet. "
                f"It writes {_listed(form for form in FORMS if form.home is not None)}; "
                'ds.to_xarray().to_dataset(name="data") is written by xarray'
            )
        module, function = self.home
        writer: Callable[..., None] = getattr(
            import_module(f"dkist_virtual.dataset.save.{module}"), function
        )
        return writer


FORMS: Final = (
    Form(".virtual", "a store of references to the frames", ("store.write", "save_store")),
    Form(".zarr", "pixels as Zarr", ("cube.save_cube", "save_cube")),
    Form(".fits", "a FITS image", ("files.fits_file", "save_fits")),
    Form(".nc", "netCDF", ("files.netcdf_file", "save_netcdf")),
    Form(".asdf", "an ASDF: frames for dkist, or pixels", ("asdf_file", "save_asdf")),
)


def form_of(place: str | os.PathLike[str]) -> Form:
    """Find the form that a name says.

    Raises
    ------
    ValueError
        None of them.
    """
    suffix = PurePath(os.fspath(place)).suffix
    for form in FORMS:
        if form.suffix == suffix:
            return form
    raise ValueError(
        f"save to {os.fspath(place)}: the end of the name says how a dataset is saved: expected "
        f"{_listed(form for form in FORMS if form.home is not None)}, "
        f"found {suffix or 'none of them'}"
    )


def save(
    dataset: object,
    place: str | os.PathLike[str],
    *,
    overwrite: bool,
    progress: bool,
    **options: Any,
) -> None:
    """Save a dataset, mosaic or inversion: parameters and errors are those of `Savable.save`."""
    form = form_of(place)
    writer = form.writer()
    if form.suffix not in getattr(dataset, "saved_as", (form.suffix,)):
        raise DatasetError(
            f"save to {form.suffix}: is for datasets and mosaics. An inversion is saved as .asdf; "
            f'one of its quantities in any form, as in inversion["temperature"].save("t.virtual")'
        )
    named = inspect.signature(writer).parameters.values()
    known = {one.name for one in named if one.kind is one.KEYWORD_ONLY} | {"overwrite", "progress"}
    check_keywords(f"save to {form.suffix}", options, known)
    if getattr(dataset, "stitching", None) is not None:
        warnings.warn(
            "save: ds.stitching, with the time of each pixel, the footprints and the header rows "
            "of the tiles, is left behind, and meta['stitched'] says what was done. "
            "ds.with_data(ds.stitching.seconds, unit='s') is a dataset of the times, which can be "
            "saved too",
            DKISTVirtualWarning,
            stacklevel=3,
        )
    if form.suffix != ".virtual":  # which has the scale itself
        from dkist_virtual.dataset.wavelengths.calibrate import with_scale_in_meta

        dataset = with_scale_in_meta(dataset)
    writer(dataset, place, overwrite=overwrite, progress=progress, **options)


def _listed(forms: Any) -> str:
    """List forms for a message."""
    return ", ".join(f"{form.suffix} ({form.what})" for form in forms)
