"""Make datasets along paths and of regions, and say where on the sky a dataset is.

- `path_cube`: the methods of a dataset
- `frame_rows`: keep the header rows of frames of which one value, or one line of values, is left
- `context`: draw the fields of several datasets on a map of the Sun, or on its disk
- `refused`: refuse a path over the tiles of a mosaic
"""
