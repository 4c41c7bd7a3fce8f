"""Define the command that writes the catalogue of stores, and its page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from dkist_virtual.cli.options import read_json, storage_options_option, usage_errors

__all__ = ["catalogue", "given_for_page", "page_options", "records_option", "write_page_too"]


def _read_records(_: click.Context, __: click.Parameter, path: str | None) -> list[Any] | None:
    """Read the file of ``--records``: a list of records, or an answer of the Data Center."""
    if path is None:
        return None
    given = read_json(path)
    found = given.get("searchResults") if isinstance(given, dict) else given
    if not isinstance(found, list):
        raise click.BadParameter(f"{path}: expected a list of records, or searchResults")
    return found


records_option = click.option(
    "--records",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    callback=_read_records,
    help="JSON of the Data Center's records: status and embargo are in no inventory.",
)


def page_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a page to a command."""
    title = click.option("--title", metavar="TEXT", help="With --page: its heading.")
    url = click.option(
        "--url",
        metavar="URL",
        callback=_check_url,
        help="With --page: where STORES will be published, for the code that opens a dataset. By "
        "default it is the address that the page is looked at.",
    )
    return title(url(command))


def _check_url(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    """Refuse a wrong URL before anything is written."""
    if url is not None:
        from dkist_virtual.publish.page.write import check_url

        try:
            check_url(url)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return url


@click.command()
@click.argument("stores", type=click.Path(file_okay=False))
@records_option
@click.option("--no-stac", is_flag=True, help="Write no STAC collection.")
@click.option("--no-intake", is_flag=True, help="Write no catalogue of intake.")
@click.option(
    "--page",
    is_flag=True,
    help="Write index.html too, with a picture of each dataset, which is drawn from its frames.",
)
@page_options
@click.option(
    "--frames",
    nargs=2,
    metavar="BASE PLACE",
    help="With --page: read the frames of datasets whose address begins with BASE below PLACE.",
)
@click.option(
    "--workers", type=click.IntRange(1), help="With --page: how many pictures to draw at once."
)
@storage_options_option
def catalogue(
    stores: str,
    no_stac: bool,
    no_intake: bool,
    page: bool,
    title: str | None,
    url: str | None,
    frames: tuple[str, str] | None,
    workers: int | None,
    storage_options: dict[str, Any] | None,
    **options: Any,
) -> None:
    """Write the catalogue of the stores in the directory STORES, or bring it up to date.

    Stores that are as they were are not read again; one that cannot be read is left out and listed.
    A dataset without a picture is not an error: the page says why.

    Exit status: 0 all stores are in the catalogue, 1 some are not.

    \b
    Examples:
      dkist-virtual catalogue stores/
      dkist-virtual catalogue stores/ --page --url https://example.org/stores \\
          --frames https://example.org/archive /archive
      dkist-virtual search --catalogue stores/ --instrument VISP --open 1
      dkist-virtual info BKEWK --catalogue https://example.org/stores/
    """
    from dkist_virtual.publish.catalogue.write import write_catalogue

    read_from = None if frames is None else dict([frames])
    given = given_for_page(
        page, title=title, url=url, frames=read_from, workers=workers,
        storage_options=storage_options,
    )  # fmt: skip
    with usage_errors(TypeError, ValueError):
        report = write_catalogue(
            stores, stac=False if no_stac else None, intake=not no_intake, **options
        )
    click.echo(str(report))
    if page:
        write_page_too(
            stores,
            {"stac": False if no_stac else None, "intake": not no_intake, **options},
            **given,
        )
    sys.exit(1 if report.failures else 0)


def given_for_page(page: bool, **options: Any) -> dict[str, Any]:
    """Return the options of a page that were given; refuse them where none is written."""
    given = {name: value for name, value in options.items() if value is not None}
    if given and not page:
        option = next(iter(given)).replace("_", "-")
        raise click.UsageError(f"--{option} is for the page: expected --page with it")
    return given


def write_page_too(stores: str, of_catalogue: dict[str, Any] | None = None, **options: Any) -> None:
    """Write the page, and the catalogue once more if there are other pictures, which it names."""
    from dkist_virtual.publish.catalogue.write import write_catalogue
    from dkist_virtual.publish.page.write import write_page
    from dkist_virtual.publish.stores import pictures_in, stores_directory

    directory = stores_directory(stores, "a page")
    before = pictures_in(directory)
    written = write_page(stores, **options)
    if pictures_in(directory) != before:
        write_catalogue(stores, **(of_catalogue or {}))
    click.echo(str(written))
