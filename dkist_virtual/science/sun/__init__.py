"""Describe the Sun's disk: how obliquely it is seen, and how bright it is towards the limb.

- `disk`: compute mu, the cosine of the heliocentric angle, of positions on the sky
- `limb_darkening`: say how bright the continuum is at a mu, by published laws
"""
