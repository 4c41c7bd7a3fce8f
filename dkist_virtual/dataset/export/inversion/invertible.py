"""Give datasets the methods that write for inversion codes and read their results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from astropy.units import Quantity

    from dkist_virtual.dataset.spectral.quantities import Quantities

__all__ = ["InvertibleCube"]


class InvertibleCube:
    """A dataset whose Stokes profiles inversion codes can take."""

    def to_sir(
        self,
        directory: str | os.PathLike[str],
        *,
        lines: str | int | Quantity | Sequence[Any] | Mapping[int, Any],
        continuum: Any,
        limb_darkening: str | float = "neckel 2005",
        window: Quantity | None = None,
        lines_file: str | os.PathLike[str] | None = None,
        blends: Mapping[int, Sequence[int]] | None = None,
        sigma: Any = None,
        positive_q: Quantity | None = None,
        code: Literal["sir", "desire"] = "sir",
        overwrite: bool = False,
        progress: bool | None = None,
    ) -> None:
        """Write the Stokes profiles for SIR or DeSIRe: a directory for each pixel.

        It has ``observed.per``: line indices, distances from the laboratory wavelength in mA, and
        I, Q, U and V over the quiet Sun's continuum at the centre of the disk. Wavelengths are in
        air: those of a dataset in vacuum are converted. What is masked, NaN or not observed is
        written as -10, which the codes leave out of the fit; pixels of which nothing was observed
        are left out. Beside them are ``pixels.txt``, with the place in the dataset, Tx, Ty, mu and
        directory of each pixel, ``wave.grid``, where the wavelengths are even, and
        ``region.json``. Some pixels are read and written at a time.

        Parameters
        ----------
        directory : path
        lines : str, Quantity, int, or several of them
            The spectral lines: names of the table of lines, wavelengths in air, or indices in
            `lines_file`. Others than those are counted from 1; a mapping gives each an index. Each
            wavelength belongs to the nearest line.
        continuum : float, Quantity or Dataset
            The intensity of the quiet Sun's continuum at the centre of the disk; or a quiet part of
            the dataset, at wavelengths of the continuum, whose median intensity is extrapolated to
            the centre of the disk by `limb_darkening`.
        limb_darkening : str or float
            A law, by name, or I(mu) / I(1) of the continuum at that part.
        window : Quantity, optional
            The half width around each line, or two ends. By default all wavelengths.
        lines_file : path, optional
            A file of atomic parameters in the format of SIR, which is copied as ``LINES``.
        blends : mapping, optional
            For the index of a line, those of the lines that are blended with it: they go into the
            grid.
        sigma : float or array, optional
            For DeSIRe: the noise over the continuum: one, or one for each wavelength of the
            dataset, (n,), and Stokes parameter, (n, 4). It becomes relative weights,
            ``observed.wht``.
        positive_q : Quantity, optional
            The direction of +Q, counterclockwise from solar west, where it is not documented. It
            is noted, as the azimuths that are found are counted from it.
        code : {"sir", "desire"}
            DeSIRe gets ``pos.coor`` of each pixel too.
        overwrite : bool
            Whether to write into a directory that has files in it.
        progress : bool, optional
            Whether to show a bar; by default where stderr is a terminal.

        Raises
        ------
        SelectionError
            No axis of wavelengths, or no positions on the sky.
        DatasetError
            Lines, windows or a continuum that do not fit the dataset.
        StoreError
            It cannot be written.

        Examples
        --------
        >>> part = ds[:, 300:320, :, 800:830]  # doctest: +SKIP
        >>> quiet = ds[0, 10:60, 40:60, 500:900]  # doctest: +SKIP
        >>> part.to_sir("sir", lines="Fe I 630.25", continuum=quiet)  # doctest: +SKIP
        """
        from dkist_virtual.dataset.export.inversion.to_sir import write_sir

        write_sir(
            self, directory, lines=lines, continuum=continuum, limb_darkening=limb_darkening,
            window=window, lines_file=lines_file, blends=blends, sigma=sigma,
            positive_q=positive_q, code=code, overwrite=overwrite, progress=progress,
        )  # fmt: skip

    def to_hazel(
        self,
        path: str | os.PathLike[str],
        *,
        continuum: Any,
        sigma: Any,
        limb_darkening: str | float = "neckel 2005",
        boundary: Any = None,
        window: Quantity | None = None,
        positive_q: Quantity | None = None,
        overwrite: bool = False,
        progress: bool | None = None,
    ) -> None:
        """Write the Stokes profiles for hazel: all pixels in a file, in C order.

        A name ``NAME.h5`` gives the HDF5 file of many pixels, and ``NAME_mask.h5``, which leaves
        out those of which nothing was observed; ``NAME.1d`` the text of a single one. Beside them
        are ``NAME.wavelength``, in angstrom in air, and ``NAME.weights``. Profiles are over the
        quiet Sun's continuum at the centre of the disk. What is masked, NaN or not observed has a
        standard deviation of 1e10. The angles of the line of sight are theta, the heliocentric
        angle, chi = 0, and gamma, from the radius to +Q. Some pixels are read and written at a
        time.

        Parameters
        ----------
        path : path
        continuum, limb_darkening
            As `to_sir` takes them.
        sigma : float or array
            The noise over the continuum: one, or one for each wavelength of the dataset, (n,), and
            Stokes parameter, (n, 4).
        boundary : float, array or Dataset, optional
            What comes from below, over the quiet Sun's continuum at the same mu: one value, or one
            for each pixel. By default 1 on the disk, and 0 off the limb.
        window : Quantity, optional
            Two ends of the wavelengths, by default all.
        positive_q : Quantity, optional
            The direction of +Q, counterclockwise from solar west, where it is not documented.
        overwrite, progress : optional
            As `to_sir` takes them.

        Raises
        ------
        SelectionError
            No axis of wavelengths, or no positions on the sky.
        DatasetError
            A continuum, noise or name that does not fit, or an unknown Stokes frame.
        StoreError
            It cannot be written.
        ImportError
            h5py is not installed: the extra ``xarray``.

        Examples
        --------
        >>> part.to_hazel("10830.h5", continuum=quiet, sigma=1e-3)  # doctest: +SKIP
        """
        from dkist_virtual.dataset.export.inversion.to_hazel import write_hazel

        write_hazel(
            self, path, continuum=continuum, limb_darkening=limb_darkening, sigma=sigma,
            boundary=boundary, window=window, positive_q=positive_q, overwrite=overwrite,
            progress=progress,
        )  # fmt: skip

    def read_sir(
        self,
        directory: str | os.PathLike[str],
        *,
        log_tau: float | Sequence[float],
        model: str = "*.mod",
        progress: bool | None = None,
    ) -> Quantities:
        """Read the models that SIR or DeSIRe found, on the coordinates of this dataset.

        Parameters
        ----------
        directory : path
            That `to_sir` wrote of this dataset, of the same selection.
        log_tau : float or several
            The logarithm of the optical depth at 500 nm at which quantities are taken, between
            depths interpolated.
        model : str
            The name of the model in the directory of each pixel, which may be a pattern that fits
            one file.
        progress : bool, optional
            Whether to show a bar; by default where stderr is a terminal.

        Returns
        -------
        Quantities
            Datasets by name: temperature, electron_pressure, microturbulence, magnetic_field,
            velocity (positive: receding), inclination and azimuth (to the line of sight, from +Q),
            height, gas_pressure, density; with ``_at_-1`` and so on at the end for several depths;
            macroturbulence, filling_factor, stray_light. Pixels without a model are masked.

        Raises
        ------
        DatasetError
            Of another region, or no pixel has such a model.
        """
        from dkist_virtual.dataset.export.inversion.read_back import read_sir

        return read_sir(self, directory, model=model, log_tau=log_tau, progress=progress)

    def read_hazel(
        self,
        path: str | os.PathLike[str],
        *,
        observations: str | os.PathLike[str],
        log_tau: float | None = None,
        cycle: int = -1,
        randomization: int = 0,
    ) -> Quantities:
        """Read what hazel found, on the coordinates of this dataset.

        Parameters
        ----------
        path : path
            The HDF5 file that hazel wrote.
        observations : path
            The HDF5 file that `to_hazel` wrote of this dataset, of the same selection.
        log_tau : float, optional
            The optical depth at which quantities of photospheres are taken.
        cycle, randomization : int
            Which of them, by default the last cycle.

        Returns
        -------
        Quantities
            Datasets by name: the atmosphere and the quantity, as ``ch1_tau`` or ``ph1_T``, and
            ``spec1_chi2``. Pixels that were left out are masked.

        Raises
        ------
        DatasetError
            Of another region, or not an output of hazel.
        """
        from dkist_virtual.dataset.export.inversion.read_back import read_hazel

        return read_hazel(
            self, path, observations=observations, log_tau=log_tau, cycle=cycle,
            randomization=randomization,
        )  # fmt: skip
