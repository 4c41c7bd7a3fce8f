"""List what a second picture can show beside the first one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dkist_virtual.view.state.state import PictureState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import ViewState

__all__ = ["Choice", "choices", "chosen", "with_second"]


@dataclass(frozen=True)
class Choice:
    """What a second picture can show.

    Parameters
    ----------
    name : str
    picture : PictureState or None
        None for no second picture.
    """

    name: str
    picture: PictureState | None


def choices(sources: Sequence[Source], state: ViewState) -> list[Choice]:
    """List what a second picture can show of these datasets, at this point."""
    found = [Choice("none", None)]
    roles = sources[0].roles
    main = state.pictures[0] if state.pictures else None
    if main is not None and main.dataset == 0:
        plain = replace(main, held=(), lag=(), kind="data", limits=None, cmap=None)
        if roles.stokes is not None and roles.stokes not in main.axes:
            for pixel, letter in enumerate(sources[0].letters):
                held = ((roles.stokes, pixel),)
                found.append(Choice(f"Stokes {letter}", replace(plain, held=held)))
            for pixel, letter in enumerate(sources[0].letters):
                if letter != "I" and "I" in sources[0].letters:
                    held = ((roles.stokes, pixel),)
                    part = replace(plain, held=held, kind="fraction")
                    found.append(Choice(f"Stokes {letter} / Ic", part))
        if roles.wavelength is not None and roles.wavelength not in main.axes:
            held = ((roles.wavelength, state.point[roles.wavelength]),)
            found += [
                Choice(
                    f"this {sources[0].axes.names[roles.wavelength]}, held",
                    replace(plain, held=held),
                ),
                Choice("fraction of the continuum", replace(plain, kind="fraction")),
                Choice("Doppler: red minus blue wing", replace(plain, kind="doppler")),
            ]
        if roles.stepped is not None and roles.stepped not in main.axes:
            held = ((roles.stepped, state.point[roles.stepped]),)
            name = sources[0].axes.names[roles.stepped]
            found.append(Choice(f"this {name}, held", replace(plain, held=held)))
    if roles.map is not None and (main is None or set(roles.map) != set(main.axes)):
        found.append(Choice("raster map", PictureState(roles.map)))
        if roles.wavelength is not None and roles.wavelength not in roles.map:
            doppler = PictureState(roles.map, kind="doppler")
            found.append(Choice("raster map, Doppler", doppler))
    for number, other in enumerate(sources[1:], 1):
        if other.shown.y is not None:
            axes = (other.shown.x, other.shown.y)
            found.append(Choice(f"dataset {number + 1}", PictureState(axes, dataset=number)))
    return found


def _identity(picture: PictureState | None, stokes: int | None) -> Any:
    """What a picture shows: not its window or look, or the wavelength or time that it holds."""
    if picture is None:
        return None
    held = tuple((axis, pixel if axis == stokes else None) for axis, pixel in picture.held)
    return picture.axes, held, picture.dataset, picture.kind


def chosen(found: Sequence[Choice], source: Source, state: ViewState) -> Choice | None:
    """Return the choice that the second picture shows; None where it is none of these."""
    second = state.pictures[1] if len(state.pictures) > 1 else None
    stokes = source.roles.stokes
    now = _identity(second, stokes)
    return next((one for one in found if _identity(one.picture, stokes) == now), None)


def with_second(state: ViewState, picture: PictureState | None) -> ViewState:
    """Return the state with another second picture; others stay."""
    second = () if picture is None else (picture,)
    return replace(state, pictures=(*state.pictures[:1], *second, *state.pictures[2:]))
