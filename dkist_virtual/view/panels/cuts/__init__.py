"""Draw cuts: wavelength and time of a pixel, and time or wavelength along a path.

- `panel`: read the cut of a state, and draw it
- `figure`: make the Bokeh figure of a cut
- `division`: divide cuts as profiles are
- `along_path`: place the samples of the path of a state
"""
