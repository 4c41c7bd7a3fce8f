"""Find the pointing of a dataset by comparing its images with maps of the Sun.

- `find`: choose how images are compared, find the shift of each, and refuse what is not certain
- `reference`: show maps of the Sun as another observer sees them, at each moment of a dataset
- `registration`: find how far each of many small images is from its place in a larger one, in
  pixels
- `steps`: read the images of a dataset that follow each other in time, and where each is on the sky
"""
