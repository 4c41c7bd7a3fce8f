"""Show datasets in a browser: linked pictures, profiles and strips that read what they show.

A viewer is handed datasets as objects and knows them by protocols; it imports neither `dataset` nor
`datacenter`. Every panel shows a slice through one point of the data (`state`).

- `viewer`: show datasets in a browser, and hand back what was selected there
- `source`: describe a dataset or mosaic for the viewer: its tiles and the roles of its axes
- `axes`: name the axes, and write where a point is along them
- `clock`: tell when pixels were taken
- `session`: what the panels of one page share: sources, state, reader
- `state/`: what a page shows, as plain values, and its address
- `reading/`: read what panels ask for, in threads, newest first
- `pictures/`: make pictures of 8 bits at the screen's resolution, north up
- `panels/`: draw pictures, profiles and strips with Bokeh
- `page/`: lay out the panels, with controls and keys
- `actions/`: turn what was marked into Python, files and downloads
- `serve/`: serve the page to this machine's browser alone
"""
