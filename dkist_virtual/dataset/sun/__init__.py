"""Give datasets the geometry of the Sun: mu, and the darkening of the continuum to the limb.

- `on_the_disk`: give datasets `mu` and `limb_darkening`
"""
