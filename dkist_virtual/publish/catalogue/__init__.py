"""Write the catalogue of a directory of stores.

- `from_headers`: take from the header table what an inventory does not say
- `row`: make the row of one store, without its WCS
- `write`: write ``catalogue.parquet`` for the stores of a directory; keep rows of unchanged ones
"""
