"""Opens the denoisers of denoise.py: by PyTorch, or by ONNX Runtime, where there is no PyTorch."""

import importlib.util
import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from cycleisp.dataloaders.results.arrays import OpenedDenoiser, of_arrays
from cycleisp.utils.errors import UserError
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.images import Space
from cycleisp.utils.onnx_denoiser import open_onnx

RUNTIMES = ("auto", "torch", "onnx")
Opened = tuple[dict[Space, OpenedDenoiser], str, str]  # by space; the device and the precision, in words


def runtime_for(runtime: str, weights: str | None) -> str:
    """Returns which of "torch" and "onnx" is meant: for "auto" that of the weights' file."""
    if runtime not in RUNTIMES:
        raise UserError(f"--runtime {runtime}: expected {', '.join(RUNTIMES)}")
    if runtime != "auto":
        return runtime
    return "onnx" if weights is not None and weights.lower().endswith(".onnx") else "torch"


def open_with_onnx(weights: str | None, tile: int | None, device: str, precision: str, keep_brightness: bool) -> Opened:
    """Opens an ONNX file.

    Raises:
        UserError: no such file, it is none of a denoiser, or an option that ONNX Runtime does not
            have here.
    """
    if weights is None:
        raise UserError("--runtime onnx: give a file that export_onnx.py has written, as --weights FILE.onnx")
    if device not in ("auto", "cpu"):
        raise UserError(f"--device {device}: ONNX files run on the CPU here; use --device cpu")
    if precision not in ("auto", "float32"):
        raise UserError(f"--precision {precision}: an ONNX file has its own precision; leave it out")
    if keep_brightness:
        raise UserError("--keep-brightness needs PyTorch; leave it out, or give weights that are no ONNX file")
    path = Path(weights)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    denoiser = open_onnx(path, tile, int(threads) if threads.isdecimal() else None)
    opened = OpenedDenoiser(
        denoiser, file_sha256(path), denoiser.halo, denoiser.multiple, denoiser.pools, denoiser.level
    )
    return {denoiser.space: opened}, "cpu, ONNX Runtime", "as the file has it"


def open_with_torch(
    weights: str | None,
    spaces: Collection[Space],
    tile: int | None,
    device: str,
    precision: str,
    keep_brightness: bool,
) -> Opened:
    """Opens a network, or the shipped one of each space.

    Raises:
        UserError: PyTorch is not installed; weights that do not exist or are of no denoiser; or an
            impossible device or precision.
    """
    if importlib.util.find_spec("torch") is None:
        advice = "install it, or give an ONNX file as --weights FILE.onnx"
        raise UserError(f"PyTorch is not installed, without which only ONNX files run; {advice}")
    from cycleisp.networks.acceleration import to_device
    from cycleisp.networks.inference.tiled import TiledDenoiser
    from cycleisp.networks.pretrained import SHIPPED_DENOISERS, load_denoisers, weights_sha256
    from cycleisp.utils.color.brightness import BLOCK, REACH, keeping_brightness
    from cycleisp.utils.devices import inference_precision, pick_device

    place = pick_device(device)
    precision = inference_precision(precision, place)
    opened: dict[Space, OpenedDenoiser] = {}
    known: tuple[Space, Space] = ("srgb", "raw")
    for space, network in zip(known, load_denoisers(weights, set(spaces)), strict=True):
        if network is None:
            continue
        tiled = TiledDenoiser(to_device(network, place), tile, precision)
        halo, multiple = tiled.halo, network.multiple
        keeps = keep_brightness and space == "srgb"
        denoise = keeping_brightness(tiled) if keeps else tiled
        if keeps:
            halo, multiple = halo + REACH, np.lcm(multiple, BLOCK).item()
        sha256 = weights_sha256(weights or SHIPPED_DENOISERS[space])
        opened[space] = OpenedDenoiser(of_arrays(denoise), sha256, halo, multiple, bool(tiled.pools))
    return opened, str(place), precision
