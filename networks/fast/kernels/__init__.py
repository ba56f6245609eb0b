"""A trunk computed by Triton kernels, on CUDA GPUs.

`fused_trunk` runs it, records it as CUDA graphs, and keeps what it made of the weights.
`block_kernels` has the kernels of a dual attention block.
"""
