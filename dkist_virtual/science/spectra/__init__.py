"""Measure spectra along the wavelength.

- `atlas_fit`: fit the wavelengths of a spectrum to a solar atlas
- `axis`: find the axis of wavelengths of a dataset, and choose windows on it
- `brightness`: find how bright the frames of scans are, beside the line that they scan
- `continuum`: find the continuum: in windows, by a percentile, or as a polynomial
- `cores`: find the cores of lines and their bisectors, and say where there are none
- `fit_job`: fit the spectra of a block, as one function
- `line_fit`: fit a model to each spectrum of a block, by astropy's fitters
- `line_guess`: guess first values for the fit of a line from each spectrum
- `lines`: list spectral lines: wavelengths in air and vacuum, Landé factors, and their sources
- `medium`: tell whether wavelengths are in air or in vacuum, and convert between them
- `moments`: compute the moments of lines: strength, centroid, width and skewness
- `samples`: integrate unevenly spaced samples, some of which may be unknown
- `velocity`: compute velocities of shifts of lines, of the observer and of the rotating Sun
"""
