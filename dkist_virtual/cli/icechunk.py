"""Define the command that writes a dataset into an Icechunk repository."""

from __future__ import annotations

from typing import Any

import click

from dkist_virtual.cli.options import check_place, storage_options_option

__all__ = ["icechunk"]


@click.command()
@click.argument("store", type=click.Path())
@click.argument("repository", type=click.Path())
@click.option("--branch", default="main", show_default=True, help="The branch to commit to.")
@click.option("--message", metavar="TEXT", help="Of the commit.")
@click.option(
    "--partial",
    is_flag=True,
    help="Leave out references to frames that were not scanned: plain Zarr reads fill values.",
)
@storage_options_option
def icechunk(store: str, repository: str, **options: Any) -> None:
    """Write the dataset of STORE into an Icechunk REPOSITORY, as one commit.

    The frames stay where they are: the repository refers to them, and any reader of Zarr with
    Icechunk and the codec of this package reads them. STORE may be an ASDF too, whose frames are
    scanned first. Where nothing has changed since the last commit, nothing is committed.

    \b
    Examples:
      dkist-virtual icechunk BKEWK.virtual BKEWK.icechunk
      dkist-virtual icechunk BKEWK.virtual s3://bucket/BKEWK --message "All frames"
      dkist-virtual info icechunk+s3://bucket/BKEWK
      dkist-virtual info "icechunk+s3://bucket/BKEWK?snapshot=K2KTEAK0MJZ4SF6AVW1G"
    """
    check_place(store)
    from dkist_virtual.publish.icechunk.to_icechunk import to_icechunk

    click.echo(to_icechunk(store, repository, **options))
