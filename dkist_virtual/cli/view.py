"""Define the command that shows datasets in a browser."""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING, Any

import click

from dkist_virtual.cli.options import (
    catalogue_option,
    check_place,
    frames_option,
    open_place,
    place_of,
    storage_options_option,
    usage_errors,
)

if TYPE_CHECKING:
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset

__all__ = ["tunnel", "view"]


@click.command()
@click.argument("store_or_asdf", metavar="STORE_OR_ASDF_OR_ID", type=click.Path())
@click.option(
    "--with", "others", metavar="OTHER", multiple=True,
    help="A dataset to show beside it, in step by nearest time; several times for several.",
)  # fmt: skip
@click.option(
    "--download-to",
    metavar="DIRECTORY",
    type=click.Path(file_okay=False, writable=True),
    help="Where the page's download button writes frames to: a directory, which is made when "
    "needed. Only then does the page have a button for downloads.",
)
@click.option("--no-browser", is_flag=True, help="Print the page's address; open no browser.")
@click.option(
    "--remote", is_flag=True, help="Print how to reach the page from your machine through ssh."
)
@click.option(
    "--host",
    metavar="ADDRESS",
    help="Listen on this address too, for other machines, without encryption.  "
    "[default: this machine alone]",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="[default: any that is free]"
)
@frames_option
@storage_options_option
@catalogue_option
def view(
    store_or_asdf: str,
    others: tuple[str, ...],
    download_to: str | None,
    no_browser: bool,
    remote: bool,
    host: str | None,
    port: int,
    frames: str | None,
    storage_options: dict[str, Any] | None,
    catalogue: str | None,
) -> None:
    """Show a dataset in a browser: linked pictures, spectra and strips.

    What is shown is read when it is shown; nothing is downloaded before. The page is served to this
    machine alone, at an address that cannot be guessed, until Ctrl-C. Everyone who has the address
    sees the data. Needs the extra "view": pip install "dkist_virtual[view]".

    \b
    Examples:
      dkist-virtual view BKEWK.virtual
      dkist-virtual view BKEWK
      dkist-virtual view VISP.virtual --with VBI.virtual
      dkist-virtual view BKEWK.virtual --frames https://example.org/BKEWK
      dkist-virtual view BKEWK.virtual --download-to frames/
      dkist-virtual view BKEWK.virtual --remote    on a machine that you reach by ssh
    """
    if remote and host is not None:
        raise click.UsageError("--remote is for a page served to one machine: without --host")
    places = [place_of(place, catalogue, storage_options) for place in (store_or_asdf, *others)]
    for place in places:
        check_place(place)
    from dkist_virtual.view.viewer import check_installed

    try:
        check_installed()
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    # Frames that are elsewhere are those of the dataset that is named first.
    first, *rest = (
        _shown(place, None if number else frames, storage_options)
        for number, place in enumerate(places)
    )
    viewer = first.view(
        *rest, download_to=download_to, browser=False, host=host or "127.0.0.1", port=port
    )
    with usage_errors(OSError):
        address = viewer.url
    if remote:
        click.echo(tunnel(address))
    elif no_browser:
        click.echo(address)
    else:
        viewer.show()
    viewer.wait()


def _shown(
    place: str, frames: str | None, storage_options: dict[str, Any] | None
) -> Dataset | TiledDataset:
    from dkist_virtual.dataset.level2.inversion import Inversion

    opened = open_place(place, frames, storage_options)
    if isinstance(opened, Inversion):
        raise click.UsageError(
            f"{place}: is an inversion: dkist-virtual plot shows one; in Python "
            "inversion[quantity].view() shows one of its quantities"
        )
    return opened


def tunnel(address: str) -> str:
    """Say how to open an address of this machine on another one, through ssh."""
    port = address.split(":")[2].partition("/")[0]
    return (
        "On your machine run, with the name by which you log in here:\n"
        f"  ssh -N -L {port}:127.0.0.1:{port} {getpass.getuser()}@{socket.getfqdn()}\n"
        "and open, while it runs:\n"
        f"  {address}"
    )
