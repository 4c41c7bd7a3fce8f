"""Describe what a page shows, as plain values.

- `state`: one point of the data, the pictures through it, what is pinned, marked and chosen
- `model`: keep the state of a page, and tell its panels when it changes
- `address`: the whole state as the query of an address, and back
- `field_text`: fields as short texts, by their types
- `check_state`: refuse a state that some datasets do not have
- `together`: find the point of each other dataset that belongs to the main one's
"""
