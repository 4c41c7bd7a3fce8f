"""Align datasets with maps of the Sun, stitch mosaics, and measure spectra and polarisation.

Functions here are handed datasets, and know them by protocols.

- `seeing`: tell which values of the seeing are valid, and choose frames by them
- `inversion_files/`: write and read the files of inversion codes
- `alignment/`: find the pointing of a dataset by comparing its images with maps of the Sun
- `polarimetry/`: measure polarisation, and magnetic fields by its simplest approximations
- `spectra/`: measure spectra along the wavelength
- `stitching/`: stitch the tiles of a mosaic into one lazy image or cube over the whole field
- `sun/`: describe the disk of the Sun: mu, and the darkening of the continuum to the limb
- `paths/`: average pixels along paths on the sky, and in regions of it
- `sky_image`: find which axes of an array are its image of the sky, and read windows of it
"""
