"""Draw pictures, profiles and strips with Bokeh.

- `choose`: choose what a page shows at first, and its panels
- `picture`: draw a plane of the data through the point
- `strip`: draw when each frame was taken, where the page is, and what is marked
"""
