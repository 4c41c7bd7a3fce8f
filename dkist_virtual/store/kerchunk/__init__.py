"""Read references that are not a store's: of arrays of frames that other programs wrote.

- `documents`: check what such references say of their arrays
- `presence`: tell by its name whether a place may have some
- `references`: read them, and open their arrays
- `zarr_v3`: say in Zarr v2 what references in Zarr v3 say
- `other_store`: show the frames, and arrays whose values are inside of the references
"""
