"""Compare RAW denoisers on camera RAW with synthetic noise, with each other and with BM3D.

    python benchmarks/raw_noise.py --raw RAWS --config configs/shipped/joint.yaml \\
        --denoisers compact_raw base_raw --bm3d

Clean RAW: squares of the camera files, of low ISO, that the recipe holds out. Noise: both profiles
at the ends and in the middle of their range of shot noise, with the read noise that belongs to it.
With --parts, a camera's heavy tails and row noise, in their ratio to its read noise, and hot pixels
come on top. Every method is given the noise level. BM3D works on values whose noise a
variance-stabilising transform has made equally strong everywhere.

PSNR: data range 1, predictions clipped to [0, 1], not rounded, over the four packed planes (linear,
black level 0, white 1); mean over squares. Time: of all squares at the last level, in seconds per
megapixel of the mosaic.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN, labelled
from cycleisp.dataloaders.training.holdout import split_names
from cycleisp.dataloaders.training.raw_pair_store import RawPairStore
from cycleisp.dataloaders.training.raw_pairs import prepare
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.pretrained import load_denoiser
from cycleisp.utils.cli import run_script
from cycleisp.utils.config import IspRecipe, load_recipe
from cycleisp.utils.devices import pick_device
from cycleisp.utils.errors import UserError
from cycleisp.utils.metrics import psnr
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import PROFILES, FixedNoise
from cycleisp.utils.raw.sensor_noise.cameras import CameraNoise
from cycleisp.utils.raw.sensor_noise.names import find_noise
from cycleisp.utils.raw.sensor_noise.parameters import SensorNoise
from cycleisp.utils.raw.sensor_noise.sampling import add_sensor_noise
from cycleisp.utils.raw.variance_stabilization import stabilize

_GRID = np.linspace(0, 1, 2048) ** 2  # finer in the dark, where the transform bends most
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(48)  # averages over a standard normal distribution
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()

Denoise = Callable[[Tensor, FixedNoise], Tensor]  # (1, 4, H/2, W/2) in [0, 1] and its noise level -> the same shape


def by_network(denoiser: TiledDenoiser) -> Denoise:
    """Returns a network as a method."""
    return lambda noisy, level: denoiser(noisy, level.shot_noise * noisy + level.read_noise)


def by_bm3d(noisy: Tensor, level: FixedNoise) -> Tensor:
    """Denoises each plane by BM3D (package bm3d)."""
    import bm3d  # not for commercial use, so it is no requirement of this project

    planes = []
    for plane in noisy[0].double():
        stabilized = stabilize(plane, level.shot_noise, level.read_noise).numpy()
        low, span = stabilized.min(), max(float(np.ptp(stabilized)), 1.0)
        denoised = bm3d.bm3d((stabilized - low) / span, 1 / span) * span + low
        planes.append(unbiased_inverse(denoised, level.shot_noise, level.read_noise))
    return torch.from_numpy(np.stack(planes)).float()[None]


def unbiased_inverse(stabilized: NDArray, shot_noise: float, read_noise: float) -> NDArray:
    """Returns the clean RAW in [0, 1] whose noise, transformed, has the mean `stabilized`.

    `destabilize` would be biased here (Makitalo and Foi, IEEE TIP 2013). The mean is taken over the
    noise as it is in files, clipped to [0, 1].
    """
    deviations = np.sqrt(shot_noise * _GRID + read_noise)
    noisy = np.clip(_GRID[:, None] + deviations[:, None] * _NODES, 0, 1)
    means = stabilize(torch.from_numpy(noisy), shot_noise, read_noise).numpy() @ _WEIGHTS
    return np.interp(stabilized, np.maximum.accumulate(means), _GRID)


def levels() -> dict[str, FixedNoise]:
    """Returns the ends and the geometric middle of both profiles, each with its mean read noise."""
    chosen = {}
    for name in ("dnd", "sidd"):
        profile = PROFILES[name]
        low, high = profile.shot_range
        for place, shot in (("low", low), ("middle", math.sqrt(low * high)), ("high", high)):
            read = profile.base ** (profile.slope * math.log(shot, profile.base) + profile.intercept)
            chosen[f"{name} {place}"] = FixedNoise(shot, read)
    return chosen


def with_parts(level: FixedNoise, camera: CameraNoise | None, hot_pixels: float) -> SensorNoise:
    """Returns the noise of a level, for one image, with further parts of a sensor's noise.

    Args:
        level: shot and read noise, which stay as they are.
        camera: whose tail, and ratio of row noise to read noise, are added; None adds none.
        hot_pixels: the share of photosites with a dark current of their own, 0.2 on average.
    """
    parts: dict[str, float] = {}
    if camera is not None:
        known = camera.at(max(camera.file.iso) if camera.iso is None else camera.iso)
        if "tukey_lambda" in known:
            parts["tail"] = known["tukey_lambda"]
        if "row_noise" in known:
            parts["row_noise"] = level.read_noise * float(np.mean(known["row_noise"]) / np.mean(known["read_noise"]))
    if hot_pixels:
        parts |= {"hot_pixels": hot_pixels, "hot_amplitude": 0.2}
    return SensorNoise(
        torch.tensor([level.shot_noise]),
        torch.tensor([level.read_noise]),
        **{part: torch.tensor([value]) for part, value in parts.items()},
    )


def total_level(noise: SensorNoise) -> FixedNoise:
    """Returns the level that a denoiser is told: shot noise, and all that is there in the dark."""
    levels = noise.levels()
    return FixedNoise(float(levels.shot_noise), float(levels.read_noise))


def camera_noise(text: str) -> CameraNoise:
    """Reads a camera's noise file named on the command line."""
    noise = find_noise(text)
    if not isinstance(noise, CameraNoise):
        raise UserError(f"--parts {text}: expected a camera's noise file, as noise/sony_a7s_ii.yaml")
    return noise


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", nargs="+", required=True, help="camera RAW files or folders")
    parser.add_argument(
        "--config", type=Path, required=True, help="recipe of the ISP networks, which says what to hold out"
    )
    parser.add_argument(
        "--prepared", type=Path, default=Path("prepared"), help="folder of decoded files (default %(default)s)"
    )
    parser.add_argument(
        "--denoisers",
        nargs="+",
        default=["compact_raw"],
        metavar="[LABEL=]WEIGHTS",
        help="shipped names or files (default compact_raw)",
    )
    parser.add_argument(
        "--parts", metavar="CAMERA.yaml[@ISO]", help="add this camera's tails and row noise (highest ISO by default)"
    )
    parser.add_argument(
        "--hot-pixels", type=float, default=0.0, metavar="SHARE", help="share of hot pixels (default %(default)s)"
    )
    parser.add_argument("--bm3d", action="store_true", help="also run BM3D (pip install bm3d; slow)")
    parser.add_argument("--size", type=int, default=256, help="side of a square in pixels, even (default %(default)s)")
    parser.add_argument("--per-file", type=int, default=2, help="squares of each file (default %(default)s)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="of the networks (default %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="also write all numbers to this file")
    return parser.parse_args()


def open_squares(args: argparse.Namespace) -> list[Tensor]:
    """Cuts clean packed RAW (1, 4, H/2, W/2) out of the files that are held out."""
    recipe = load_recipe(IspRecipe, args.config)
    report = prepare(args.raw, args.prepared)
    _, held_out = split_names(report.ready, recipe.data.holdout, recipe.data.holdout_count)
    squares = []
    for name in held_out:
        one = RawPairStore(args.prepared, [name])
        for number in range(args.per_file):
            mosaic, _ = one.draw(np.random.default_rng((7, number)), args.size)
            squares.append(bayer.pack(torch.from_numpy(mosaic)[None, None]))
    return squares


def main() -> int:
    args = parse_args()
    device = pick_device(args.device)
    methods: dict[str, Denoise] = {"noisy": lambda noisy, _level: noisy}
    for item in args.denoisers:
        label, weights = labelled(item)
        network, _ = load_denoiser(weights, "raw")
        methods[label] = by_network(TiledDenoiser(to_device(network, device)))
    if args.bm3d:
        methods["BM3D"] = by_bm3d
    squares = open_squares(args)
    camera = camera_noise(args.parts) if args.parts else None
    results: dict[str, dict[str, float]] = {method: {} for method in methods}
    for name, level in progress_bar(iterable=levels().items(), desc="measuring", unit="level"):
        noise = with_parts(level, camera, args.hot_pixels)
        sums, seconds = dict.fromkeys(methods, 0.0), dict.fromkeys(methods, 0.0)
        for seed, clean in enumerate(squares):
            noisy = add_sensor_noise(clean, noise, [seed], clip=True)
            for method, denoise in methods.items():
                start = time.perf_counter()
                denoised = denoise(noisy, total_level(noise))
                seconds[method] += time.perf_counter() - start
                sums[method] += psnr(denoised, clean) / len(squares)
        for method in methods:
            results[method][name] = sums[method]
            results[method]["s/MP"] = seconds[method] / (len(squares) * args.size**2 / 1e6)
    print(f"PSNR in dB of RAW, mean of {len(squares)} squares of {args.size} pixels\n")
    print("| method | " + " | ".join(f"{name} ({level.name})" for name, level in levels().items()) + " | s/MP |")
    print("|---" * (len(levels()) + 2) + "|")
    for method, row in results.items():
        print(f"| {method} | " + " | ".join(f"{row[name]:.2f}" for name in (*levels(), "s/MP")) + " |")
    if args.json:
        write_bytes(args.json, json.dumps(results, indent=1).encode())
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
