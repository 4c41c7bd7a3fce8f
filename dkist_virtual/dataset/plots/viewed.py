"""Give datasets and mosaics the method that shows them in a browser."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dkist_virtual.view.viewer import Viewer

__all__ = ["Viewed", "lines_of"]


class Viewed:
    """Adds `view` to a dataset or mosaic."""

    def view(
        self,
        *others: Any,
        download_to: str | os.PathLike[str] | None = None,
        browser: bool | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> Viewer:
        """Show this dataset in a browser: linked pictures, spectra and strips.

        Returns at once; what is shown is read as it is shown. The page is served to this machine
        alone, at an address that cannot be guessed, until the viewer is closed or Python ends. In
        a notebook the viewer shows in its cell. Needs ``pip install "dkist_virtual[view]"``.

        Parameters
        ----------
        *others : Dataset or TiledDataset
            Shown with it, in step by nearest time.
        download_to : path, optional
            The directory that the page's download button fills, and makes where there is none;
            the page has a button for downloads only with it.
        browser : bool, optional
            Whether to open the page in a browser: by default not in a notebook.
        host : str
            The address to listen on. With another one than the default, other machines that know
            the page's address are served too, without encryption.
        port : int
            By default any that is free.

        Returns
        -------
        Viewer
            Whose `selection` is what is marked on the page, as a dataset, `url` the page's address,
            and `wait` keeps a script alive until it is interrupted.

        Examples
        --------
        >>> v = ds.view()  # doctest: +SKIP
        >>> v.selection  # doctest: +SKIP
        """
        from dkist_virtual.view.viewer import Viewer

        viewer = Viewer(
            self, *others, download_to=download_to, host=host, port=port, lines=lines_of(self)
        )
        if not viewer.is_in_notebook() if browser is None else browser:
            viewer.show()
        return viewer


def lines_of(dataset: Any) -> tuple[tuple[str, float], ...]:
    """Name spectral lines, and their wavelengths in nm in the medium of a dataset or mosaic.

    Where a dataset does not say whether its wavelengths are in air or in vacuum, there are both.
    """
    import numpy as np

    from dkist_virtual.science.spectra.lines import LINES
    from dkist_virtual.science.spectra.medium import medium_of

    tiles = getattr(dataset, "flat", (dataset,))
    medium = medium_of(next(tile for tile in tiles if tile is not np.ma.masked), warn=False)
    if medium is not None:
        return tuple((line.name, float(line.wavelength(medium).to_value("nm"))) for line in LINES)
    return tuple(
        (f"{line.name} in {either}", float(line.wavelength(either).to_value("nm")))
        for line in LINES
        for either in ("air", "vacuum")
    )
