"""Write what inversion codes read, of any region, and read what they found.

- `invertible`: give datasets the methods that write for inversion codes and read their results
- `read_back`: put what an inversion code found on the coordinates of the dataset
- `region`: read the Stokes profiles of a region in blocks, normalised, with their angles
- `to_hazel`: write the files of hazel
- `to_sir`: write the files of SIR and DeSIRe
"""
