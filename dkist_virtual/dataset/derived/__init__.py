"""Derive datasets: their state, what they were made from, bins, reprojection, combined headers.

- `combined_headers`: combine the header tables of a mosaic's tiles
- `frame_columns`: read columns of header tables: along the axes of frames, or what all frames say
- `lineage`: record which datasets were combined into a computed one, and what they have in common
- `listed`: tell a dataset in a list that `numpy.array` is given from a dataset alone
- `numpy_functions`: say what numpy's functions of datasets give, each by name
- `operands`: read the operands of arithmetic, and check that their shapes and axes go together
- `own_data`: read an array that a user computed: pixels, unit, mask and uncertainty
- `own_tiles`: read what a user makes a mosaic of: tiles, mask, meta, inventory and headers
- `regrid`: bin and reproject pixels, WCS, masks, uncertainties and coordinates
- `state`: hold the state of a dataset, and give each derived dataset its part of it
- `stitched`: stitch a mosaic into one dataset
- `uncertainties`: combine masks, and standard deviations as independent of each other
"""
