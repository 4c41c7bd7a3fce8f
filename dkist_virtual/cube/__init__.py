"""Select pixels lazily, and give their world coordinates.

- `axis_tables`: describe the axes of an array and of its world as plain values, for an overview
- `computed_array`: compute pixels from other arrays lazily: a slice of the result slices the
  operands
- `crop`: turn world coordinates into an index: the part between some points, or the nearest
  pixel
- `dask_array`: make the dask array of a dataset, whose slices select from the frames
- `fits_wcs/`: express a WCS in a FITS header: as a tangent plane, evenly spaced, or by lookup
  tables
- `inverse/`: find the pixels of world coordinates: what the WCS of a dataset itself cannot invert
- `pointing`: define `Pointing`: the corrections of a dataset's position on the Sun
- `points`: read world coordinates that a user gives, as values of the axes of a WCS
- `screens`: assume where positions off the limb of the Sun are, and say when that is needed
- `selection`: compose basic indexing: what is left of an array after any number of slices
- `shifted_gwcs`: write a corrected pointing into a gwcs of astropy's models, which others read
  without us
- `shifted_wcs`: define the WCS of a dataset whose pointing is corrected
- `sliced_wcs`: make the WCS of a selection, steps included
- `virtual_array`: read one composed selection of a stored array, as numpy or as a dask array
- `wavelengths/`: give a dataset another wavelength scale
- `world_axes`: describe an array's axes by its WCS: which are time, sky, wavelength, and their
  values
- `spectral/`: compute lazily from all pixels along an axis, and make the WCS that is left
- `saved/`: select pixels of saved cubes lazily
"""
