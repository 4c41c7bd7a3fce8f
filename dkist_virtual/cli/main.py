"""Run the command line: parse arguments, call the package, print text."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click

from dkist_virtual._version import __version__
from dkist_virtual.cli import archive as cli_archive
from dkist_virtual.cli import catalogue as cli_catalogue
from dkist_virtual.cli import icechunk as cli_icechunk
from dkist_virtual.cli import plot as cli_plot
from dkist_virtual.cli import references as cli_references
from dkist_virtual.cli import search as cli_search
from dkist_virtual.cli import shift as cli_shift
from dkist_virtual.cli import view as cli_view
from dkist_virtual.cli.options import (
    catalogue_option,
    check_place,
    client_option,
    frames_option,
    json_option,
    open_files,
    overview_text,
    place_of,
    storage_options_option,
    usage_errors,
)
from dkist_virtual.errors import DKISTVirtualError, redacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dkist_virtual.protocols import DaskClient

__all__ = ["cli", "main"]


class _Group(click.Group):
    """Commands in the order in which a user needs them, not sorted by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dkist-virtual")
def cli() -> None:
    """Read DKIST datasets as virtual Zarr stores: the FITS frames stay where they are.

    \b
    Examples:
      dkist-virtual demo                                  make a dataset to try things on
      dkist-virtual search --instrument VISP --open 1     find one at the Data Center, and open it
      dkist-virtual convert DATASET.asdf DATASET.virtual  make a store
      dkist-virtual convert --all ARCHIVE --to STORES     make stores of all datasets of an archive
      dkist-virtual info DATASET.virtual                  show what is in it
      dkist-virtual view DATASET.virtual                  look at it in a browser
      dkist-virtual download DATASET.virtual frames/      fetch its frames, or some of them
      dkist-virtual update DATASET.virtual NEWER.asdf     apply corrected metadata
      dkist-virtual shift DATASET.virtual --dx 3 --dy -1  correct its pointing, reversibly
      dkist-virtual verify DATASET.virtual                check the frames against the store

    \b
    Frames that need credentials: --storage-options FILE, for instance
      {"https://data.example.org/": {"headers": {"Authorization": "Bearer ..."}}}
    """


cli.add_command(cli_search.search)


@cli.command()
@click.argument("asdf", type=click.Path(), required=False)
@click.argument("store", type=click.Path(), required=False)
@cli_archive.archive_options
@click.option("--frames", metavar="PLACE", help="Directory or URL to scan the frames in.")
@click.option(
    "--base", metavar="PLACE", help="Directory or URL to write into the references of the store."
)
@click.option(
    "--scan",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Scan the frames that can be reached; scan all, and fail if one is missing; or scan none.",
)
@click.option(
    "--references",
    type=click.Choice(["auto", "json", "parquet"]),
    default="auto",
    show_default=True,
    help="Format of the references; auto is parquet above 5,000 frames.",
)
@click.option(
    "--relative",
    is_flag=True,
    help="Write the places of the frames relative to the store, so that the directory with both "
    "can be moved, copied or served.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace an existing store; of its frames only those that changed are read again.",
)
@click.option("--rescan", is_flag=True, help="With --overwrite: read all frames again.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="How many files to read at once; with --all, how many datasets to convert at once.",
)
@storage_options_option
@client_option
def convert(
    asdf: str | None, store: str | None, archive: str | None, client: str | None, **options: Any
) -> None:
    """Convert the dataset of ASDF to a virtual Zarr store, or all datasets of an archive.

    ASDF is the file from the Data Center, or a directory with one (of several, the newest).
    The frames are expected beside it. After Ctrl-C or a failure run the same command again:
    frames that were scanned are not scanned again.

    With --all every dataset below ARCHIVE is converted, to STORES/{dataset ID}.virtual. What has
    not changed since the last time is left as it is, a dataset that fails does not stop the others,
    and STORES/archive.json says what became of each. --base and --frames are then of the whole
    archive: the directory of each dataset below ARCHIVE is appended. Exit status: 0 all went well,
    1 a dataset failed or was not found, 3 another run is writing these stores.

    \b
    Examples:
      dkist-virtual convert VISP_L1_20221024T185745_BKEWK_metadata.asdf BKEWK.virtual
      dkist-virtual convert BKEWK/ BKEWK.virtual --scan always
      dkist-virtual convert BKEWK/ BKEWK/BKEWK.virtual --relative
      dkist-virtual convert BKEWK.asdf BKEWK.virtual --frames /archive/BKEWK \\
          --base https://example.org/BKEWK
      dkist-virtual convert BKEWK.asdf BKEWK.virtual --client tcp://node1:8786
      dkist-virtual convert --all /archive --to /stores --base https://example.org/archive
      dkist-virtual convert --all @list.txt --to /stores --verify-sample 3 --dry-run
    """
    if archive is not None:
        if asdf is not None or store is not None:
            raise click.UsageError("--all takes the place of ASDF and STORE: expected --to STORES")
        with _client(client) as workers:
            sys.exit(cli_archive.run(archive, workers, options))
    own = cli_archive.without_archive(options)
    if asdf is None or store is None:
        raise click.UsageError(f"Missing argument '{'STORE' if asdf else 'ASDF'}'.")
    options = own
    from dkist_virtual.conversion.asdf.locate import check_place as check_asdf
    from dkist_virtual.conversion.staging import place_for, refuse_existing

    refuse_existing(place_for(store), options["overwrite"])
    check_asdf(asdf)
    from dkist_virtual.conversion.convert import convert as run

    with _client(client) as workers:
        click.echo(run(asdf, store, client=workers, **options))


