"""Hold level 2 inversions: physical quantities, and the profiles that they were found from.

- `alignment`: index the arrays of an inversion along the axes that are aligned
- `collection`: slice several datasets together along the axes that are aligned
- `inversion`: define `Inversion` and `Profiles`
- `overview`: describe an inversion without reading a pixel
- `panels`: draw quantities and profiles, each in axes of its own
"""
