"""Give datasets the method that saves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

__all__ = ["Savable"]


class Savable:
    """A dataset or mosaic that can be saved; the name of the file says how."""

    def save(
        self,
        place: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: bool = True,
        **options: Any,
    ) -> None:
        """Save the selection in the form that the end of the name says.

        What a form cannot hold is refused, or said in a warning. What is there already stays as it
        was until the new one is complete.

        Parameters
        ----------
        place : path
            On this machine. ``.virtual`` is a store of the selection: references to its frames, and
            no pixels. ``.zarr`` has the pixels, as they were computed; ``.fits`` an image with its
            FITS WCS; ``.nc`` netCDF with the names of CF, coordinates at every pixel included;
            ``.asdf`` what dkist opens, or pixels. Without pixels it names the frames as files
            beside it: save it in their directory, or open it with ``frames=``.
        overwrite : bool
            Whether to replace what is there.
        progress : bool
            Whether to show a bar, on a terminal, where pixels are written.
        **options
            Those of the form: a wrong one is refused with a list of them.

        Raises
        ------
        ValueError
            The name ends in something else.
        TypeError
            The form has no such option.
        StoreExistsError
            There is something of that name.
        DatasetError
            The form cannot hold this dataset.

        Examples
        --------
        >>> ds[0, 3:9, :, 100:200].save("part.virtual")  # doctest: +SKIP
        """
        from dkist_virtual.dataset.save.save import save

        save(self, place, overwrite=overwrite, progress=progress, **options)
