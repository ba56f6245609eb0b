"""MATLAB files: `v5` handles arrays larger than memory, `v73` opens the files that are HDF5."""
