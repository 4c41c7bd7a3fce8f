"""Draw pictures, profiles and strips with Bokeh.

- `choose`: choose what a page shows at first, and its panels
- `selection`: show what is marked as Python, files and bytes; its download; the page's address
- `strip`: draw when each frame was taken, where the page is, and what is marked
- `later`: call a function a little later, once for many events
- `plain_text`: show texts of files as they are
- `picture`: draw a plane of the data through the point, and what is marked on it
- `picture_figure`: make the Bokeh figure of a picture
- `profile`: draw the profiles of the point and of pins
- `cuts/`: draw wavelength and time of a pixel, and time or wavelength along a path
- `curves/`: draw profiles, in plots that share an axis
- `seeing`: draw the seeing in time
- `time_axis`: make figures whose horizontal axis is time
- `whole`: draw where the page is in the whole dataset
- `outlines`: draw the fields of view of other datasets on a picture
"""
