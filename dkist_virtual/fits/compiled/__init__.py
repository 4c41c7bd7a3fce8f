"""Have kernels as machine code: from the disk, or compiled in the background.

- `background`: compile kernels in a thread that gives way to decoding, and ends with the process
- `code_files`: keep machine code on the disk, where that is possible
- `kernel`: name a kernel, and say whether its machine code is there
- `machine_code`: compile a kernel with numba, and load its machine code without numba
- `sums`: add the words of FITS data, compiled
"""
