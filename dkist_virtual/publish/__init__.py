"""Publish datasets: convert a whole archive, and write stores in forms that others read.

- `archive/`: convert all datasets of an archive to stores, again and again as the archive changes
- `catalogue/`: write the catalogue of a directory of stores
- `icechunk/`: write datasets into Icechunk repositories
- `page/`: write the page of a catalogue, with a picture of each dataset
- `virtualizarr/`: parse stores, ASDFs and FITS files for VirtualiZarr
- `stores`: name what the directory of an archive's stores has in it
"""
