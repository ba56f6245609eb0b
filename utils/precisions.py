"""The names of the precisions in which networks compute.

They stand apart from `devices.py`, which says what each of them means, since scripts list them in
their help and recipes check them, and neither should wait for PyTorch.
"""

from typing import Literal, get_args

Precision = Literal["auto", "float32", "tf32", "bf16", "fp16"]
PRECISIONS = get_args(Precision)
