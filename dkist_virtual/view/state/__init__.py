"""Describe what a page shows, as plain values.

- `state`: one point of the data, the pictures through it, what is pinned, marked and chosen
- `model`: keep the state of a page, and tell its panels when it changes
"""
