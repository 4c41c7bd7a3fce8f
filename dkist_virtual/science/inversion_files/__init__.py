"""Write and read the files of inversion codes: arrays and text in, text and arrays out.

- `geometry`: compute the angles of the line of sight that codes ask for
- `hazel`: format the files of hazel, and name what it finds
- `pixel_table`: list the pixels of a region, for the way back from files to a map
- `sir`: format and read the files of SIR and DeSIRe
"""
