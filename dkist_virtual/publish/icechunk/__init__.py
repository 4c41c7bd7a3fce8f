"""Write datasets into Icechunk repositories, as virtual chunks that any Zarr reader opens.

- `to_icechunk`: commit a dataset to a repository, if there is anything new
- `source`: open what is to be written as a store: a store, an ASDF, a selection
- `containers`: name the places of frames as Icechunk does, and what it needs to read them
- `prepare`: prepare the files that a repository keeps, with references of their own
- `commit`: write arrays, references and files in one commit
"""
