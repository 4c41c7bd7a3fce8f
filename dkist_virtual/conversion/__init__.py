"""Make a store from a DKIST ASDF and its frames, on disk or in memory.

- `convert`: convert a dataset's ASDF and its frames to a store on disk
- `journal`: keep on disk what a conversion has scanned so far, so that it can resume
- `look`: look at one file: find the HDUs with frames, and check their headers
- `previous`: read from an existing store what its conversion recorded about its frames
- `references`: make a store's references from a dataset and a scan of its frames
- `scan`: scan frames, many at once: find where their pixels are, and check header and length
- `staging`: write a store atomically: build it in a sibling directory, then rename it
- `unchanged`: tell whether a store was made of the very ASDF that an update is given
- `update`: update a store from a newer ASDF of its dataset, without scanning the frames again
- `fits_files/`: make references of FITS files of any survey, which become one array
- `asdf/`: read the ASDF of a DKIST dataset: the order of the frames, WCS, headers, metadata
"""
