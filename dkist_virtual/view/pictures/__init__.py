"""Make pictures of 8 bits at the screen's resolution, north up. Nothing here knows Bokeh.

- `geometry`: find where the pixels of a plane are, in the coordinates of a picture's axes
- `sampling`: choose the pixels that a window needs, and put them on those of the screen
- `layers`: choose the planes that a picture is made from
- `render`: draw: read, sample, turn into 8 bits
- `levels`: turn values into 8 bits, with contrast and colours
- `wavelengths`: convert spectral axes to wavelengths
- `lengths`: measure distances, in arcsec and Mm
- `pins`: find the pin that is close to a place on the screen
- `read_out`: write the value of a pixel, and where it is
- `outlines`: find where the fields of view of other datasets are
"""
