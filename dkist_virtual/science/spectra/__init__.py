"""Measure spectra along the wavelength.

- `lines`: list spectral lines: wavelengths in air and vacuum, Landé factors, and their sources
- `medium`: tell whether wavelengths are in air or in vacuum, and convert between them
"""
