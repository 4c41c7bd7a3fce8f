"""Export a dataset to other libraries, sunpy and xarray, and to inversion codes.

- `own_meta`: give other libraries what is in the meta of a dataset beside what it was opened with
- `inversion/`: write what inversion codes read, of any region, and read what they found
- `to_specutils`: export spectra to specutils, and put what specutils returns back on the dataset
- `to_sunpy`: export an image of the sky as a sunpy Map, with a FITS header that fits its WCS
- `to_xarray`: export a dataset to xarray, with named dimensions and coordinates
- `xarray_coordinates`: make xarray coordinates of the WCS, the headers, and what a user set
"""
