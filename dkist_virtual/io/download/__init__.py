"""Copy many files to a directory, each whole or not at all.

- `document_check`: check that an ASDF, a report or a movie that was fetched is one, and whole
- `download`: download many files at once to a directory
- `file_names`: refuse file names that a download may not write
- `item`: describe a file to be fetched, and check it
- `part_file`: write a file under a temporary name until it is whole and checked
- `report`: report what a download did, or which files it could not fetch
"""
