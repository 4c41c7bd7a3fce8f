"""Average pixels along paths on the sky and in regions of it, lazily, wherever frames point.

- `polyline`: place samples along a path, and across it
- `image`: find the pixels of positions on the sky, for every pointing of a dataset
- `turning`: turn positions with the surface of the Sun, to the moments of a dataset
- `lazy_source`: define what both averages have in common: selections, and chunks that bound memory
- `samples`: read the pixels along a path, each once
- `regions`: say which pixels are in a region
- `sums`: read the pixels of a region, each once
- `coordinates`: make the WCS of a path, or of a region
- `given`: read what a user gives: positions, angles, and the state of a dataset
- `footprint`: say where on the sky a dataset is: the edge of its field
- `slit`: make the values along a path of a dataset
- `curve`: make the values of a region of a dataset
"""
