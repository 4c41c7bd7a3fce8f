"""Decode tile-compressed images (FITS standard 4.0, section 10).

- `batches`: decode many tiles at a time, straight into the output
- `decoders`: decode the bytes of one tile, for every known compression
- `hcompress`: decode HCOMPRESS_1: quadtree-coded bit planes of an H-transform, compiled
- `keywords`: parse the keywords of a tile-compressed image (FITS standard 4.0, 10.1 and 10.2)
- `plio`: decode PLIO_1: run lengths of small positive integers, compiled
- `rice`: decode Rice tiles, unshuffle bytes, dequantise and undo dithering, compiled
- `table`: parse the tile table of a compressed image: each tile's bytes, scale and zero
"""
