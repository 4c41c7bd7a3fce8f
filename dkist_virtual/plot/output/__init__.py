"""Write what plots show: pictures, movies, contact sheets.

- `as_file`: write a figure, or a part of one, to a file
- `axes`: choose the axis that a movie steps along, and the pixels; write a frame's coordinates
- `contact_sheet`: draw small pictures of planes side by side, with one contrast
- `film`: draw the frames of a movie from plots, one after the other, as arrays
- `in_step`: find for each frame the nearest in time of other datasets
- `movie`: write a movie: choose frames and contrast, draw, write beside the name and rename
- `output`: give plots the methods that write files and make other figures
- `picture`: draw what a plot shows in a figure for a paper
- `scene`: name what movies and contact sheets need of a plot
- `writers`: write frames to ``.mp4``, ``.gif`` and ``.html``
"""
