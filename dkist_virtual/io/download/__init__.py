"""Copy many files to a directory, each whole or not at all.

- `document_check`: whether an ASDF, a report or a movie that was fetched is one, and there to
  its end
- `download`: download many files at once to a directory
- `part_file`: write a file under a temporary name until it is whole and checked
"""
