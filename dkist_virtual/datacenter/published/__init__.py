"""Read and search a published catalogue: a table of stores that a data centre hands out.

- `addresses`: resolve the addresses of stores in a catalogue, and refuse those that lead elsewhere
- `conditions`: apply the parameters of the Data Center's search to a table
- `find`: find the store of an ID in a catalogue
- `read`: read the file of a catalogue, from this machine or from a server
- `table`: define the columns of a catalogue
"""
