"""Save a dataset: the end of the name says whether as a store, an ASDF or another form.

- `asdf_file`: write a dataset to an ASDF of its own, as `dkist.save_dataset` does
- `cube/`: save computed pixels as a cube, and open it again
- `extension`: tell asdf how to write the classes of this package
- `frame_list`: list the frames of a selection as dkist's ASDF does
- `level2_nodes`: make the nodes of inversions and their profiles for the tree of an ASDF
- `nodes`: make the nodes of datasets, mosaics, tables and files for the tree of an ASDF
- `savable`: give datasets the method that saves them
- `files/`: save a dataset as one file, FITS, netCDF or ASDF, and open it again
- `save`: choose the form of a saved dataset by the name of its file, and check the form's options
- `store/`: save a selection as a store of references to its frames, without a pixel
"""
