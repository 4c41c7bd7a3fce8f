"""Define the options that several commands share, and open the dataset that they name."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dkist_virtual.dataset.open import check_place
from dkist_virtual.errors import DKISTVirtualError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dkist_virtual.dataset.open import AnyDataset, OpenedDataset

__all__ = [
    "catalogue_option",
    "check_place",
    "client_option",
    "frames_option",
    "json_option",
    "open_files",
    "open_place",
    "overview_text",
    "place_of",
    "read_json",
    "storage_options_option",
    "usage_errors",
]


@contextmanager
def usage_errors(kind: type[Exception] = ValueError, *others: type[Exception]) -> Iterator[None]:
    """Raise the errors of a wrong option as click's usage error, but not those of this package."""
    try:
        yield
    except (kind, *others) as error:
        if isinstance(error, DKISTVirtualError):
            raise
        raise click.UsageError(str(error)) from error


def read_json(path: str) -> Any:
    """Read the JSON file of an option; raise `click.BadParameter` for any other file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.BadParameter(f"{path} is not JSON: {error}") from None


def _read_options(_: click.Context, __: click.Parameter, path: str | None) -> dict[str, Any] | None:
    """Read the file of ``--storage-options``; on the command line other users would see them."""
    if path is None:
        return None
    from dkist_virtual.io.fetcher import Fetcher

    options = read_json(path)
    if not isinstance(options, dict):
        raise click.BadParameter(f"{path}: expected an object of URL prefixes and their options")
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


frames_option = click.option(
    "--frames", metavar="PLACE", help="Directory or URL to read the frames from."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

catalogue_option = click.option(
    "--catalogue", metavar="PLACE", help="Where to look an ID up: a catalogue of stores."
)

client_option = click.option(
    "--client", metavar="ADDRESS", help="A dask scheduler, whose workers scan the frames."
)


def place_of(
    place: str, catalogue: str | None, storage_options: dict[str, Any] | None = None
) -> str:
    """Find the store of an ID in a catalogue; without one, return the place that was given."""
    if catalogue is None:
        return place
    from dkist_virtual.datacenter.published.find import store_in

    with usage_errors():
        return store_in(catalogue, place, storage_options)


def open_place(
    place: str, frames: str | None, storage_options: dict[str, Any] | None
) -> OpenedDataset:
    """Open a dataset; with frames at ``globus:COLLECTION`` on that collection's HTTPS server."""
    from dkist_virtual.dataset.open import open_dataset

    frames, options = _frames_of(place, frames, storage_options)
    return open_dataset(place, frames=frames, storage_options=options)


def open_files(
    place: str, frames: str | None, storage_options: dict[str, Any] | None
) -> AnyDataset:
    """Open a dataset likewise, for its files and its overview alone."""
    from dkist_virtual.dataset.open import open_stored

    frames, options = _frames_of(place, frames, storage_options)
    return open_stored(place, frames=frames, storage_options=options)


def _frames_of(
    place: str, frames: str | None, storage_options: dict[str, Any] | None
) -> tuple[str | None, dict[str, Any]]:
    """Return where to read the frames of a dataset, and with which options of fsspec."""
    check_place(place)
    options = dict(storage_options or {})
    if frames is not None and frames.startswith("globus:"):
        from dkist_virtual.datacenter.globus import over_https
        from dkist_virtual.dataset.open import open_dataset

        served = over_https(open_dataset(place).files.dataset_id, frames.removeprefix("globus:"))
        frames, options = served["frames"], options | served["storage_options"]
    return frames, options


def overview_text(ds: AnyDataset, as_json: bool) -> str:
    """Write the overview of a dataset as text or JSON."""
    overview = ds.overview()
    return json.dumps(overview.as_json(), indent=2) if as_json else overview.text()
