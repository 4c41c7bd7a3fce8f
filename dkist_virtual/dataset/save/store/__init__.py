"""Save a selection as a store of references to its frames, without a pixel.

- `arrays`: cut the arrays, references and scan results of a store down to the frames of a selection
- `describe`: describe selections as the `dataset.asdf` of their store does
- `write`: write the store of a dataset or mosaic
"""
