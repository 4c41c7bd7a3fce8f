"""Draw figures with sliders that read one plane at a time.

A plot does not know `Dataset`: it takes plain values (`planes.Subject`).

- `base`: step a figure through an array: keep its position, move its sliders, read ahead
- `figure_text`: fit text into its place: titles into the figure, boxes into their axes
- `image`: draw an image at screen resolution, with contrast that shows the Sun; mark absent
  frames
- `image_plot`: plot an image of two axes, with sliders for the others and axes in world
  coordinates
- `line_plot`: plot lines: a spectrum, the Stokes profiles of a pixel, a light curve
- `mosaic_plot`: plot a mosaic with every tile at its coordinates on the sky
- `pixel_plot`: step a figure of images: share one contrast, one colour bar and one way to repaint
- `planes`: read the plane that is drawn, one at a time; choose which axes are shown
- `play`: play a figure along one of its sliders: a button beside each, and the space bar
- `sky_grid`: interpolate a plane's world coordinates from a few pixels that are evaluated once
- `sliders`: put sliders in world coordinates under a figure; repaint the parts that a step
  changes
- `ticks`: place ticks at round values of a world coordinate, on axes that count pixels
- `charts/`: draw charts of values in time that are not pixels of an image
- `interface/`: give plots the interface of ndcube's: its keywords, and axes of the user's own
- `output/`: write what plots show: pictures, movies, contact sheets
"""
