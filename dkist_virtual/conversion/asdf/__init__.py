"""Read the ASDF of a DKIST dataset: the order of the frames, WCS, headers, metadata.

With `datacenter`, the only part of the package that knows DKIST's own files.

- `dkist_errors`: define errors and warnings that are also those of ``dkist``
- `dkist_loader`: load a dataset as ``dkist``'s own object, from its ASDF without the frames
- `dkist_object`: read an open dataset of ``dkist`` as its ASDF is read
- `frames`: read which frames an array has: their names, shape, type and HDU
- `inversion`: find the arrays of a level 2 inversion: quantities, profiles, and their names
- `locate`: find a dataset's ASDF in a directory or at a URL, and give it as a local file
- `source`: read a dataset from its ASDF: the order of its frames, WCS, headers, meta
- `tree`: read the tagged tree of an ASDF and its blocks, without an object for every frame
"""
