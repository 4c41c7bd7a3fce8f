"""Give a dataset another wavelength scale.

- `scale`: define `WavelengthScale`: the wavelength of each pixel along an axis, as plain numbers
- `scaled_gwcs`: write a wavelength scale into a gwcs of astropy's models, which others read
- `scaled_wcs`: define the WCS of a dataset with another wavelength scale
"""
