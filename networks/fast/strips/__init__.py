"""A trunk computed strip by strip: on CPUs, and for images that do not fit into a GPU's memory.

`striped_trunk` runs it, on strips that `bands` lays out and features that `feature_maps` keeps. Its
operations are `convolutions` (PyTorch's own, or those of `winograd`), `attention` and the plain
ones of `rows`.
"""
