"""Serve the page to this machine's browser alone."""
