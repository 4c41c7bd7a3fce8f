"""Publish datasets: convert a whole archive, and write stores in forms that others read."""
