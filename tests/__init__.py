"""Tests. Where there is no GPU Triton's kernels are interpreted; it looks for that when kernels are
defined.
"""

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