@cli.command()
@click.argument("store", type=click.Path())
@click.argument("asdf", type=click.Path())
@click.option("--frames", metavar="PLACE", help="Directory or URL to scan new frames in.")
@click.option(
    "--scan",
    type=click.Choice(["auto", "always", "never"]),
    help="Of the frames that are new to the store, scan those that can be reached; scan all; or "
    "scan none. [default: auto; never where the store was made without a scan]",
)
@click.option("--workers", type=click.IntRange(1), help="How many files to read at once.")
@client_option
def update(store: str, asdf: str, client: str | None, **options: Any) -> None:
    """Apply a newer ASDF of the same dataset to STORE.

    The store takes WCS, headers, inventory and the list of frames from ASDF. Frames that the store
    knows are not scanned again.

    \b
    Examples:
      dkist-virtual update BKEWK.virtual VISP_L1_20221024T185745_BKEWK_metadata.asdf
      dkist-virtual update BKEWK.virtual BKEWK.asdf --scan never
    """
    from dkist_virtual.conversion.asdf.locate import check_place as check_asdf
    from dkist_virtual.conversion.staging import existing_store

    existing_store(store)
    check_asdf(asdf)
    from dkist_virtual.conversion.update import update as run

    with _client(client) as workers:
        click.echo(run(store, asdf, client=workers, **options))


def _client(address: str | None) -> AbstractContextManager[DaskClient | None]:
    """Connect to a dask scheduler, if one is named."""
    if address is None:
        return nullcontext()
    try:
        from distributed import Client
    except ImportError:
        raise click.UsageError("--client needs dask.distributed: pip install distributed") from None
    try:
        client: AbstractContextManager[DaskClient] = Client(address)
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"--client {address}: {error}") from error
    return client


@cli.command()
@click.argument("store_or_asdf", type=click.Path())
@frames_option
@json_option
@storage_options_option
@catalogue_option
def info(
    store_or_asdf: str,
    frames: str | None,
    as_json: bool,
    storage_options: dict[str, Any] | None,
    catalogue: str | None,
) -> None:
    """Show what is in a store, or in a dataset's ASDF. No frame is read.

    \b
    Examples:
      dkist-virtual info BKEWK.virtual
      dkist-virtual info BKEWK.asdf --json
      dkist-virtual info BKEWK --catalogue https://example.org/stores/
    """
    store_or_asdf = place_of(store_or_asdf, catalogue, storage_options)
    click.echo(overview_text(open_files(store_or_asdf, frames, storage_options), as_json))


@cli.command()
@click.argument("store_or_asdf", type=click.Path())
@click.argument("destination", type=click.Path(file_okay=False))
@click.option("--slice", "index", metavar="INDEX", default="", help='Part of it: "0, 50".')
@frames_option
@click.option("--verify", is_flag=True, help="Check the DATASUM of each file.")
@click.option("--dry-run", is_flag=True, help="Only list the files, and count their bytes.")
@click.option("--workers", type=click.IntRange(1), help="How many at once. [default: 64]")
@click.option(
    "--via", type=click.Choice(["globus"]), help="Transfer them from the Data Center by Globus."
)
@click.option(
    "--to",
    "destination_endpoint",
    metavar="ENDPOINT",
    help="ID or name of the endpoint; means --via globus. [default: Globus Connect Personal here]",
)
@click.option("--label", help="With --via globus: the name of the transfer.")
@click.option("--no-wait", is_flag=True, help="With --via globus: do not wait for the end.")
@click.option("--embargoed", is_flag=True, help="With --via globus: try in spite of an embargo.")
@storage_options_option
@catalogue_option
def download(
    store_or_asdf: str,
    destination: str,
    index: str,
    frames: str | None,
    storage_options: dict[str, Any] | None,
    no_wait: bool,
    catalogue: str | None,
    **options: Any,
) -> None:
    """Fetch the frames of a dataset, or of part of it, into DESTINATION.

    Files that are there already are kept, and one that was interrupted is continued: after Ctrl-C
    or a failure run the same command again. INDEX is the one of ds[...]; in a mosaic it is applied
    to every tile.

    \b
    Examples:
      dkist-virtual download VTF.virtual frames/ --slice "0, 50"
      dkist-virtual download VTF.virtual frames/ --slice "..., 10:20, :, :" --dry-run
      dkist-virtual download VTF.asdf frames/ --frames https://example.org/VTF --verify
      dkist-virtual download BKEWK /~/dkist/{dataset_id} --via globus --to "My University"
    """
    store_or_asdf = place_of(store_or_asdf, catalogue, storage_options)
    check_place(store_or_asdf)
    from dkist_virtual.cube.selection import parse_index
    from dkist_virtual.dataset.open import select_alike

    chosen = parse_index(index)
    ds = open_files(store_or_asdf, frames, storage_options)
    if chosen:
        ds = select_alike(ds, chosen)
    # Each way of fetching has options of its own, and refuses those of the other.
    given = {name: value for name, value in options.items() if value not in (None, False)}
    if no_wait:
        given["wait"] = False
    with usage_errors():
        click.echo(ds.download(destination, **given))


