"""Run the command line: arguments in, text out.

- `archive`: convert all datasets of an archive: the options of ``convert --all``
- `catalogue`: define the command that writes the catalogue of stores, and its page
- `main`: run the command line: parse arguments, call the package, print text
- `icechunk`: define the command that writes a dataset into an Icechunk repository
- `options`: define the options that several commands share, and open the dataset that they name
- `plot`: define the command that shows a dataset as an image or as lines
- `references`: define the command that makes references of FITS files of any survey
- `search`: define the commands that ask the Data Center or Globus: search, quality, movie,
  login
- `shift`: define the command that lets a store remember a correction of its pointing
- `view`: define the command that shows datasets in a browser
"""
