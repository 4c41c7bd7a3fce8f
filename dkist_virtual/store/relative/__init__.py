"""Read and write references that are relative to their store.

- `resolve`: make relative references absolute, by the place that their store was opened at
- `write`: write references relative to the store that they are for
"""
