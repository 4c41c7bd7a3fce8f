"""Give plots the methods that write files and make other figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from dkist_virtual.plot.output.as_file import SAVE, cut_out, write
from dkist_virtual.plot.output.axes import slider_texts
from dkist_virtual.plot.output.scene import Scene
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from astropy.units import Quantity
    from matplotlib.figure import Figure

__all__ = ["Output"]


class Output(Scene):
    """A plot that can be written to files."""

    def save(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write the figure to a file, without sliders: the title shows their values.

        Parameters
        ----------
        path : path
        **options
            Those of `matplotlib.figure.Figure.savefig`, such as ``dpi``.
        """
        check_keywords("save", options, SAVE)
        n_sliders = len(self.sliders.widgets)
        if n_sliders or self.figure is not self._root:
            options.setdefault("bbox_inches", cut_out(self.figure, n_sliders))
        if not n_sliders:
            write(self._root, path, options)
            return
        try:
            with self.sliders.hidden():
                self._set_title(slider_texts(self, self.shown.sliding))
                write(self._root, path, options)
        finally:
            self._set_title()

    def movie(
        self,
        path: str | os.PathLike[str],
        axis: str | int | None = None,
        *,
        steps: slice | Sequence[int] | None = None,
        fps: float = 10,
        dpi: float = 130,
        contrast: Literal["fixed", "frame"] = "fixed",
        sample: int = 8,
        stamp: bool = True,
        beside: Scene | Sequence[Scene] = (),
        tolerance: Quantity | None = None,
        embed_limit: float = 50.0,
        progress: bool | None = None,
    ) -> None:
        """Write a movie that steps along an axis: ``.mp4``, ``.gif`` or ``.html``.

        The figure is drawn without sliders, as it is: with what you added to its axes, and at the
        position of its other sliders. Each frame is read once, the next one while one is drawn, and
        a few are in memory at a time. Absent frames are hatched, as in the plot. Afterwards the
        plot is where it was. If anything fails, or Ctrl-C stops it, no file is left behind, and
        what was there before stays.

        Parameters
        ----------
        path : path
            ``.mp4`` is H.264 that browsers and slides play (yuv420p, even sizes), and needs ffmpeg:
            that of the PATH, or of the extra ``movies``. ``.gif`` has 256 colours in each frame.
            ``.html`` is a page with buttons that needs no other file.
        axis : str or int, optional
            ``"time"``, ``"wavelength"``, ``"stokes"``, a name of an axis of the array, or its
            number; by default the only slider, or that of the time.
        steps : slice, range or list of int, optional
            Pixels along that axis, in this order; by default all.
        fps : float
            Frames a second. A ``.gif`` counts hundredths of a second, and at least two.
        dpi : float
            Pixels an inch of the figure.
        contrast : {"fixed", "frame"}
            One for all frames, or for each its own. vmin, vmax and a norm that were given to the
            plot stay in any case. A fixed one is that of all pixels of a sample of frames together;
            with Stokes I and others in one movie, those have one each. Of lines it is the range of
            the values.
        sample : int
            Frames from which the fixed contrast is found, the first, the last and others evenly in
            between. They are kept until they are shown: fewer if they had more than 128 MB.
        stamp : bool
            Whether the coordinates that change from frame to frame, and the time in UTC, are
            written into the corner of the picture. Lines have them in the title.
        beside : plot or sequence of plots
            Other plots, of any dataset, that are shown on the right: each at its frame that is the
            nearest in time, along its own slider of the time. One without such a slider stays as it
            is.
        tolerance : Quantity, optional
            How far in time a frame of the plots beside may be; by default as far as the median step
            of its times. Where none is near, the picture is empty and says so.
        embed_limit : float
            Megabytes of frames in an ``.html``. Larger ones are refused: no frame is left out.
        progress : bool, optional
            Whether to show a bar on stderr; by default on a terminal.

        Raises
        ------
        SelectionError
            No such axis or step; there is no time for plots beside.
        ValueError
            The name ends in something else; an ``.html`` would be larger than its limit.
        ImportError
            An ``.mp4`` without ffmpeg.
        FrameUnreachableError, FrameCorruptError
            A frame could not be read. `steps` may leave it out.

        Examples
        --------
        >>> ds.plot().movie("halpha.mp4", axis="time")  # doctest: +SKIP
        >>> plot.movie("scan.gif", "wavelength", steps=slice(0, 50, 2), fps=5)  # doctest: +SKIP
        >>> vbi.plot().movie("both.mp4", beside=visp.plot())  # doctest: +SKIP
        """
        from dkist_virtual.plot.output.movie import Options, write_movie

        others = [beside] if isinstance(beside, Scene) else list(beside)
        options = Options(
            axis=axis, steps=steps, fps=fps, dpi=dpi, contrast=contrast, sample=sample,
            stamp=stamp, tolerance=tolerance, embed_limit=embed_limit, progress=progress,
        )  # fmt: skip
        write_movie(self, others, path, options)

    def contact_sheet(
        self,
        axis: str | int | None = None,
        n: int = 12,
        *,
        steps: slice | Sequence[int] | None = None,
        columns: int | None = None,
    ) -> Figure:
        """Draw small pictures along an axis in a figure of their own, with one contrast.

        Each plane is read once, and the plot stays where it is. A picture has its coordinates above
        it.

        Parameters
        ----------
        axis : str or int, optional
            As in `movie`.
        n : int
            Pictures, at even distances along the axis.
        steps : slice, range or list of int, optional
            Pixels of the axis from which they are; by default all.
        columns : int, optional
            Pictures in a row.

        Returns
        -------
        matplotlib.figure.Figure
            A new one of pyplot's.

        Raises
        ------
        SelectionError
            No such axis or step; the plot is not that of an image.

        Examples
        --------
        >>> ds.plot().contact_sheet("wavelength", 12).savefig("line.pdf")  # doctest: +SKIP
        """
        from dkist_virtual.plot.output.contact_sheet import draw_contact_sheet

        return draw_contact_sheet(self, axis, n, steps, columns)

    def picture(
        self,
        size: Quantity | float | Sequence[float] | None = None,
        *,
        title: str | bool = False,
        fontsize: float = 8.0,
        dpi: float = 300.0,
    ) -> Figure:
        """Draw what is shown in a figure for a paper: without sliders, of a given size.

        Axes, ticks and text are vectors in a PDF or SVG; the contrast is the one that is shown.

        Parameters
        ----------
        size : Quantity, number or two of them, optional
            Width, or width and height; numbers are inches. By default 8.8 cm, a column of a
            journal. Without a height, it is the one of the picture.
        title : str or bool
            Whether to write dataset and coordinates above it, or what to write.
        fontsize : float
            Points.
        dpi : float
            Of the pixels in files, also in vector formats.

        Returns
        -------
        matplotlib.figure.Figure
            A new one of pyplot's: its `savefig` writes files.

        Examples
        --------
        >>> ds.plot().at(stokes="V").picture([12, 9] * u.cm).savefig("v.pdf")  # doctest: +SKIP
        """
        from dkist_virtual.plot.output.picture import draw_picture

        return draw_picture(self, size, title, fontsize, dpi)
