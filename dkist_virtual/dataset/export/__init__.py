"""Export a dataset to other libraries: sunpy and xarray.

- `own_meta`: give other libraries what is in the meta of a dataset beside what it was opened with
- `to_sunpy`: export an image of the sky as a sunpy Map, with a FITS header that fits its WCS
- `to_xarray`: export a dataset to xarray, with named dimensions and coordinates
- `xarray_coordinates`: make xarray coordinates of the WCS, the headers, and what a user set
"""
