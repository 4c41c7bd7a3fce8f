"""Correct the pointing of a dataset: shift, rotate and scale its coordinates on the sky.

- `aligned`: give datasets the methods that align them with maps of the Sun
- `fits_pointing`: take the pointing in each frame's own FITS header: its CRVAL, CRPIX and PC
  matrix
- `pointed`: give datasets the methods that correct their pointing
- `shift`: make a dataset whose pointing is corrected, or is not any more
- `stores`: let a store remember what its pointing is corrected by
- `tiles`: correct the pointing of the tiles of a mosaic
- `values`: read the values of a correction in each form that a user may give
"""
