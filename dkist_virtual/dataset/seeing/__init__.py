"""Show the seeing of the frames of datasets and mosaics, and choose frames by it.

- `of_frames`: read the seeing of frames from their headers, and mask frames by it
- `seen`: give datasets and mosaics the methods of seeing
"""
