"""Say where the images of a FITS file are, from its headers alone, without any I/O.

- `cards`: parse all cards of an image's header into keywords and values
- `images`: walk the headers of a file, and say where the bytes of its images are
"""
