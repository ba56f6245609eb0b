"""How RAW denoisers do on camera RAW with synthetic noise, beside BM3D behind a variance-stabilising transform.

    python benchmarks/raw_noise.py --raw RAWS --config configs/compact/joint.yaml --denoisers compact_raw --bm3d

Clean RAW: squares of the camera files that the recipe holds out, at low ISO. Noise: both profiles at the ends and in
the middle of their shot noise, with the read noise that goes with it. Every method is told the noise level.

PSNR: data range 1, predictions clipped to [0, 1], not rounded, over the four packed planes (linear, black level 0,
white 1); mean over squares.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cycleisp.dataloaders.training.raw_pairs import RawPairStore, prepare, split_names
from cycleisp.networks import RawDenoiser
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.pretrained import load_network
from cycleisp.utils.cli import labelled, run_script
from cycleisp.utils.config import IspRecipe, load_recipe
from cycleisp.utils.devices import pick_device
from cycleisp.utils.metrics import psnr
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import PROFILES, FixedNoise, noise_from_seeds
from cycleisp.utils.raw.variance_stabilization import stabilize, unbiased_inverse

Denoise = Callable[[Tensor, FixedNoise], Tensor]  # (1, 4, H/2, W/2) in [0, 1] and its noise level -> the same shape


def by_network(denoiser: TiledDenoiser) -> Denoise:
    return lambda noisy, level: denoiser(noisy, level.shot_noise * noisy + level.read_noise)


def by_bm3d(noisy: Tensor, level: FixedNoise) -> Tensor:
    """BM3D (package bm3d) on each plane."""
    import bm3d  # not for commercial use, so it is no requirement of this project

    planes = []
    for plane in noisy[0].double():
        stabilized = stabilize(plane, level.shot_noise, level.read_noise).numpy()
        low, span = stabilized.min(), max(float(np.ptp(stabilized)), 1.0)
        denoised = bm3d.bm3d((stabilized - low) / span, 1 / span) * span + low
        planes.append(unbiased_inverse(denoised, level.shot_noise, level.read_noise))
    return torch.from_numpy(np.stack(planes)).float()[None]


def levels() -> dict[str, FixedNoise]:
    """The ends and the geometric middle of both profiles, read noise without its spread."""
    chosen = {}
    for name in ("dnd", "sidd"):
        profile = PROFILES[name]
        low, high = profile.shot_range
        for place, shot in (("low", low), ("middle", math.sqrt(low * high)), ("high", high)):
            read = profile.base ** (profile.slope * math.log(shot, profile.base) + profile.intercept)
            chosen[f"{name} {place}"] = FixedNoise(shot, read)
    return chosen


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", nargs="+", required=True, help="camera RAW files or folders")
    parser.add_argument(
        "--config", type=Path, required=True, help="the recipe of the ISP networks, for what it holds out"
    )
    parser.add_argument("--prepared", type=Path, default=Path("prepared"))
    parser.add_argument("--denoisers", nargs="+", default=["compact_raw"], metavar="[LABEL=]WEIGHTS")
    parser.add_argument("--bm3d", action="store_true", help="also run BM3D (pip install bm3d; slow)")
    parser.add_argument("--size", type=int, default=256, help="side of a square in pixels of the mosaic, even")
    parser.add_argument("--per-file", type=int, default=2, help="squares of each file")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--json", type=Path, help="also write every figure here")
    return parser.parse_args()


def open_squares(args: argparse.Namespace) -> list[Tensor]:
    """Clean packed RAW (1, 4, H/2, W/2) from the held-out files."""
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
        network = load_network(weights, RawDenoiser)
        methods[label] = by_network(TiledDenoiser(network.to(device)))
    if args.bm3d:
        methods["BM3D"] = by_bm3d
    squares = open_squares(args)
    results: dict[str, dict[str, float]] = {method: {} for method in methods}
    for name, level in progress_bar(iterable=levels().items(), desc="measuring", unit="level"):
        sums = dict.fromkeys(methods, 0.0)
        for seed, clean in enumerate(squares):
            shot, read = torch.tensor([level.shot_noise]), torch.tensor([level.read_noise])
            noisy = noise_from_seeds(clean, shot, read, [seed]).clamp(0, 1)
            for method, denoise in methods.items():
                sums[method] += psnr(denoise(noisy, level), clean) / len(squares)
        for method, value in sums.items():
            results[method][name] = value
    print(f"PSNR in dB of RAW, mean of {len(squares)} squares of {args.size} pixels\n")
    print("| method | " + " | ".join(f"{name} ({level.name})" for name, level in levels().items()) + " |")
    print("|---" * (len(levels()) + 1) + "|")
    for method, row in results.items():
        print(f"| {method} | " + " | ".join(f"{row[name]:.2f}" for name in levels()) + " |")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    run_script(main)
