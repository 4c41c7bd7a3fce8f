"""Save a dataset as one file, FITS, netCDF or ASDF, and open it again.

- `beside`: say what belongs to a dataset beside its pixels, as the tree of an ASDF, and read it
- `part`: write a file beside its place, and rename it when it is complete
- `pixels`: write the pixels of a dataset into a file, and open them there
- `region`: read and write an array inside of a file, in parts
- `fits_file`: save a dataset as FITS
- `fits_headers`: make the headers and the small tables of that FITS
- `fits_opened`: open a FITS image or mosaic
- `netcdf_file`: save a dataset as netCDF, and open it
- `asdf_cube`: save pixels as an ASDF, and open it
- `names`: know these files by their names and their first bytes
- `opened`: open one of them
"""
