"""Lay out the panels of a page, with controls and keys.

- `page`: lay out the panels
"""
