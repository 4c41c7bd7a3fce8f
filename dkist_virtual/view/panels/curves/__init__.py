"""Draw curves: profiles of pixels, in plots that share an axis.

- `figure`: make the Bokeh figure of the profiles of one Stokes parameter
- `looks`: say how curves differ, by colour, dash and marker
- `units`: turn profiles into what is drawn, in their unit or as fractions
"""
