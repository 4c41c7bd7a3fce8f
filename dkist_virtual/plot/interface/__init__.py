"""Give plots the interface of ndcube's: its keywords, and axes of the user's own.

- `given_axes`: draw a plane in axes that the user made, with ndcube's own plotter
- `keywords`: check the keywords of plots by name; convert limits that are Quantities
"""
