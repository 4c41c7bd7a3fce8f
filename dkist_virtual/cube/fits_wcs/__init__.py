"""Express a WCS in a FITS header: as a tangent plane, evenly spaced, or by lookup tables.

- `coordinates`: list the coordinates of an array in the units of FITS, and evaluate them
- `fit`: fit the forms that FITS has to coordinates: planes of the sky, straight lines, tables
- `express`: express a WCS in cards and tables, and measure how far they are from it
- `header`: hold a WCS in the words of FITS: cards of an image, and lookup tables
- `square`: complete the matrix of a WCS: FITS has as many coordinates as axes, and inverts it
"""
