"""Read bytes from disks, servers and buckets, and say why they do not come.

A frame is absent, unreachable or corrupt: three states that are never mixed up.

- `asdf_blocks`: walk the blocks of an ASDF; check that each is whole and asks for no more memory
  than allowed
- `block_cache`: cache fetched blocks of remote files on disk, each of one version of its file
- `byte_range`: describe a range request, its reply, and the version of the file
- `driver`: read many frames at once, and decide how many
- `event_loop`: run coroutines on fsspec's event loop, and wait for them in a thread
- `fetcher`: fetch bytes from any place, and tell absent, unreachable and corrupt apart
- `local_file`: read files on this machine that other processes may write to, cut or replace
- `locations`: split a path or URL once into one value: scheme, host, path and query
- `locks`: lock files between processes; a killed process frees its locks
- `safety`: limit what a store from somebody else may do: where it refers to, how much memory it
  takes
- `traffic`: count the requests and bytes of this process
- `settings`: define the settings for reading from servers, and read them from dask's
  configuration
- `download/`: copy many files to a directory, each whole or not at all
- `remote/`: send one range request to a server or bucket, and check its answer
"""
