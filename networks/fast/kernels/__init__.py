"""A trunk as Triton kernels, on CUDA GPUs."""
