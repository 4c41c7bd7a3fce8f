"""Say what belongs to a dataset beside its pixels, as the tree of an ASDF, and read it."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.dataset.save.nodes import check_meta, plain_table
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, redacted
from dkist_virtual.text import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_virtual.dataset.dataset import Dataset

__all__ = ["KNOWN", "Beside", "beside", "from_bytes", "make_dataset", "to_bytes"]

KNOWN: Final = 1
"""The version of the tree."""


@dataclass(frozen=True)
class Beside:
    """What a dataset that was opened from a file knew when it was saved.

    Parameters
    ----------
    opened_with : frozenset of str
        The keys of its meta that its user did not add.
    """

    opened_with: frozenset[str]


def beside(ds: Dataset, what: str, *, headers: bool = False) -> dict[str, Any]:
    """Make the tree of all that belongs to a dataset beside pixels, mask and uncertainty.

    Parameters
    ----------
    ds : Dataset
    what : str
        The form, for the warning about what is left behind.
    headers : bool
        Whether the header table is in the tree.

    Raises
    ------
    DatasetError
        Something that ASDF cannot write.
    """
    from astropy.wcs.wcsapi import HighLevelWCSWrapper

    from dkist_virtual.cube.sliced_wcs import published

    left = []
    if ds.global_coords._internal_coords:
        left.append("global_coords")
    if ds.extra_coords.keys() or ds.extra_coords._dropped_tables:
        left.append("extra_coords")
    if left:
        warnings.warn(
            f"save: {' and '.join(left)} of the dataset: {what} has no place for it, and the saved "
            "dataset has none",
            DKISTVirtualWarning,
            stacklevel=2,
        )
    given = ds.meta.without_headers() if hasattr(ds.meta, "without_headers") else dict(ds.meta)
    meta = check_meta({key: value for key, value in given.items() if key != "headers"})
    low = published(ds.wcs.low_level_wcs)
    computed = ds.lineage.is_computed
    tree = {
        "version": KNOWN,
        "wcs": ds.wcs if low is ds.wcs.low_level_wcs else HighLevelWCSWrapper(low),
        "unit": None if ds.unit is None else ds.unit.to_string(),
        "meta": meta,
        "own_meta": sorted(set(meta) - ds.lineage.opened_with),
        "computed_from": redacted(ds.lineage.source) if computed else None,
        "pointing": None if ds.pointing is None else ds.pointing.to_document(),
        "psf": None if ds.psf is None else np.asarray(ds.psf),
        "uncertainty": _spread(ds),
    }
    if headers:
        tree["headers"] = None if ds.headers is None else plain_table(ds.headers)
    return tree


def _spread(ds: Dataset) -> dict[str, Any] | None:
    if ds.uncertainty is None:
        return None
    unit = ds.uncertainty.unit
    return {
        "type": type(ds.uncertainty).__name__,
        "unit": None if unit is None else unit.to_string(),
    }


def to_bytes(tree: Mapping[str, Any]) -> bytes:
    """Write a tree as an ASDF.

    Raises
    ------
    DatasetError
        The WCS cannot be written.
    """
    import asdf

    from dkist_virtual.store.format.dataset_asdf import ignore_expected_warnings

    file = io.BytesIO()
    try:
        with ignore_expected_warnings():
            asdf.AsdfFile(dict(tree)).write_to(file)
    except MemoryError:
        raise
    except Exception as error:  # each package has errors of its own
        raise DatasetError(f"save: the WCS cannot be written to ASDF: {shorten(error)}") from error
    return file.getvalue()


def from_bytes(data: bytes, name: str) -> dict[str, Any]:
    """Read a tree that `to_bytes` wrote, all of it."""
    import asdf

    from dkist_virtual.store.format.dataset_asdf import ignore_expected_warnings

    with ignore_expected_warnings(), asdf.open(io.BytesIO(data), lazy_load=False) as file:
        tree = dict(file.tree)
    check_version(tree, name)
    return tree


def check_version(tree: Mapping[str, Any], name: str) -> None:
    """Refuse a tree of another version."""
    if tree.get("version") != KNOWN:
        raise DatasetError(
            f"{name}: what belongs to the pixels is written in version {tree.get('version')!r}: "
            f"expected {KNOWN}. A newer version of this package wrote it: update this one"
        )


def make_dataset(
    pixels: Any, tree: Mapping[str, Any], *, mask: Any, spread: Any, headers: Any
) -> Dataset:
    """Make the dataset of pixels and of what belongs to them.

    Parameters
    ----------
    pixels : array or dask array
    tree : mapping
        Of `beside`.
    mask, spread : array or None
        `spread` has the numbers of the uncertainty.
    headers : astropy.table.Table or None
    """
    import astropy.nddata
    import astropy.units as u

    from dkist_virtual.cube.sliced_wcs import high_level
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.store.format.header_table import HeaderTable

    meta = dict(tree["meta"])
    if tree["pointing"] is not None:
        meta["applied_pointing"] = tree["pointing"]  # which the WCS has already
    known = frozenset((*meta, "headers", "inventory", "history")) - set(tree["own_meta"])
    if headers is not None:
        meta["headers"] = HeaderTable(headers, copy=False)
    uncertainty = None
    if spread is not None and (said := tree["uncertainty"]) is not None:
        kind = getattr(astropy.nddata, said["type"], astropy.nddata.UnknownUncertainty)
        unit = None if said["unit"] is None else u.Unit(said["unit"])
        uncertainty = kind(spread, unit=unit, copy=False)
    made = Dataset(
        pixels,
        high_level(tree["wcs"], tuple(pixels.shape)),
        unit=None if tree["unit"] is None else u.Unit(tree["unit"]),
        mask=mask,
        uncertainty=uncertainty,
        meta=meta,
        psf=tree["psf"],
    )
    made._past = tree["computed_from"]
    made._opened_with = Beside(known)
    return made
