"""Define the command that makes references of FITS files of any survey."""

from __future__ import annotations

from typing import Any

import click

from dkist_virtual.cli.options import storage_options_option, usage_errors

__all__ = ["references"]


def _hdu(_: click.Context, __: click.Parameter, value: str | None) -> int | str | None:
    return int(value) if value is not None and value.isdecimal() else value


@click.command()
@click.argument("files", type=click.Path(), nargs=-1, required=True)
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(),
    metavar="OUT",
    help="Where to write: kerchunk references as OUT.json or OUT.parq; else a store.",
)
@click.option(
    "--hdu", callback=_hdu, metavar="HDU", help="Index or EXTNAME. [default: the only image]"
)
@click.option(
    "--by",
    multiple=True,
    metavar="KEYWORD",
    help="Arrange the files by a header keyword, which becomes an axis; more than once for more.",
)
@click.option("--dims", multiple=True, metavar="NAME", help="Name of a new axis, in their order.")
@click.option(
    "--base",
    metavar="PLACE",
    help="Directory or URL to write into the references, in place of the files' own.",
)
@click.option("--primary", is_flag=True, help="Take keywords of the primary header too.")
@click.option(
    "--missing",
    type=click.Choice(["raise", "absent"]),
    default="raise",
    show_default=True,
    help="Refuse files that do not exist and gaps in the grid, or leave their places empty.",
)
@click.option(
    "--references",
    type=click.Choice(["auto", "json", "parquet"]),
    default="auto",
    show_default=True,
    help="Format of the references in a store; auto is parquet above 5,000 files.",
)
@click.option("--relative", is_flag=True, help="Write places relative to the store.")
@click.option("--overwrite", is_flag=True, help="Replace what this command wrote before.")
@click.option("--workers", type=click.IntRange(1), help="How many files to read at once.")
@storage_options_option
def references(
    files: tuple[str, ...], target: str, by: tuple[str, ...], dims: tuple[str, ...], **options: Any
) -> None:
    """Make one virtual array of FITS FILES of any survey.

    FILES are plain or tile-compressed FITS, paths or URLs, whose images share shape and type. Their
    headers are read, never pixels. In the order in which they are given they are one new axis; --by
    arranges them by their headers.

    \b
    Examples:
      dkist-virtual references night1/*.fits.fz --to night1.json
      dkist-virtual references night1/*.fits.fz --to night1.virtual --by DATE-OBS --hdu SCI
      dkist-virtual references *.fits --to all.parq --by DATE-OBS --by FILTER --primary
      dkist-virtual references *.fits --to all.json --base https://example.org/night1
    """
    from dkist_virtual.conversion.fits_files.survey import fits_references

    # A pattern that the shell left as it is, is found here.
    given = files[0] if len(files) == 1 and set(files[0]) & set("*?[") else files
    with usage_errors():
        made = fits_references(given, target, by=by or None, dims=dims or None, **options)
    click.echo(f"{target}: {made}")
