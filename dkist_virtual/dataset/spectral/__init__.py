"""Measure spectra of a dataset: each result is a dataset without the axis of wavelengths.

- `corrections`: read what corrects spectra: an offset of wavelengths, brightness during a scan
- `doppler`: make velocity maps: the shift of a line, and what is taken from it
- `engine`: compute values along the wavelength, lazily, reading each frame once
- `fit`: fit a model to every spectrum of a dataset: each parameter is a dataset of its own
- `fit_method`: define ``ds.spectral.fit``, and check its keywords
- `fit_model`: read a model of the user's: remove its units, and know those of its parameters
- `observer`: find how the telescope moved relative to the Sun when the frames were taken
- `options`: read the keywords that measurements of lines have in common
- `processes`: compute blocks of a dataset in several processes, on a cluster, or in this process
- `quantities`: hold quantities that are computed together
- `results`: make datasets of what was computed along the wavelength
- `spectral`: define `Spectral`, what ``ds.spectral`` gives
"""
