"""Decode tile-compressed images (FITS standard 4.0, section 10).

- `batches`: decode many tiles at a time, straight into the output
- `by_numpy`: decode tiles with numpy alone, all tiles of a request together
- `decoders`: decode the bytes of one tile, for every known compression
- `dequantise`: dequantise integers and undo dithering with numpy (FITS standard 4.0, section 10.2)
- `hcompress`: decode HCOMPRESS_1: quadtree-coded bit planes of an H-transform, compiled
- `keywords`: parse the keywords of a tile-compressed image (FITS standard 4.0, 10.1 and 10.2)
- `lane_code`: write the code of kernels that decode several Rice tiles at a time
- `lanes`: decode Rice tiles several at a time: each is in a lane of a vector
- `plio`: decode PLIO_1: run lengths of small positive integers, compiled
- `processor`: choose the kernel of Rice tiles by what the processor has
- `rice`: decode Rice tiles, unshuffle bytes, dequantise and undo dithering, compiled
- `rice_by_numpy`: decode the blocks of Rice streams with numpy alone, the same block of many
  streams together
- `table`: parse the tile table of a compressed image: each tile's bytes, scale and zero
"""
