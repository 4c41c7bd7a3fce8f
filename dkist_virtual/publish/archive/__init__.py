"""Convert all datasets of an archive to stores, again and again as the archive changes.

- `archive`: `convert_archive`: find, decide, run, record, report
- `find`: find the ASDFs below a directory, a bucket prefix or a URL, or in a list
- `identity`: read the ID of a dataset from its ASDF, without parsing it
- `options`: what a conversion of an archive was asked for, checked; the base of each dataset
- `plan`: decide which datasets are new, changed, unchanged or withdrawn
- `pool`: run jobs in processes of this machine that end with their parent
- `record`: read and write ``archive.json``, and the journal of a run
- `report`: say what was done: for each dataset, and for the archive
- `run`: run jobs here, in processes, or on a cluster
- `work`: convert or update one dataset, and say what came of it
"""
