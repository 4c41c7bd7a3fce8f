"""Serve the page to this machine's browser alone.

- `server`: serve pages on 127.0.0.1 from a thread
"""
