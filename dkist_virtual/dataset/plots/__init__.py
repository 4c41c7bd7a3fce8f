"""Draw datasets and mosaics: choose how, by the keywords given.

- `alignment`: draw what an alignment compared, before and after it, and what it found
- `animate`: draw with mpl-animators' sliders, on coordinates of ndcube's
- `descriptor`: give a dataset its plotter
- `draw`: draw a dataset in a figure with sliders, in given axes, or on coordinates of ndcube's
- `in_memory`: read a selection of one axis or two into an `ndcube.NDCube`
- `plotter`: let `ds.plotter`, and plots of sequences, read as the dataset's own plots do
- `tile_grid`: draw the tiles of a mosaic in axes side by side, as dkist does
- `viewed`: give datasets and mosaics the method that shows them in a browser
"""
