"""Turn what was marked into Python, files and downloads.

- `marked_pixels`: the pixels that a box marks, by the coordinates of a picture's axes
- `selection`: what is marked as a selection, and the line of Python that makes it
- `chosen_files`: files and bytes of a selection, and which are not on this machine
- `download_run`: download a selection in a thread, with progress and an end on request
- `page_address`: keep the state in the address that the browser shows
"""
