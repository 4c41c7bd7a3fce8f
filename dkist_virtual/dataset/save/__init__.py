"""Save a dataset as an ASDF that the dkist package opens, alone or in the tree of another one.

- `asdf_file`: write a dataset to an ASDF of its own, as `dkist.save_dataset` does
- `extension`: tell asdf how to write the classes of this package
- `frame_list`: list the frames of a selection as dkist's ASDF does
- `level2_nodes`: make the nodes of inversions and their profiles for the tree of an ASDF
- `nodes`: make the nodes of datasets, mosaics, tables and files for the tree of an ASDF
"""
