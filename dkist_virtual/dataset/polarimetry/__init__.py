"""Measure the polarisation of datasets: `ds.polarimetry`.

- `changed`: make datasets whose Stokes parameters are rotated, or corrected for cross-talk
- `directions`: find how far directions on the Sun are turned from solar west
- `keywords`: check the keywords of polarimetry, and word what is said of the results
- `magnetic`: compute the line-of-sight magnetic field in the weak-field approximation
- `parameters`: find the Stokes parameters of a dataset, and the frame that they are in
- `polarimetry`: define `Polarimetry`: degrees, azimuth, cross-talk, weak fields
"""
