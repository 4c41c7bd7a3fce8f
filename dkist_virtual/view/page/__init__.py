"""Lay out the panels of a page, with controls and keys.

- `page`: lay out the panels, with controls, keys and messages
- `channel`: carry keys and sliders from the browser, each after the last was drawn
- `keys`: define the keys, and the steps that they take
- `actions`: do what keys and buttons ask for: step, play, blink, zoom, lock, pin
- `sliders`: put a slider for each axis on a page, with its world coordinate
- `look`: choose the contrast and the colours of a picture
- `choices`: choose a second picture, the line that velocities count from, panels
- `second`: list what a second picture can show
- `status`: say what is being read, what was absent, and what failed
- `widgets`: make widgets of one look, with names for screen readers
- `style`: the style sheet of widgets and layout
"""
