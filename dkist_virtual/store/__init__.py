"""Open a store: its own files, and its frames as a read-only Zarr v3 group.

- `array_document`: write the Zarr v3 metadata of an array of frames
- `codecs`: make the codecs of `fits` speak of stores
- `frame_locations`: choose where frames are read: the places that the user named, in order, or
  the store's own
- `frame_reader`: read part of one frame from one place: all of it from one version of the
  frame's file
- `frame_spec`: say which HDU of a file is a frame, for a store
- `handle`: open a store by its recipe, here or in another process
- `integrity`: check what is read of a frame against what a scan recorded about its file
- `pointing_json`: read and write ``pointing.json``, what the pointing of a store's dataset is
  corrected by
- `presence`: tell whether a store is at a place, before anything of it is read
- `read_only`: refuse to write to a Zarr store, as zarr does, and check byte ranges
- `read_options`: check the options for reading a dataset, once, and carry them as one object
- `reader`: read the store's own files by name, on this machine or from a server
- `zarr_store`: show references as a read-only Zarr v3 store
- `cubes/`: read saved cubes: computed pixels as Zarr v3, with all that belongs to them beside
- `icechunk/`: read datasets out of Icechunk repositories
- `kerchunk/`: read references that are not a store's: of arrays of frames that other programs wrote
- `relative/`: read and write references that are relative to their store
- `format/`: read and write the files of a store, one module for each kind of file
"""