for command in (
    cli_references.references, cli_search.quality, cli_search.movie, cli_search.login,
    cli_view.view, cli_plot.plot, cli_shift.shift, cli_catalogue.catalogue, cli_icechunk.icechunk,
):  # fmt: skip
    cli.add_command(command)


@cli.command()
@click.argument("store_or_asdf", type=click.Path())
@click.option(
    "--against",
    type=click.Choice(["astropy"]),
    help="Compare pixels with those of another reader, not frames with the store.",
)
@click.option(
    "--sample",
    type=click.IntRange(1),
    help="Check this many frames, evenly spread. [default: all]",
)
@click.option(
    "--slice", "selection", metavar="INDEX", help='Check part of it: "0, 50". Not with --against.'
)
@frames_option
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.1,
    show_default=True,
    help="Largest difference of positions on the sky, in arcsec.",
)
@click.option("--workers", type=click.IntRange(1), help="How many frames at once.")
@click.option("--anew", is_flag=True, help="Do not continue an interrupted run.")
@click.option("--no-keep", is_flag=True, help="Do not write verify.json into the store.")
@click.option("--allow-local", is_flag=True, help="Read files of this machine for a remote store.")
@json_option
@storage_options_option
@catalogue_option
def verify(
    store_or_asdf: str,
    as_json: bool,
    anew: bool,
    no_keep: bool,
    allow_local: bool,
    catalogue: str | None,
    **options: Any,
) -> None:
    """Check the frames of a store against its records of them.

    Are they present, whole, and the same: length, HDU, shape, type, DATASUM, CHECKSUM, keywords,
    and positions on the sky? The findings are written into the store, and opening it warns of
    errors. After Ctrl-C the same command continues.

    Exit status: 0 all frames are good, 1 something is wrong, 2 no frame could be checked, 3 all
    frames present are good, and some are absent. With --against: 0 all frames are equal, 1 one is
    different or refused, 2 none could be compared, 3 all frames present are equal, and some are
    absent.

    \b
    Examples:
      dkist-virtual verify BKEWK.virtual
      dkist-virtual verify BKEWK.virtual --sample 100 --json
      dkist-virtual verify DATASET.asdf --against astropy --sample 20
    """
    if options["against"] is not None and options["selection"] is not None:
        raise click.UsageError("--against takes --sample, and not --slice")
    store_or_asdf = place_of(store_or_asdf, catalogue, options["storage_options"])
    check_place(store_or_asdf)
    from dkist_virtual.verification.verify import verify as run

    options["allow_local"] = True if allow_local else None
    report = run(store_or_asdf, resume=not anew, keep=not no_keep, **options)
    click.echo(json.dumps(report.as_json(), indent=2) if as_json else str(report))
    sys.exit(report.exit_status)


@cli.command()
@click.argument("directory", type=click.Path(file_okay=False), required=False)
def demo(directory: str | None) -> None:
    """Make a small VTF dataset, convert it, read from it and save a picture.

    \b
    Examples:
      dkist-virtual demo
      dkist-virtual demo /tmp/vtf
    """
    from dkist_virtual.demo.vtf import run_demo

    run_demo(None if directory is None else Path(directory), echo=click.echo)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; errors of this package are one line, and exit status 1.

    Warnings are one line too.
    """
    try:
        with _warnings_as_lines():
            cli(args, standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        _interrupted(error)
    except DKISTVirtualError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        # No permission to write, a full disk: a problem of the machine, not a bug.
        click.echo(f"Error: {redacted(error)}", err=True)
        sys.exit(1)
    except Exception as error:
        # Some packages turn Ctrl-C during their import into errors of their own.
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        _interrupted(cause)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print a warning as one line, without the place in the code that Python puts in front."""

    def show(message: Warning | str, *_: object) -> None:
        click.echo(f"Warning: {redacted(message)}", err=True)

    before: Any = warnings.showwarning
    warnings.showwarning = cast("Any", show)
    try:
        yield
    finally:
        warnings.showwarning = before


def _interrupted(error: BaseException) -> NoReturn:
    # click raises Abort from Ctrl-C; the cause may state how far the work came.
    state = str(error) or str(error.__cause__ or "")
    click.echo(f"Interrupted: {state or 'nothing was left half done'}.", err=True)
    sys.exit(130)


if __name__ == "__main__":
    main()
