"""Compute lazily from all pixels along an axis, and make the WCS that is left.

- `offset_world`: give the coordinates of an array whose wavelengths are off at each pixel
- `reduced_array`: compute values from all pixels along an axis lazily: a slice reads only what it
  needs
- `spectra_block`: give a function the spectra of a block of pixels
- `without_stokes`: make the WCS of what was computed of several Stokes parameters
- `without_wavelength`: make the WCS of what is left when an axis of wavelengths goes
"""
