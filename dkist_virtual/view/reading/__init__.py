"""Read what panels ask for, in threads.

- `planes`: read the part of a plane that is shown, and keep it
- `worker`: run the newest request of each panel, and leave out those that it replaces
- `turns`: let reads that can wait go on while nothing else is read
- `pixels`: read rectangles of an array frame by frame, and say which frames are absent or failed
- `together`: read many rectangles, as many at once as take a moment
- `kept`: keep what was read last, up to a number of bytes
- `profiles`: the profiles of a pixel, Stokes I and the frames near the point first
- `cuts`, `path_samples`: images along two axes of a pixel, or along a path
- `reference`: the spectrum of a field, averaged from a sample of its pixels
- `means`: the mean spectrum of the page's field, which its panels share
- `wings`: red minus blue wing, and fractions of the continuum
"""
