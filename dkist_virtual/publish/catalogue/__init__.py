"""Write the catalogue of a directory of stores.

- `from_headers`: take from the header table what an inventory does not say
- `intake_file`: write ``intake.yaml``: an entry of intake for each store
- `row`: make the row of one store, without its WCS
- `stac`: write a static STAC collection of the stores
- `write`: write ``catalogue.parquet`` for the stores of a directory; keep rows of unchanged ones
"""
