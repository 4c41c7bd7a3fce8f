"""Lay out the panels of a page, with controls and keys.

- `page`: lay out the panels, with controls, keys and messages
- `channel`: carry keys and sliders from the browser, each after the last was drawn
- `keys`: define the keys, and the steps that they take
- `sliders`: put a slider for each axis on a page, with its world coordinate
- `style`: give widgets one look
"""
