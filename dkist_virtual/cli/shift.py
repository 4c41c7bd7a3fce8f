"""Define the command that lets a store remember a correction of its pointing."""

from __future__ import annotations

import json
from typing import Any

import click

from dkist_virtual.cli.options import check_place, json_option

__all__ = ["shift"]


@click.command()
@click.argument("store", type=click.Path())
@click.option("--dx", type=float, metavar="ARCSEC", help="Added to Tx: to the west.")
@click.option("--dy", type=float, metavar="ARCSEC", help="Added to Ty: to the north.")
@click.option(
    "--rotation", type=float, metavar="DEGREES", help="Counter-clockwise, with north up, Tx right."
)
@click.option(
    "--scale",
    type=float,
    multiple=True,
    help="Factor of distances from the centre; twice for that along the slit and along the raster.",
)
@click.option(
    "--center", type=float, nargs=2, metavar="TX TY", help="In arcsec. [default: of the field]"
)
@click.option("--from-headers", is_flag=True, help="Take the pointing in each frame's FITS header.")
@click.option("--reset", is_flag=True, help="Forget the corrections, before a new one if any.")
@click.option("--show", is_flag=True, help="Show what the pointing is corrected by.")
@json_option
def shift(
    store: str,
    dx: float | None,
    dy: float | None,
    rotation: float | None,
    scale: tuple[float, ...],
    center: tuple[float, float] | None,
    from_headers: bool,
    reset: bool,
    show: bool,
    as_json: bool,
) -> None:
    """Let STORE remember a correction of its pointing.

    It follows those that the store remembers, and is written into pointing.json in the store;
    nothing else in it changes. Distances are scaled about the centre, rotated about it, and
    shifted.

    \b
    Examples:
      dkist-virtual shift BKEWK.virtual --dx 3 --dy -1.5
      dkist-virtual shift BKEWK.virtual --rotation 0.2 --scale 1 --scale 1.02
      dkist-virtual shift BMPNP.virtual --from-headers
      dkist-virtual shift BKEWK.virtual --show
      dkist-virtual shift BKEWK.virtual --reset
    """
    given = [value is not None for value in (dx, dy, rotation, center)] + [bool(scale)]
    changes = any(given) or from_headers or reset
    if show and changes:
        raise click.UsageError("--show is alone: it changes nothing")
    if as_json and changes:
        raise click.UsageError("--json is for --show")
    if from_headers and any(given):
        raise click.UsageError("--from-headers is alone, or with --reset: run the command twice")
    if not show and not changes:
        raise click.UsageError(
            "expected --dx, --dy, --rotation, --scale, --from-headers, --reset or --show"
        )
    if len(scale) > 2:
        raise click.UsageError("--scale: expected it once, or twice")
    check_place(store)
    if show:
        _show(store, as_json)
        return
    import astropy.units as u

    from dkist_virtual.dataset.pointing.stores import shift_store

    def angle(value: Any, unit: u.UnitBase) -> Any:
        return None if value is None else u.Quantity(value, unit)

    made = shift_store(
        store,
        "headers" if from_headers else angle(dx, u.arcsec),
        angle(dy, u.arcsec),
        rotation=angle(rotation, u.deg),
        scale=None if not scale else scale[0] if len(scale) == 1 else scale,
        center=angle(center, u.arcsec),
        reset=reset,
    )
    click.echo(_said(store, list(made.overview().pointing)))


def _show(store: str, as_json: bool) -> None:
    from dkist_virtual.cli.options import open_files

    found = open_files(store, None, None)
    lines = list(getattr(found.overview(), "pointing", ()))
    click.echo(json.dumps(lines, indent=2) if as_json else _said(store, lines))


def _said(store: str, lines: list[str]) -> str:
    if not lines:
        return f"{store}: the pointing is that of the ASDF"
    return "\n".join([f"{store}: the pointing is corrected by", *(f"  {one}" for one in lines)])
