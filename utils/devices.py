"""Where to compute, and how precisely."""

import torch

from utils.errors import UserError

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """The device meant by auto, cpu, cuda or mps; under torchrun each process takes the GPU of its `local_rank`.

    Raises:
        UserError: CUDA or MPS asked for and absent.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise UserError("--device cuda: PyTorch sees no CUDA GPU here; use --device cpu")
        return torch.device("cuda", local_rank)
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: PyTorch sees no Apple GPU here; use --device cpu")
    return torch.device(name)


def auto_precision(device: torch.device) -> str:
    """bf16 on CUDA devices that compute in it, float32 elsewhere, where bf16 can be hundreds of times slower."""
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def autocast_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The type for torch.autocast, None for float32.

    Raises:
        UserError: half precision on a CPU, where it is far slower than float32.
    """
    if precision == "float32":
        return None
    if device.type == "cpu":
        raise UserError(f"precision {precision} on a CPU is far slower than float32; leave it at float32")
    return _HALF[precision]
