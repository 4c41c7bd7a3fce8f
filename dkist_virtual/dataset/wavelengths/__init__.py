"""Give datasets a corrected wavelength scale.

- `by_headers`: take the wavelengths that the FITS headers of the frames state
- `calibrate`: make a dataset with another wavelength scale, or with that of its WCS again
- `calibrated`: give datasets the methods for it
"""
