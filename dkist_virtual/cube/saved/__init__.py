"""Select pixels of saved cubes lazily.

- `zarr_array`: read selections of an array of a saved cube: only the chunks that they need
"""
