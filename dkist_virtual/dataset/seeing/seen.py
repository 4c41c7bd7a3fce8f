"""Give datasets and mosaics the methods of seeing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from dkist_virtual.dataset.seeing.of_frames import FrameSeeing

__all__ = ["SeenCube", "SeenMosaic"]


class _Seen:
    """What is of frames with a seeing."""

    @property
    def seeing(self) -> FrameSeeing:
        """The seeing of the frames."""
        raise NotImplementedError

    def plot_seeing(
        self, *, contrast: bool = False, figure: Figure | SubFigure | None = None
    ) -> Figure | SubFigure:
        """Draw the seeing in time: r0, whether the adaptive optics were locked, the light level.

        There is a point for each step, of which the Stokes parameters are taken together. Where
        one of its frames has no valid r0 there is a gap, on a grey ground.

        Parameters
        ----------
        contrast : bool
            Whether to draw the contrast of the images too, which reads the frames of Stokes I.
        figure : matplotlib.figure.Figure or SubFigure, optional
            To draw in; by default a new one of pyplot's.

        Returns
        -------
        Figure or SubFigure
        """
        from dkist_virtual.plot.charts.seeing import draw_seeing

        frames = self.seeing
        seeing = frames.by_step()
        known = ~np.asarray(seeing.time.mask)
        values = None
        if contrast:  # the same for all frames of a step
            first = np.unique(frames.step, return_index=True)[1]
            values = frames.contrast()[first]
        return draw_seeing(
            np.asarray(seeing.time.datetime64)[known],
            seeing.r0.to_value("cm")[known],
            seeing.ao_lock[known],
            seeing.light_level[known],
            None if values is None else values[known],
            figure=figure,
        )


class SeenCube(_Seen):
    """A dataset whose frames have a seeing."""

    @property
    def seeing(self) -> FrameSeeing:
        """The seeing of the frames, from their headers: r0 in cm, valid by the Data Center's rule.

        It has one value for each frame, in the order of `headers`: time, r0, valid, ao_lock,
        light_level; and ``good``, ``mask_others``, ``contrast`` and ``table``.

        Examples
        --------
        >>> good = ds.seeing.good(r0=8 * u.cm)  # doctest: +SKIP
        >>> ds.files[good]  # doctest: +SKIP
        """
        from dkist_virtual.dataset.seeing.of_frames import seeing_of

        cube: Any = self
        return seeing_of([cube], cube)

    def _of_masked(self, cubes: list[Any]) -> Any:
        return cubes[0]


class SeenMosaic(_Seen):
    """A mosaic whose frames have a seeing."""

    @property
    def seeing(self) -> FrameSeeing:
        """The seeing of the frames of all tiles, in the order of `combined_headers`."""
        from dkist_virtual.dataset.seeing.of_frames import seeing_of

        mosaic: Any = self
        mosaic._check_headers()
        return seeing_of(mosaic._present(), mosaic)

    def _of_masked(self, cubes: list[Any]) -> Any:
        mosaic: Any = self
        tiles = np.full(mosaic.shape, None, object)
        tiles[~np.asarray(mosaic.mask)] = cubes
        return mosaic._part(tiles, mosaic._places)
