"""Ask the DKIST Data Center for datasets, and Globus for their frames.

- `catalogue`: ask the Data Center for records of datasets, and for the files that belong to
  them
- `globus`: get frames through Globus: transfers as ``dkist`` makes them, logins, collections
  over HTTPS
- `local_copies`: open datasets by ID: fetch the ASDF once, make a store of it, keep both on
  this machine
- `results`: show what a search found as a sunpy table; add the search attribute that dkist
  lacks
- `search`: search the Data Center's catalogue for datasets
"""
