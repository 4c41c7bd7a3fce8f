"""Correct the pointing of datasets, align them with maps, and stitch mosaics.

Functions here are handed datasets, and know them by protocols.
"""
