"""What is worth knowing of a CUDA GPU that is at hand for a quarter of an hour (docs/lab/gpu.md).

prepare        packs photos and real pairs into one file that travels
session        the steps, their time limits, and what is kept of them
first_failure  a plugin of pytest: the first failure in full
speed_rows     times the networks until the time is over
training       trains a denoiser that ends annealed when the time is over
step_clock     the time of a step, and the share of it without a kernel
evaluation     compares denoisers on real pairs, in float32 and in bf16
"""
