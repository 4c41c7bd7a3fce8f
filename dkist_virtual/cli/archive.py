"""Convert all datasets of an archive: the options of ``convert --all``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from dkist_virtual.cli.catalogue import (
    given_for_page,
    page_options,
    records_option,
    write_page_too,
)
from dkist_virtual.cli.options import usage_errors
from dkist_virtual.errors import StoreExistsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dkist_virtual.protocols import DaskClient

__all__ = ["archive_options", "run", "without_archive"]

BUSY: Final = 3
"""Exit status where another run is writing the same stores."""

_OPTIONS: Final = (
    click.option(
        "--all",
        "archive",
        metavar="ARCHIVE",
        help="Convert all datasets of a directory, bucket or URL, or of a list of ASDFs, "
        "@list.txt.",
    ),
    click.option("--to", "stores", metavar="STORES", help="With --all: the directory to write."),
    click.option(
        "--verify-sample",
        metavar="N",
        type=click.IntRange(1),
        help="With --all: verify N frames of each store that is made.",
    ),
    click.option(
        "--withdrawn",
        type=click.Choice(["keep", "remove"]),
        help="With --all: what to do with stores whose ASDF is gone. [default: keep]",
    ),
    click.option("--again", is_flag=True, help="With --all: convert what has not changed, too."),
    click.option("--dry-run", is_flag=True, help="With --all: only say what would be done."),
    click.option(
        "--catalogue",
        is_flag=True,
        help="With --all: write the catalogue of the stores then, as the command catalogue does.",
    ),
    click.option(
        "--page",
        is_flag=True,
        help="With --all: write the catalogue and its page, with a picture of each dataset.",
    ),
    records_option,
    page_options,
)


def archive_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``--all`` to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OWN: Final = (
    "stores", "verify_sample", "withdrawn", "again", "dry_run", "catalogue", "page", "records",
    "title", "url",
)  # fmt: skip


def without_archive(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a single conversion; refuse those that need ``--all``."""
    for name in _OWN:
        if options[name]:
            option = "--to" if name == "stores" else f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} is for a whole archive: expected --all ARCHIVE")
    return {name: value for name, value in options.items() if name not in _OWN}


def run(archive: str, client: DaskClient | None, options: dict[str, Any]) -> int:
    """Convert an archive; return the exit status."""
    from tqdm import tqdm

    from dkist_virtual.publish.archive.archive import convert_archive

    options = dict(options)
    stores = options.pop("stores")
    if stores is None:
        raise click.UsageError("--all needs --to STORES, the directory to write")
    if options.pop("overwrite"):
        raise click.UsageError(
            "--overwrite is for one dataset: with --all expected --again, which converts what has "
            "not changed too, or nothing"
        )
    options["withdrawn"] = options["withdrawn"] or "keep"
    with_page = options.pop("page")
    with_catalogue = options.pop("catalogue") or with_page
    records = options.pop("records")
    of_page = given_for_page(with_page, title=options.pop("title"), url=options.pop("url"))
    if records is not None and not with_catalogue:
        raise click.UsageError("--records is for the catalogue: expected --catalogue with it")

    def say(outcome: object) -> None:
        tqdm.write(str(outcome), file=sys.stdout)  # beside the bar
        sys.stdout.flush()

    try:
        with usage_errors():
            report = convert_archive(archive, stores, client=client, on_dataset=say, **options)
    except StoreExistsError as error:
        click.echo(f"Error: {error}", err=True)
        return BUSY
    click.echo(report)
    if not with_catalogue or options["dry_run"]:
        return report.exit_status
    from dkist_virtual.publish.catalogue.write import write_catalogue

    with usage_errors(TypeError, ValueError):
        catalogue = write_catalogue(stores, records=records)
    click.echo(str(catalogue))
    if with_page:
        base, frames = options["base"], options["frames"]
        # Elsewhere, and where each dataset has a place of its own, they are read at the base.
        known = base is not None and frames is not None and "{" not in f"{base}{frames}"
        write_page_too(
            stores,
            {"records": records},
            **of_page,
            frames={base: frames} if known else None,
            storage_options=options["storage_options"],
        )
    return report.exit_status or int(bool(catalogue.failures))
