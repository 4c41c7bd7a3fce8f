"""Publish datasets: convert a whole archive, and write stores in forms that others read.

- `archive/`: convert all datasets of an archive to stores, again and again as the archive changes
- `catalogue/`: write the catalogue of a directory of stores
- `page/`: write the page of a catalogue, with a picture of each dataset
- `virtualizarr`: parsers for VirtualiZarr, of stores, ASDFs and FITS files
"""
