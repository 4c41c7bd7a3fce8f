"""Define the options that several commands share: where frames are, and how to read them there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset

__all__ = ["opened", "storage_options_option"]


def _read_options(_: click.Context, __: click.Parameter, path: str | None) -> dict[str, Any] | None:
    """The file of ``--storage-options``. Not on the command line itself, where others see it."""
    if path is None:
        return None
    from dkist_virtual.io.fetcher import Fetcher

    try:
        options: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.BadParameter(f"{path} is no JSON: {error}") from None
    if not isinstance(options, dict):
        raise click.BadParameter(f"{path}: expected an object, of URL prefixes and their options")
    try:
        Fetcher(options)
    except (TypeError, ValueError) as error:
        raise click.BadParameter(f"{path}: {error}") from None
    return options


storage_options_option = click.option(
    "--storage-options",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    callback=_read_options,
    help="JSON of URL prefixes and fsspec's options for each.",
)


def opened(
    place: str, frames: str | None, storage_options: dict[str, Any] | None
) -> Dataset | TiledDataset:
    """A dataset; of ``globus:COLLECTION`` its frames are on that collection's HTTPS server."""
    from dkist_virtual.dataset.open import open_dataset

    how: dict[str, Any] = {"frames": frames}
    if frames is not None and frames.startswith("globus:"):
        from dkist_virtual.datacenter.globus import over_https

        how = over_https(open_dataset(place).files.dataset_id, frames.removeprefix("globus:"))
    how["storage_options"] = {**(storage_options or {}), **how.get("storage_options", {})}
    return open_dataset(place, **how)
