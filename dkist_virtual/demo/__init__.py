"""Make small simulated datasets, and serve them from this machine.

The documentation, the examples and the tests use them; the extra `demo` installs what they
need.

- `archive`: make an archive of as many datasets as are wanted, by rewriting the ASDFs of a few
- `data_center`: serve simulated datasets as the DKIST Data Center does: search, metadata files,
  frames
- `server`: serve a directory of frames over HTTP on this machine, optionally slowly or with
  faults
- `sunspot`: paint a sunspot: granules, a spot, and the Stokes profiles of a spectral line
- `vbi`: make a small mosaic of VBI: simulated tiles of one sunspot, with an ASDF
- `vtf`: make, convert, read and draw a small VTF dataset of a sunspot
"""
