"""Ask the DKIST Data Center for datasets, and Globus for their frames.

- `catalogue`: ask the Data Center for records of datasets, and for the files that belong to
  them
- `globus`: transfer frames through Globus as ``dkist`` does; find collections that serve them
  over HTTPS
- `globus_login`: log in to Globus, keep tokens, and translate its errors
- `ids`: tell IDs of datasets and products from other text
- `local_copies`: open datasets by ID: fetch the ASDF once, convert it, cache both on this machine
- `published`: read and search a published catalogue: a table of stores that a data centre hands out
- `reports`: fetch the quality report and the preview movie of a dataset
- `results`: show the results of a search as a sunpy table; add a search attribute that dkist
  lacks
- `search`: search the Data Center's catalogue for datasets
"""
