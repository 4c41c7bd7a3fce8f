"""Define the command that shows a dataset as an image or as lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dkist_virtual.cli.options import (
    catalogue_option,
    check_place,
    frames_option,
    open_place,
    place_of,
    storage_options_option,
)

if TYPE_CHECKING:
    from types import EllipsisType

    from astropy.units import Quantity

    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.level2.inversion import Inversion
    from dkist_virtual.plot.base import SteppedPlot

__all__ = ["plot"]

_MOVIES = (".mp4", ".gif", ".html")
"""As `plot.output.writers.SUFFIXES`, which is not imported: a wrong name is answered at once."""


@click.command()
@click.argument("store_or_asdf", type=click.Path())
@click.option("--slice", "index", metavar="INDEX", default="", help='Part of it: "0, :, 500".')
@click.option("--wavelength", metavar="VALUE", help='Nearest to: "630.25 nm".')
@click.option("--stokes", metavar="LETTER", help="I, Q, U or V.")
@click.option("--time", metavar="UTC", help='Nearest to: "2022-10-24T19:10".')
@click.option(
    "--axes", metavar="AXES", help='Axes to draw, one word for each: "-, x, -, y" for a map.'
)
@click.option(
    "--profile", metavar="PIXEL", help='Draw the profiles of a pixel, not an image: "500, 700".'
)
@click.option(
    "--quantity", metavar="KEY", help="Of an inversion: which quantity or profile, by its key."
)
@frames_option
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Write a picture; open no window."
)
@click.option(
    "--movie", type=click.Path(dir_okay=False), help="Write a movie: .mp4, .gif or .html."
)
@click.option(
    "--axis", metavar="AXIS", help="Along which a movie steps: time, wavelength, a number, a name."
)
@click.option(
    "--fps", type=click.FloatRange(0.01, 1000), help="Frames a second of a movie.  [default: 10]"
)
@click.option(
    "--dpi",
    type=click.IntRange(20, 1200),
    default=130,
    show_default=True,
    help="Resolution of the picture.",
)
@storage_options_option
@catalogue_option
def plot(
    store_or_asdf: str,
    index: str,
    axes: str | None,
    profile: str | None,
    quantity: str | None,
    frames: str | None,
    output: str | None,
    movie: str | None,
    axis: str | None,
    fps: float | None,
    dpi: int,
    storage_options: dict[str, Any] | None,
    catalogue: str | None,
    **where: str | None,
) -> None:
    """Show a dataset, or part of it, as an image with sliders; a mosaic on the sky.

    Of an inversion one quantity, or profile, is shown.

    \b
    Examples:
      dkist-virtual plot VTF.virtual --stokes V --wavelength "630.26 nm" -o v.png
      dkist-virtual plot BKEWK.virtual --slice "0, :, 500" -o raster.png
      dkist-virtual plot VTF.virtual --profile "500, 700" -o profiles.png
      dkist-virtual plot INVERSION.virtual --quantity temperature --slice "..., 20"
      dkist-virtual plot VBI.virtual --movie vbi.mp4 --axis time
      dkist-virtual plot VTF.virtual
    """
    if movie is None and (axis is not None or fps is not None):
        raise click.UsageError("--axis and --fps are for a movie: --movie names its file")
    if movie is not None and output is not None:
        raise click.UsageError("--movie and -o: give one of them")
    if movie is not None and Path(movie).suffix.lower() not in _MOVIES:
        raise click.BadParameter(f"{movie!r}: expected a name that ends in {', '.join(_MOVIES)}")
    if axes is not None and profile is not None:
        raise click.UsageError("--axes is for an image, --profile for lines: give one of them")
    store_or_asdf = place_of(store_or_asdf, catalogue, storage_options)
    check_place(store_or_asdf)
    import matplotlib as mpl

    if output is not None or movie is not None:
        mpl.use("agg")
    from matplotlib import pyplot as plt

    from dkist_virtual.cube.selection import parse_index
    from dkist_virtual.dataset.level2.inversion import Inversion
    from dkist_virtual.dataset.mosaic import TiledDataset

    if output is None and movie is None and plt.get_backend().lower() == "agg":
        raise click.UsageError("there is no screen for a window: name a file with -o")
    kinds = plt.figure().canvas.get_supported_filetypes()
    plt.close()
    if Path(output or "a.png").suffix.lstrip(".") not in kinds:
        raise click.BadParameter(
            f"{output!r}: expected a name that ends in one of {', '.join(kinds)}"
        )
    chosen = parse_index(index)
    opened = open_place(store_or_asdf, frames, storage_options)
    if quantity is not None and not isinstance(opened, Inversion):
        raise click.UsageError("--quantity is for an inversion, which this is not")
    ds: Dataset | TiledDataset = (
        _member(opened, quantity) if isinstance(opened, Inversion) else opened
    )
    if isinstance(ds, TiledDataset):
        if axes is not None or profile is not None:
            raise click.UsageError("--axes and --profile are for a dataset: this is a mosaic")
        drawn: SteppedPlot = (ds.slice_tiles[chosen] if chosen else ds).plot()
    else:
        ds = ds[chosen] if chosen else ds
        if profile is not None:
            drawn = ds.plot_profile(_pixel(profile))
        else:
            drawn = ds.plot(None if axes is None else [_axis(word) for word in axes.split(",")])
    point = {name: _coordinate(name, text) for name, text in where.items() if text is not None}
    if point:
        drawn.at(**point)
    if movie is not None:
        number = axis is not None and axis.lstrip("-").isdigit()
        along = int(axis or 0) if number else axis
        drawn.movie(movie, along, fps=10 if fps is None else fps, dpi=dpi)
        click.echo(movie)
    elif output is None:
        plt.show()
    else:
        drawn.save(output, dpi=dpi)
        click.echo(output)


def _member(inversion: Inversion, key: str | None) -> Dataset:
    """Choose a quantity or profile of an inversion."""
    members: dict[str, Dataset] = {**(inversion.profiles or {}), **inversion}
    if key not in members:
        said = "" if key is None else f", not {key!r}"
        known = ", ".join(dict.fromkeys([*inversion, *members]))
        raise click.UsageError(f"this is an inversion: --quantity names one of {known}{said}")
    return members[key]


def _axis(word: str) -> str | EllipsisType | None:
    """Read an axis of ``--axes``; the plot, which knows the axes, refuses others."""
    stripped = word.strip()
    if stripped == "...":
        return ...
    return None if stripped == "-" else stripped


def _pixel(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f'{text!r}: expected whole numbers: "500, 700"') from error


def _coordinate(name: str, text: str) -> Quantity | str:
    """Read a coordinate; a wavelength as a quantity."""
    if name != "wavelength":
        return text
    from astropy.units import Quantity

    try:
        value = Quantity(text)
    except TypeError:
        value = Quantity(0)
    if value.unit.physical_type == "dimensionless":
        raise click.BadParameter(f'{text!r}: expected a number and a unit: "630.25 nm"')
    return value
