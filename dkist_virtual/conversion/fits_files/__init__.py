"""Make references of FITS files of any survey, which become one array.

- `arrange`: put files into the places of a grid, by the values of their keywords
- `assemble`: check that files make one array, and make the array's metadata and references
- `files`: find the files that a user names, and the shape of the axes that they make
- `look`: look at the image of one file, and parse its header
- `references`: hold the references of files as one array, and write them
- `survey`: look at all files, check that they make one array, and make its references
- `table`: make a table of the headers of files, a row for each
"""
