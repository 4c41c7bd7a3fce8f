"""Read the ASDF of a DKIST dataset: the order of the frames, WCS, headers, metadata.

With `datacenter`, the only part of the package that knows DKIST's own files.

- `dkist_loader`: A dataset as ``dkist``'s own object, made of its ASDF without the frames
- `locate`: find a dataset's ASDF in a directory or at a URL, and give it as a file on this
  machine
- `source`: read a DKIST ASDF: file order, WCS, headers, meta
- `tree`: read a DKIST ASDF as a tagged tree and its blocks, without an object for every frame
"""
