"""Give datasets a corrected wavelength scale.

- `by_atlas`: fit the mean spectrum of a quiet region to a solar atlas
- `by_headers`: take the wavelengths that the FITS headers of the frames state
- `calibrate`: make a dataset with another wavelength scale, or with that of its WCS again
- `calibrated`: give datasets the methods for it
- `geometry`: read the geometry of a spectrograph from the headers
"""
