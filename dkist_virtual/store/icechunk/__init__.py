"""Read datasets out of Icechunk repositories: references, header table and ASDF of one snapshot.

- `address`: say which repository, and which snapshot of it, a URL or directory means
- `repository`: open an Icechunk repository with the user's credentials, and translate its errors
- `layout`: name what is in a repository, and check the documents of its root and arrays
- `snapshot_files`: read the files of a store that are kept as arrays in a snapshot
- `frames`: find where frames are by the header table
- `references_check`: compare the references that Icechunk has with those of the header table
- `icechunk_handle`: open a dataset in a repository by its recipe, here or in another process
"""
