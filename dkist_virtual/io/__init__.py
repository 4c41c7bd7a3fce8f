"""Read bytes from disks, servers and buckets, and say why they do not come.

A frame is absent, unreachable or corrupt: three states that are never mixed up.

- `asdf_blocks`: walk the blocks of an ASDF; check that each is whole and asks for no more
  memory than allowed
- `block_cache`: A cache on the disk of what was fetched: blocks of files, each of one version
  of its file
- `driver`: fetch the bytes that a frame's reader asks for, for one frame or many at once
- `fetcher`: fetch bytes from any place, and tell absent, unreachable and corrupt apart
- `local_file`: bytes of files on this machine, which others may write to, cut or replace
  meanwhile
- `locations`: A path or URL as one value, split once: scheme, host, path and query
- `locks`: lock files between processes; a killed process frees its locks
- `safety`: limit what a store made by somebody else may do: where it refers to, how much it may
  ask for
- `settings`: define the settings for reading from servers, and read them from dask's
  configuration
- `download/`: copy many files to a directory, each whole or not at all
- `remote/`: send one range request to a server or bucket, and check its answer
"""
