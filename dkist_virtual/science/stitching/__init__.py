"""Stitch the tiles of a mosaic into one lazy image or cube over the whole field.

- `options`: check the options of stitching
- `tangent_plane`: define the output grid, a plane that touches the sky, and its WCS
- `carried_axes`: make the coordinates of the axes that are not of the sky
- `lattice`: place the pixels of a tile in the output grid, and find pixels in the tile
- `tiles`: describe each tile: its pixels, places, times and seeing
- `blending`: make output pixels of the windows of tiles
- `field`: read any part of the stitched field, lazily
- `overlaps`: read where two tiles overlap, and find how far one has to move
- `solve`: find offsets and brightness of all tiles from their overlaps
- `record`: say what was done: tiles, times, footprints
- `stitch`: stitch
"""
