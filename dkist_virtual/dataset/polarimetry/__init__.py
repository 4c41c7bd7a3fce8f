"""Measure the polarisation of datasets: `ds.polarimetry`.

- `parameters`: find the Stokes parameters of a dataset, and the frame that they are in
- `polarimetry`: define `Polarimetry`: degrees, azimuth, cross-talk, weak fields
- `directions`: find how far directions on the Sun are turned from solar west
- `changed`: make datasets whose Stokes parameters are rotated, or corrected for cross-talk
"""
