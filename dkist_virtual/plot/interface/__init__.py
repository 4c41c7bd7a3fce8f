"""Give plots the interface of ndcube's: its keywords, axes, animations.

- `current`: find pyplot's current figure where it is empty; make axes the current ones
- `given_axes`: draw a plane in axes that the user made, with ndcube's own plotter
- `keywords`: check the keywords of plots by name; convert limits that are Quantities
- `like_axes`: let a plot be used as the axes, or as the animator, that ndcube returns
- `replace_axes`: put axes of astropy's in the place of others, with all that they show
- `stepped_wcs`: give astropy's axes the WCS of a whole array, at a place that steps along it
"""
