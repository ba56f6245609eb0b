"""Writes networks as ONNX files: what export_onnx.py does, as a function.

    from cycleisp.tasks.exporting import export_onnx

    exported = export_onnx("base_srgb", "base_srgb.onnx")

docs/guides/onnx.md says how to use such a file.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cycleisp.networks.cycleisp import CycleISP, GuidedRaw2Rgb
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.onnx_files import models
from cycleisp.networks.onnx_files.cards import card
from cycleisp.networks.onnx_files.contracts import contract_for, graph_for
from cycleisp.networks.onnx_files.half import in_half
from cycleisp.networks.onnx_files.origins import origin_of
from cycleisp.networks.pretrained import load_any
from cycleisp.networks.rgb2raw import Rgb2Raw
from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.raw.noise import FixedNoise, PlaneFactors
from cycleisp.utils.raw.sensor_noise.cameras import CameraNoise
from cycleisp.utils.raw.sensor_noise.names import find_noise

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
Part = Literal["rgb2raw", "raw2rgb"]
PARTS: tuple[Part, ...] = ("rgb2raw", "raw2rgb")
TOLERANCE = 1e-4  # between float32 results of PyTorch and of ONNX Runtime, in units of white
# Of float16 against float32, peak 1. Noise this far below takes 0.02 dB of a result of 35 dB.
LEAST_PSNR = 58.0  # dB
CHECKED_SIDES = (37, 45)  # of the picture on which a file for any size is compared


@dataclass(frozen=True)
class Exported:
    """What has been written.

    Attributes:
        path: the ONNX file.
        card: the page beside it.
        agrees: how near ONNX Runtime's result comes to PyTorch's, in words.
    """

    path: Path
    card: Path
    agrees: str


def export_onnx(
    weights: str | Path,
    output: Path | str,
    tile: int | None = None,
    half: bool = False,
    part: Part | None = None,
    noise: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Writes a network as an ONNX file, with a card beside it, FILE.md.

    The file is run in ONNX Runtime and compared with PyTorch before it is written.

    Args:
        weights: a denoiser or a CycleISP, by the name of shipped weights or by path.
        output: the file, FILE.onnx, in a folder that exists.
        tile: the side in pixels of the only image that the file takes, for programs that need fixed
            shapes. None takes batches of images of any size.
        half: whether to compute in float16. Inputs and outputs stay float32.
        part: which part of a CycleISP.
        noise: for a denoiser of RAW, the one level that it is made for, so that it needs no
            variance map: "shot=0.01,read=0.0005" or a camera's noise file as "camera.yaml@3200".
        overwrite: whether to overwrite existing files.

    Raises:
        UserError: packages are missing, weights that do not exist or are of another kind, an
            impossible option (named as the script's), a file that exists or cannot be written, or a
            result that differs from PyTorch's.
    """
    path = Path(output)
    page = path.with_suffix(".md")
    _check_packages()
    _check_output(path, page, overwrite)
    network = _part_of(load_any(weights), weights, part)
    level = None if noise is None else _level(network, noise)
    contract = contract_for(network, noise or "")
    if tile is not None:
        contract.check_tile(tile)
    origin, graph = origin_of(weights), graph_for(network, level)
    sides = CHECKED_SIDES if tile is None else (tile // contract.inputs[0].scale,) * 2
    picture = contract.example(2 if tile is None else 1, *sides)
    expected = models.in_pytorch(graph, picture)
    if half:
        in_half(graph)
    kind = type(network).__name__
    model = models.to_model(graph, contract, tile)
    content = models.to_bytes(model, models.facts(contract, origin, kind, tile, half))
    agrees = _compare(path, models.in_onnx_runtime(content, picture), expected, half)
    sha256 = hashlib.sha256(content).hexdigest()
    text = card(path.name, sha256, contract, origin, kind, tile, half, agrees)
    try:
        write_bytes(path, content)
        write_bytes(page, text.encode())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({reason(error)}); give another --output") from None
    return Exported(path, page, agrees)


# ---------------------------------------------------------------- what is asked for


def _check_packages() -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX files need {', '.join(missing)}: pip install {' '.join(missing)}")


def _check_output(path: Path, page: Path, overwrite: bool) -> None:
    if path.suffix.lower() != ".onnx":
        raise UserError(f"--output {path}: expected a file FILE.onnx")
    if not path.parent.is_dir():
        raise UserError(f"--output {path}: there is no folder {path.parent}; make it, or give another --output")
    for file in (path, page):
        if file.is_dir() or (file.exists() and not overwrite):
            raise UserError(f"{file}: exists; give another --output, or --overwrite")


def _part_of(network: nn.Module, weights: str | Path, part: Part | None) -> Denoiser | Rgb2Raw | GuidedRaw2Rgb:
    """Returns the network to export: a denoiser, or a part of a CycleISP."""
    if isinstance(network, CycleISP):
        if part not in PARTS:
            raise UserError(f"{weights}: is a CycleISP; give --part rgb2raw or --part raw2rgb")
        return network.rgb2raw if part == "rgb2raw" else network.guided_raw2rgb
    if isinstance(network, Rgb2Raw | GuidedRaw2Rgb | Denoiser):
        if part is not None:
            raise UserError(f"--part {part}: {weights} is a {type(network).__name__}, which has no parts")
        return network
    raise UserError(
        f"{weights}: is a {type(network).__name__}, one branch of RAW2RGB; give a CycleISP, as released_isp, and --part"
    )


def _level(network: nn.Module, noise: str) -> tuple[Tensor, Tensor]:
    """Returns shot and read noise of one level, (1, 1) or (1, 4) each."""
    if not isinstance(network, Denoiser) or network.space != "raw":
        raise UserError(f"--noise {noise}: a {type(network).__name__} takes no noise level")
    found = find_noise(noise)
    if isinstance(found, CameraNoise) and found.iso is not None:
        pair: tuple[PlaneFactors, PlaneFactors] = found.levels()
    elif isinstance(found, FixedNoise):
        pair = found.shot_noise, found.read_noise
    else:
        raise UserError(f"--noise {noise}: expected one level, as shot=0.01,read=0.0005 or camera.yaml@3200")
    shot, read = (torch.as_tensor(value, dtype=torch.float32).reshape(1, -1) for value in pair)
    return shot, read


# ---------------------------------------------------------------- what came out


def _compare(path: Path, found: NDArray[np.float32], expected: NDArray[np.float32], half: bool) -> str:
    """Returns in words how near ONNX Runtime's result comes to PyTorch's in float32.

    Raises:
        UserError: not near enough.
    """
    largest = models.largest_difference(found, expected)
    error = float(np.square(found - expected).mean())
    psnr = -10 * np.log10(max(error, 1e-20))
    words = f"a picture with noise differs by at most {largest:.1e} of white in ONNX Runtime, PSNR {psnr:.1f} dB"
    if not (psnr >= LEAST_PSNR if half else largest <= TOLERANCE):
        wanted = f"PSNR {LEAST_PSNR:g} dB at least" if half else f"at most {TOLERANCE:g}"
        raise UserError(f"{path}: not written: {words}, expected {wanted}; try other versions of {', '.join(PACKAGES)}")
    return words
