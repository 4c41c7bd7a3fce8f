"""Find the pixels of world coordinates: what the WCS of a dataset itself cannot invert.

`lattice` inverts coordinates of which only the values at pixels are known, `pointings` evaluates
tables of pointings at once, and `invertible_wcs` is a gWCS that uses both where its own inverse is
missing, wrong or slow.
"""
