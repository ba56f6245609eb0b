"""Gated blocks computed tile by tile, on CPUs.

`gated_blocks` runs a block. Beside the matrix products its operations are those of `steps`, and
`memory` is what a thread needs for a tile.
"""
