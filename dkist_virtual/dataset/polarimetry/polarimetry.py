"""Define `Polarimetry`: what ``ds.polarimetry`` measures of the Stokes parameters."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import astropy.units as u

from dkist_virtual.dataset.polarimetry.keywords import (
    V_SIGN,
    axis_of,
    check_how,
    check_one_of,
    has_limb,
    off_the_limb,
    words,
)
from dkist_virtual.errors import DatasetError, SelectionError

if TYPE_CHECKING:
    from astropy.units import Quantity

    from dkist_virtual.dataset.spectral.quantities import Quantities
    from dkist_virtual.science.polarimetry.frame import StokesFrame

__all__ = ["HasPolarimetry", "Polarimetry"]

How = Literal["maximum", "mean"]

_AMBIGUOUS = "an azimuth and the opposite one, 180 degrees away, polarise alike"


class HasPolarimetry:
    """A dataset that has Stokes parameters."""

    @property
    def polarimetry(self: Any) -> Polarimetry:
        """Measure polarisation and magnetic fields: see `Polarimetry`.

        Raises
        ------
        SelectionError
            No Stokes parameter changes along an axis of this selection.
        """
        return Polarimetry(self)


class Polarimetry:
    """Measure the Stokes parameters of a dataset.

    Results are datasets without the axes of Stokes parameters and wavelengths, and
    ``meta["result"]`` says how each was computed. Nothing is read until pixels are asked for.

    Parameters
    ----------
    ds : Dataset
        With a Stokes axis.
    """

    def __init__(self, ds: Any) -> None:
        from dkist_virtual.dataset.polarimetry.parameters import StokesParameters

        self._parameters = StokesParameters(ds)
        self._ds = ds

    def __repr__(self) -> str:
        return f"Polarimetry: of Stokes {', '.join(self._parameters.letters)}, frame {self.frame}"

    @property
    def frame(self) -> StokesFrame:
        """The frame of Q and U, and how it is known: no header keyword states it.

        Level 1 data of ViSP, Cryo-NIRSP and DL-NIRSP are in that of SDO/HMI and Hinode-SP: +Q
        perpendicular and -Q parallel to the Sun's central meridian. It is "unknown" for ViSP data
        of April 2023 and before, which CALVERS tells, and for other instruments.
        """
        from dkist_virtual.dataset.polarimetry.parameters import read_frame

        return read_frame(self._ds)

    def linear(
        self,
        line: Quantity | str | None = None,
        window: Quantity | None = None,
        *,
        how: How = "maximum",
    ) -> Any:
        """Compute the degree of linear polarisation, sqrt(Q**2 + U**2) / I.

        It is never negative, so noise does not average out: without polarisation the mean is 1.25
        standard deviations of Q / I, and the maximum more.

        Parameters
        ----------
        line : Quantity or str, optional
            In the dataset's medium, or a name of the table of lines.
        window : Quantity, optional
            Half of the width around `line`, or two ends; by default all wavelengths.
        how : {"maximum", "mean"}
            Over the window.
        """
        from dkist_virtual.science.polarimetry.profiles import linear_degree

        check_how("linear", how)
        self._refuse_state("linear")
        return self._over(
            partial(linear_degree, how=how), "IQU", "degree of linear polarisation", "",
            window, line, method=f"{how} over the window of sqrt(Q**2 + U**2) / I",
            noise="positive without polarisation too: 1.25 standard deviations of Q / I in the "
            "mean, more in the maximum",
        )  # fmt: skip

    def circular(
        self,
        line: Quantity | str | None = None,
        window: Quantity | None = None,
        *,
        how: How = "maximum",
    ) -> Any:
        """Compute the degree of circular polarisation, abs(V) / I, with the sign of the polarity.

        Positive where V is positive on the blue side of the line and negative on the red one, which
        is what a field towards the observer makes of an absorption line. The sides meet at the
        centre of gravity of I, so the window must have one line in it.

        Parameters
        ----------
        line, window, how
            As of `linear`.
        """
        from dkist_virtual.science.polarimetry.profiles import circular_degree

        check_how("circular", how)
        self._refuse_state("circular")
        self._warn_of_unknown_sign("circular")
        return self._over(
            partial(circular_degree, how=how), "IV", "degree of circular polarisation", "",
            window, line, method=f"{how} over the window of abs(V) / I, with the sign of V on the "
            "blue side of the centre of gravity of I",
            sign=V_SIGN,
            noise="away from zero without polarisation too: 0.8 standard deviations of V / I in "
            "the mean, more in the maximum",
        )  # fmt: skip

    def azimuth(
        self,
        line: Quantity | str | None = None,
        window: Quantity | None = None,
        *,
        of: Literal["field", "polarisation"] = "field",
        kind: Literal["absorption", "emission"] = "absorption",
    ) -> Any:
        """Compute the azimuth of the field across the line of sight, or that of the polarisation.

        In degrees from 0 to 180, counterclockwise on the sky from +Q: in the frame of SDO/HMI and
        Hinode-SP from solar west, the direction of Tx (HMI's own azimuths begin at north, 90
        degrees further). Where field and observer are on opposite sides, 180 degrees away, the
        polarisation is the same: the ambiguity is not resolved. In an absorption line, the
        polarisation is along the field in the wings, and across it in the core: the azimuth of the
        field weights the wings, as `science.polarimetry.profiles.azimuth` says, and wants all of
        the line in the window and no other one.

        Parameters
        ----------
        line, window
            As of `linear`.
        of : {"field", "polarisation"}
            For scattering polarisation, and for single wavelengths, "polarisation".
        kind : {"absorption", "emission"}
            Of the line, for the field.

        Warns
        -----
        DKISTVirtualWarning
            The frame is unknown, and so the direction of the zero.
        """
        from dkist_virtual.dataset.polarimetry.parameters import warn_of_unknown
        from dkist_virtual.science.polarimetry.profiles import azimuth

        check_one_of("azimuth", "of", of, ("field", "polarisation"))
        check_one_of("azimuth", "kind", kind, ("absorption", "emission"))
        self._refuse_state("azimuth")
        warn_of_unknown(self.frame, "azimuth", "where +Q, its zero, points is unknown, too")
        methods = {
            "field": "Q and U weighted by the squared distance from the centre of gravity of I",
            "polarisation": "half of the angle of Q and U, summed over the window",
        }
        return self._over(
            partial(azimuth, of=of, is_emission=kind == "emission"), "IQU", f"azimuth of the {of}",
            u.deg, window, line, method=methods[of], zero=f"+Q: {self.frame.axes or 'unknown'}",
            sense="counterclockwise on the sky", ambiguity=_AMBIGUOUS, kind=kind,
        )  # fmt: skip

    def weak_field(
        self,
        line: Quantity | str,
        window: Quantity,
        *,
        lande: float | None = None,
        continuum: Quantity | None = None,
        noise: Any = None,
        limit: float | None = 1 / 3,
        wavelength_offset: Any = None,
    ) -> Quantities:
        """Compute the magnetic field along the line of sight in the weak-field approximation.

        ``V = -4.67e-13 lande lambda**2 B dI/dlambda`` (lambda in Angstrom, B in gauss; Landi
        Degl'Innocenti and Landolfi 2004, Polarization in Spectral Lines), by least
        squares over the window. B is positive towards the observer. V is taken to be positive on
        the blue side of an absorption line there, as in the data of SDO/HMI and Hinode-SP. It is
        for a quick look: stray light and a field that fills a part of a pixel make it smaller.

        Parameters
        ----------
        line : Quantity or str
            In the dataset's medium, or a name of the table of lines.
        window : Quantity
            Half of its width around the line, or two ends: with this line in it and no other one.
        lande : float, optional
            The effective Landé factor; by default that of the table of lines.
        continuum : Quantity, optional
            Two ends of a continuum: for the noise of V, and the level from which the line's depth
            is taken. By default that is the brighter end of the window.
        noise : Quantity, number, array or dataset, optional
            The standard deviation of V at one pixel; by default that in the continuum, or else of V
            about the fit.
        limit : float or None
            Where the splitting along the line of sight is more than so many Doppler widths of the
            line, the field is masked: V saturates. With a third, a field along the line of sight is
            up to 15 per cent too large. None masks nothing. What splits a line across the line of
            sight is not noticed.
        wavelength_offset : Quantity or Dataset, optional
            Added to the wavelengths of each spectrum, as `Spectral` takes it.

        Returns
        -------
        Quantities
            `field` and `error` in G, and `splitting` in Doppler widths: `field.plot()`.

        Examples
        --------
        >>> q = ds.polarimetry.weak_field(630.25 * u.nm, 0.03 * u.nm, lande=2.5)  # doctest: +SKIP
        >>> q.field.plot()  # doctest: +SKIP
        """
        from dkist_virtual.dataset.polarimetry.magnetic import weak_field

        self._refuse_state("weak_field")
        self._warn_of_unknown_sign("weak_field")
        made = weak_field(
            self._parameters, line, window, lande=lande, continuum=continuum, noise=noise,
            limit=limit, offset=wavelength_offset, said=self._said({"sign": V_SIGN}),
        )  # fmt: skip
        for one in made.values():
            self._settle(one)
        return made

    def crosstalk(
        self, continuum: Quantity, *, off_limb: Literal["refuse", "mask"] = "refuse"
    ) -> Quantities:
        """Compute the cross-talk from I into Q, U and V, at each position along the slit.

        By what Q, U and V are of I in the continuum, which is hardly polarised on the disk.

        Parameters
        ----------
        continuum : Quantity
            Two ends of a range of wavelengths without lines, telluric ones included.
        off_limb : {"refuse", "mask"}
            What to do where a part of the selection is off the limb: the light there is scattered,
            and polarised.

        Returns
        -------
        Quantities
            The fractions by letter, of those parameters that there are: `Q`, `U`, `V`.

        Raises
        ------
        SelectionError
            A part of the selection is off the limb.
        """
        from dkist_virtual.dataset.spectral.engine import over_wavelengths
        from dkist_virtual.science.polarimetry.profiles import crosstalk

        letters = [letter for letter in "QUV" if letter in self._parameters.letters]
        if not letters:
            raise SelectionError("crosstalk: this selection has no Stokes parameter but I")
        check_one_of("crosstalk", "off_limb", off_limb, ("refuse", "mask"))
        self._refuse_state("crosstalk")
        stokes_i, *others = self._parameters.together("I", *letters)
        axis = axis_of(stokes_i)
        used = axis.window(continuum)
        off = has_limb(stokes_i)
        if off and off_limb == "refuse":
            raise SelectionError(
                "crosstalk: a part of this selection is off the limb, where the continuum is "
                'scattered light and polarised: ds.crop leaves it out, off_limb="mask" masks it'
            )
        made = over_wavelengths(
            stokes_i, axis, crosstalk, letters, [""] * len(letters),
            arguments=others, used=used,
            what=[f"cross-talk from I to {letter}" for letter in letters],
            meta=self._said({
                "method": "sum over the continuum by that of I", "window": words(axis, used=used),
            }),
        )  # fmt: skip
        for one in made.values():
            self._settle(one)
            if off:
                one.mask = one.mask | off_the_limb(one)
        return made

    def remove_crosstalk(self, continuum: Quantity) -> Any:
        """Subtract from Q, U and V what came from I: see `crosstalk`; reads nothing.

        Parameters
        ----------
        continuum : Quantity
            Two ends of a range of wavelengths without lines.

        Raises
        ------
        SelectionError
            A part of the selection is off the limb.
        DatasetError
            The dataset has an uncertainty, which does not follow.
        """
        import dask.array as da

        from dkist_virtual.dataset.polarimetry.changed import with_parameters

        self._refuse_uncertainty("remove_crosstalk")
        found = self.crosstalk(continuum)
        stokes_i = self._parameters["I"]
        on = axis_of(stokes_i).array_axis
        changed, unknown = {}, {}
        for letter, share in found.items():
            fraction = da.expand_dims(share.data, on)
            changed[letter] = self._parameters[letter].data - fraction * stokes_i.data
            unknown[letter] = da.expand_dims(share.mask, on)
        return with_parameters(
            self._parameters, changed, unknown, frame=self.frame,
            result={
                **next(iter(found.values())).meta["result"],
                "quantity": "Stokes parameters without cross-talk from I",
            },
        )  # fmt: skip

    def rotated(
        self,
        angle: Quantity | None = None,
        *,
        to: Literal["north", "radial", "slit"] | None = None,
    ) -> Any:
        """Turn the frame of Q and U; reads nothing. Released data need no rotation.

        Parameters
        ----------
        angle : Quantity, optional
            By which +Q is turned, counterclockwise on the sky: towards +U.
        to : {"north", "radial", "slit"}, optional
            Instead of an angle, where +Q shall point: to solar north, away from the centre of the
            disk, or along the slit (the last axis of the sky within a frame).

        Raises
        ------
        DatasetError
            Neither or both are given; or the frame is unknown, so that `to` cannot be reached; or
            there is an uncertainty, which does not follow.
        """
        from dkist_virtual.dataset.polarimetry.changed import with_parameters
        from dkist_virtual.dataset.polarimetry.directions import angles_to
        from dkist_virtual.science.polarimetry.frame import rotated_frame
        from dkist_virtual.science.polarimetry.profiles import rotate

        if (angle is None) == (to is None):
            raise DatasetError(
                'rotated: give an angle, as in 30 * u.deg, or to="north", "radial" or "slit"'
            )
        self._refuse_uncertainty("rotated")
        frame = self.frame
        q, other = self._parameters["Q"], self._parameters["U"]
        by: Any
        if to is not None:
            check_one_of("rotated", "to", to, ("north", "radial", "slit"))
            if frame.name != "SDO/HMI and Hinode-SP":
                raise DatasetError(
                    f'rotated: to="{to}" needs to know where +Q points, and the frame is {frame}. '
                    "An angle turns it from where it is"
                )
            by = angles_to(q, to)
            said, axes = f'rotated: +Q to "{to}"', {
                "north": "+Q parallel to the Sun's central meridian",
                "radial": "+Q away from the centre of the disk", "slit": "+Q along the slit",
            }[to]  # fmt: skip
        else:
            if not isinstance(angle, u.Quantity) or not angle.unit.is_equivalent(u.rad):
                raise DatasetError(f"rotated: angle={angle!r}: expected an angle, as in 30 * u.deg")
            if angle.shape:
                raise DatasetError(f"rotated: expected one angle, found some of {angle.shape}")
            by = float(angle.to_value(u.rad))
            said = f"rotated by {angle.to(u.deg):.6g} counterclockwise"
            axes = f"+Q {angle.to(u.deg):.6g} counterclockwise of where it was"
        new_q, new_u = rotate(q.data, other.data, by)
        return with_parameters(
            self._parameters, {"Q": new_q, "U": new_u}, {},
            frame=rotated_frame(frame, said, axes),
            result={"quantity": "Stokes parameters", "method": said, "before": str(frame)},
        )  # fmt: skip

    # What they share ----------------------------------------------------------------------

    def _refuse_state(self, what: str) -> None:
        """Refuse what does not follow into a result without wavelengths."""
        from dkist_virtual.dataset.spectral.options import refuse_state

        refuse_state(self._ds, what)

    def _refuse_uncertainty(self, what: str) -> None:
        if self._ds.uncertainty is not None:
            raise DatasetError(
                f"{what}: the uncertainty does not follow, as Stokes parameters are combined. "
                "ds.uncertainty = None leaves it behind"
            )

    def _warn_of_unknown_sign(self, what: str) -> None:
        from dkist_virtual.dataset.derived.frame_columns import read_instrument
        from dkist_virtual.dataset.polarimetry.parameters import warn_of_unknown
        from dkist_virtual.science.polarimetry.frame import is_documented

        if not is_documented(read_instrument(self._ds)):
            warn_of_unknown(self.frame, what, "the sign of V may be another one than is assumed")

    def _said(self, more: dict[str, Any]) -> dict[str, Any]:
        return {**more, "stokes_frame": str(self.frame)}

    def _settle(self, made: Any) -> None:
        """Say of a result that it is not of one Stokes parameter."""
        from dkist_virtual.cube.spectral.without_stokes import without_stokes

        if made.provenance is None:  # else what is computed of frames says none of theirs
            made._wcs = without_stokes(made.wcs)
        made._past = f"{made.meta['result']['quantity']} of {self._ds.lineage.source}"

    def _over(
        self, function: Any, letters: str, what: str, unit: Any, window: Quantity | None,
        line: Quantity | str | None, **said: Any,
    ) -> Any:  # fmt: skip
        from dkist_virtual.dataset.spectral.engine import over_wavelengths
        from dkist_virtual.dataset.spectral.options import read_line, say_line

        first, *others = self._parameters.together(*letters)
        axis = axis_of(first)
        at = None if line is None else read_line(line, axis)
        used = axis.window(window, at)
        meta = self._said({**said, "window": words(axis, used=used)})
        if line is not None and at is not None:
            meta["line"] = say_line(line, at)
        made = over_wavelengths(
            first, axis, function, ("value",), (unit,), used=used, what=(what,), meta=meta,
            arguments=others,
        )  # fmt: skip
        self._settle(made["value"])
        return made["value"]
