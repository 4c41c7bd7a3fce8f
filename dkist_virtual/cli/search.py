"""Define the commands that ask the Data Center or Globus: search, quality, movie, login."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Literal

import click

from dkist_virtual.cli.options import overview_text, storage_options_option
from dkist_virtual.datacenter.ids import is_id
from dkist_virtual.fits.errors import one_line

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.units import Quantity

__all__ = ["login", "movie", "quality", "search"]


def _quantity(name: str, text: str, unit: str) -> Quantity:
    from astropy.units import Quantity, UnitsError

    try:
        return Quantity(text).to(unit)
    except (TypeError, ValueError, UnitsError):
        raise click.BadParameter(
            f"{text!r}: expected a number and a unit: '1 {unit}'", param_hint=f"--{name}"
        ) from None


@click.command()
@click.option("--instrument", multiple=True, help="VISP, VBI, VTF, CRYO-NIRSP, DL-NIRSP.")
@click.option("--time", nargs=2, metavar="FROM TO", help="Observed between the two.")
@click.option(
    "--wavelength", multiple=True, metavar="VALUE", help='"630.25 nm"; twice for a range.'
)
@click.option("--line", "spectral_line", multiple=True, help='"H alpha", "Fe I 630.2".')
@click.option("--target", multiple=True, help="For instance sunspot.")
@click.option("--proposal", multiple=True, metavar="ID", help="The primary proposal.")
@click.option("--product", multiple=True, metavar="ID", help="The active dataset of a product.")
@click.option("--dataset", multiple=True, metavar="ID", help="With any status.")
@click.option("--exposure", nargs=2, metavar="MIN MAX", help='Exposure time: "1 ms" "20 ms".')
@click.option("--fried", nargs=2, metavar="MIN MAX", help='Fried parameter: "5 cm" "30 cm".')
@click.option("--stokes", type=click.Choice(["IQUV", "I"]), help="Polarimetry, or intensity alone.")
@click.option(
    "--box",
    nargs=4,
    type=float,
    metavar="X1 Y1 X2 Y2",
    help="Within these helioprojective coordinates, in arcsec.",
)
@click.option(
    "--embargoed/--not-embargoed", default=None, help="Only those under embargo, or only others."
)
@click.option(
    "--status",
    type=click.Choice(["ACTIVE", "DEPRECATED", "REMOVED", "any"], case_sensitive=False),
    help="[default: ACTIVE]",
)
@click.option("--page", type=click.IntRange(1), help="Which part of a long list.")
@click.option("--page-size", type=click.IntRange(1), help="Datasets in each part.")
@click.option(
    "--open", "number", type=click.IntRange(1), metavar="N", help="Open the Nth of those found."
)
@click.option("--frames", metavar="PLACE", help="With --open: where to read the frames from.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every column.")
@click.option(
    "--catalogue", metavar="PLACE", help="A catalogue of stores to search, not the Data Center."
)
@storage_options_option
def search(
    number: int | None,
    frames: str | None,
    as_json: bool,
    box: tuple[float, ...] | None,
    **given: Any,
) -> None:
    """Search the Data Center, or a catalogue of stores, for datasets, and open one of them.

    Datasets have to match all options; of an option with several values, one of them. --open
    fetches the dataset's ASDF, converts it to a store that is cached on this machine, and prints
    what is in it; all other commands then open it by its ID.

    \b
    Examples:
      dkist-virtual search --instrument VISP --line "Fe I 630.2" --not-embargoed
      dkist-virtual search --time 2022-10-01 2022-11-01 --fried "8 cm" "30 cm" --stokes IQUV
      dkist-virtual search --product L1-ABCDE --open 1
      dkist-virtual search --target sunspot --json
      dkist-virtual search --catalogue https://example.org/stores/ --instrument VISP --open 1
    """
    if frames is not None and number is None:
        raise click.UsageError("--frames names the frames of a dataset for --open: use both")
    from dkist_virtual.datacenter.search import search as run
    from dkist_virtual.dataset.open import open_dataset

    asked: dict[str, Any] = {
        name: value for name, value in given.items() if value is not None and value != ()
    }
    if "wavelength" in asked:
        values = [_quantity("wavelength", text, "nm") for text in asked["wavelength"]]
        if len(values) > 2:
            raise click.UsageError("--wavelength: expected one value, or two for a range")
        asked["wavelength"] = values[0] if len(values) == 1 else values
    for name, unit in (("exposure", "ms"), ("fried", "cm")):
        if name in asked:
            asked[name] = [_quantity(name, text, unit) for text in asked[name]]
    if box:
        asked["bounding_box"] = _corners(box)
    try:
        found = run(**asked)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if number is None:
        click.echo(json.dumps(found.as_json(), indent=2) if as_json else found.numbered())
        return
    if number > len(found):
        raise click.UsageError(f"--open {number}: {len(found)} found. {found.advice}".rstrip())
    opened = open_dataset(
        found[number - 1], frames=frames, storage_options=given["storage_options"]
    )
    click.echo(overview_text(opened, as_json))


def _corners(box: tuple[float, ...]) -> SkyCoord:
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from sunpy.coordinates import Helioprojective

    x1, y1, x2, y2 = box
    return SkyCoord(
        [x1, x2] * u.arcsec, [y1, y2] * u.arcsec, frame=Helioprojective(observer="earth")
    )


def _identity(dataset: str) -> str:
    """Find the ID of a dataset from its own ID, that of its product, or its store or ASDF."""
    from dkist_virtual.dataset.open import check_place, open_dataset

    check_place(dataset)
    if is_id(dataset) and not os.path.lexists(dataset):
        from dkist_virtual.datacenter.catalogue import find

        return str(find(dataset)[0]["datasetId"])
    return open_dataset(dataset).files.dataset_id


@click.command()
@click.argument("dataset")
@click.argument("destination", type=click.Path(), default=".")
@click.option("--json", "as_json", is_flag=True, help="Fetch JSON, not PDF.")
def quality(dataset: str, destination: str, as_json: bool) -> None:
    """Fetch the quality report of DATASET: an ID, a store or an ASDF.

    \b
    Examples:
      dkist-virtual quality BKEWK
      dkist-virtual quality BKEWK.virtual reports/
    """
    identity = _identity(dataset)
    from dkist_virtual.datacenter.catalogue import fetch_file

    form: Literal["pdf", "json"] = "json" if as_json else "pdf"
    click.echo(one_line(fetch_file("quality", identity, destination, form=form)))


@click.command()
@click.argument("dataset")
@click.argument("destination", type=click.Path(), default=".")
def movie(dataset: str, destination: str) -> None:
    """Fetch the preview movie of DATASET: an ID, a store or an ASDF.

    \b
    Examples:
      dkist-virtual movie BKEWK
    """
    identity = _identity(dataset)
    from dkist_virtual.datacenter.catalogue import fetch_file

    click.echo(one_line(fetch_file("movie", identity, destination)))


@click.command()
@click.option(
    "--no-browser",
    is_flag=True,
    help="Print an address to open on any machine, and ask for the code shown there.",
)
@click.option(
    "--https", "collection", metavar="COLLECTION", help="For a collection read over HTTPS, by ID."
)
def login(no_browser: bool, collection: str | None) -> None:
    """Log in to Globus, for `download --via globus`. The dkist package uses the same login.

    \b
    Examples:
      dkist-virtual login
      dkist-virtual login --no-browser
    """
    from dkist_virtual.datacenter.globus import login as run

    run(collection, browser=not no_browser, say=click.echo, ask=click.prompt)
    click.echo("Logged in.")
