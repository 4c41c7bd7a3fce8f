"""Read and write the files of a store, one module for each kind of file.

- `arrow_columns`: convert a column of an astropy Table to Arrow and back
- `asdf_arrays`: refuse arrays of an ASDF with an impossible shape or strides
- `dataset_asdf`: read and write ``dataset.asdf``: WCS, unit, mask, inventory and the rest of
  the meta
- `frame_index`: describe the files of a dataset's frames as columns, as a scan records and a
  store keeps them
- `header_metadata`: keep what Parquet cannot express of a header column, as JSON beside it
- `header_table`: hold the header table as an astropy Table that reads its columns on first use
- `headers`: read and write the header table, ``headers.parquet``
- `limits`: limit how much memory a store's own files may ask for, by their length and by the
  store's shape
- `names`: name the files of a store
- `references`: hold references as arrays of URL, offset and length; read and write kerchunk's
  JSON
- `references_parquet`: read and write kerchunk's Parquet references, one shard at a time
- `summary`: hold what an overview says of a dataset's description, as plain values for JSON
- `verify_json`: read and write ``verify.json``, what the last verification found
"""
