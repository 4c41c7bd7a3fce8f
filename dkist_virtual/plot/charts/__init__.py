"""Draw charts of values in time that are not pixels of an image.

- `context`: draw outlines of fields on a map of the Sun, or on its limb
- `seeing`: draw r0, the lock of the adaptive optics, the light level and contrast in time
"""
