"""Publish datasets: convert a whole archive, and write stores in forms that others read.

- `virtualizarr`: parsers for VirtualiZarr, of stores, ASDFs and FITS files
"""
