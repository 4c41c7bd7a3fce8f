"""Read saved cubes: computed pixels as Zarr v3, with all that belongs to them beside.

- `cube_document`: say in the root attributes of a cube what its arrays are, and what they were
  computed from
- `cube_handle`: open a cube by its recipe, here or in another process
- `cube_store`: show the files of a cube as a read-only Zarr store, in which no chunk is missing
- `presence`: tell by names alone whether a saved cube is at a place
"""
