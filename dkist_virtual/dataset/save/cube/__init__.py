"""Save computed pixels as a cube, a Zarr group with all that belongs to them, and open it again.

- `beside`: write what a cube has beside its pixels: WCS, headers, and where they come from
- `layout`: choose the chunks and shards of a cube, and the parts in which it is computed
- `opened`: make datasets of an open cube
- `save_cube`: save a dataset or mosaic as a cube: all of it, or nothing
- `shards`: compute and write the shards of a cube, and resume where it was stopped
- `sources`: say of pixels how they may be read in parts, what they depend on, and how they were
  computed
"""
