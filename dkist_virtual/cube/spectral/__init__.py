"""Compute lazily from all pixels along an axis, and make the WCS that is left.

- `reduced_array`: compute values from all pixels along an axis lazily: a slice reads only what it
  needs
- `without_wavelength`: make the WCS of what is left when an axis of wavelengths goes
"""
