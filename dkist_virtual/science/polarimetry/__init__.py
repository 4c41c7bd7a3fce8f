"""Measure polarisation, and magnetic fields by its simplest approximations.

Functions here are of numpy arrays with the wavelengths along the last axis, ascending.

- `frame`: say in which frame the Stokes parameters of an instrument are
- `profiles`: measure polarisation profiles: degrees, azimuth, cross-talk, rotation
- `weak_field`: compute the line-of-sight field in the weak-field approximation
"""
