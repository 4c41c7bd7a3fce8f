"""Draw figures with sliders that read one plane at a time.

A plot does not know `Dataset`: it is given plain values (`planes.Subject`).

- `base`: step a figure through an array: its position, its sliders, reading ahead
- `colorbar`: A colour bar beside axes, as wide and as far away whatever the size of the figure
- `figure_text`: text that stays in its place: titles inside of the figure, boxes inside of
  their axes
- `image`: draw an image at screen resolution, with contrast that shows the Sun; mark absent
  frames
- `image_plot`: plot an image of two axes, with sliders for the others and axes in world
  coordinates
- `line_plot`: plot lines: a spectrum, the Stokes profiles of a pixel, a light curve
- `mosaic_plot`: plot a mosaic with every tile in its place on the sky
- `planes`: read the plane that is drawn, one at a time; choose which axes are shown
- `sky_grid`: interpolate a plane's world coordinates from a few pixels that are evaluated once
- `sliders`: put sliders in world coordinates under a figure, and repaint what a step changes
- `ticks`: place ticks at round values of a world coordinate, on axes that count pixels
"""
