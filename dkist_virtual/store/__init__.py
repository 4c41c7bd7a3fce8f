"""Open a store: its own files, and its frames as a read-only Zarr v3 group.

- `frame_locations`: where frames are read: the places that the user named, in order, or the
  store's own
- `frame_reader`: read part of one frame from one place: all of it from one version of the
  frame's file
- `handle`: open a store by its place, and open it again in another process
- `integrity`: check what is read of a frame against what a scan recorded of its file
- `read_only`: A Zarr store that can only be read: checks byte ranges, and refuses to write as
  zarr does
- `read_options`: check the options for reading a dataset, once, and carry them as one object
- `zarr_store`: show references as a read-only Zarr v3 store
- `format/`: read and write the files of a store, one module for each kind of file
"""
