"""Draw charts of values in time that are not pixels of an image.

- `seeing`: draw r0, the lock of the adaptive optics, the light level and contrast in time
"""
