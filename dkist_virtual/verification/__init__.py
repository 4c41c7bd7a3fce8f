"""Check a store against its frames.

- `against_astropy`: compare a dataset's frames with what astropy reads
- `frame`: check one frame against the store: its file, HDU, sums and keywords
- `frame_checks`: choose frames of a dataset, and check several at once, with a progress bar
- `verify`: check a store against its frames: files, HDUs, sums, keywords and positions on the
  sky
"""
