"""Devices and precisions: which to compute on, and the way of tensors to them and back."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cycleisp.utils.errors import UserError

if TYPE_CHECKING:  # whoever asks for memory may do without PyTorch
    import torch
    from torch import Tensor

_HALF = {"bf16": "bfloat16", "fp16": "float16"}


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """Returns the device that auto, cpu, cuda or mps means.

    Under torchrun each process takes the GPU of its `local_rank`.

    Raises:
        UserError: CUDA or MPS is asked for, and PyTorch sees no such device.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise UserError("--device cuda: PyTorch sees no CUDA GPU here; use --device cpu")
        return torch.device("cuda", local_rank)
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: PyTorch sees no Apple GPU here; use --device cpu")
    return torch.device(name)


def training_precision(precision: str, device: torch.device) -> str:
    """Returns the precision of training that `precision` means on a device.

    auto is bf16 on CUDA devices that compute in it, and float32 elsewhere.

    Raises:
        UserError: the device does not have the precision.
    """
    import torch

    if precision == "auto":
        has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16" if has_bf16 else "float32"
    return _checked(precision, device)


def inference_precision(precision: str, device: torch.device) -> str:
    """Returns the precision of trained networks that `precision` means on a device.

    auto is tf32 on CUDA, and float32 elsewhere. Half precision would be visible: bf16 has only 128
    values between 0.5 and 1.

    Raises:
        UserError: the device does not have the precision.
    """
    if precision == "auto":
        return "tf32" if device.type == "cuda" else "float32"
    return _checked(precision, device)


def _checked(precision: str, device: torch.device) -> str:
    if precision != "float32" and device.type == "cpu":  # bf16 can be hundreds of times slower there
        raise UserError(f"precision {precision} on a CPU is no faster than float32, or far slower; leave it at float32")
    if precision == "tf32" and device.type != "cuda":
        raise UserError(f"precision tf32 is for CUDA GPUs, this is {device.type}; take float32, bf16 or fp16")
    return precision


@contextmanager
def computing(precision: str, device: torch.device) -> Iterator[None]:
    """Lets networks on `device` compute in float32, tf32, bf16 or fp16 inside the block.

    With float32 products are exact on CUDA, too, where PyTorch by default computes convolutions in
    TF32, which has 10 bits. With half precision this default is left alone, since it is a switch of
    the whole process, which other threads see.
    """
    import torch

    if precision in _HALF:
        with torch.autocast(device.type, dtype=getattr(torch, _HALF[precision])):
            yield
    else:
        with torch.autocast(device.type, enabled=False), tf32(precision == "tf32"):
            yield


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allows or forbids TF32 inside the block.

    With TF32, float32 products and convolutions on CUDA round their factors to 10 bits.
    """
    import torch

    switches: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = allowed
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Copies a tensor to `device`; to a GPU through pinned memory, while the CPU continues."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def download(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copies tensors of one device to the CPU; from a GPU into pinned memory, waiting only once."""
    if not tensors or tensors[0].device.type != "cuda":
        return [tensor.cpu() for tensor in tensors]
    import torch

    arrived = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in tensors]
    for target, tensor in zip(arrived, tensors, strict=True):
        target.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensors[0].device).synchronize()
    return arrived


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether an error says that memory was short, of the machine or of a GPU."""
    torch = sys.modules.get("torch")  # without it, none of its errors can have happened
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "memory" in str(error)  # PyTorch's allocator on a CPU says it so


def available_memory() -> int | None:
    """Returns how many bytes of memory this machine can still give; None where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        (kilobytes,) = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return 1024 * int(kilobytes)
    except (OSError, ValueError):
        return None
