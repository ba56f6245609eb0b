"""Measure how well the ISP networks know the camera, beside unprocessing by simulated cameras.

    python benchmarks/isp.py --weights compact_isp --config configs/shipped/joint.yaml \\
        --raw RAWS --photos PHOTOS

Directions: RGB to RAW, RAW to RGB, and the cycle.

Camera files: squares of the files that the recipe holds out, LibRaw's rendering against the true
mosaic. Photos: only the cycle, since their RAW is not known. Simulated cameras for comparison: the
mean camera of Brooks et al. with their tone curve; and three that know LibRaw's curve exactly,
whose white balance and matrix are drawn at random (mean PSNR of 16 draws), typical of daylight, or
the file's own, which cannot be known from a photo. "Gains fitted": one factor for each plane, by
least squares, removes the error of the white balance.

PSNR: data range 1, predictions clipped to [0, 1], not rounded; RAW over the four packed planes
(linear, black level 0, white 1), sRGB over three channels; mean over squares.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from benchmarks.unprocessing import typical_brooks_camera, typical_camera
from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.sources import find_sources
from cycleisp.dataloaders.training.holdout import split_names
from cycleisp.dataloaders.training.isp_patches import scenes_by
from cycleisp.dataloaders.training.raw_pair_store import RawPairStore
from cycleisp.dataloaders.training.raw_pairs import prepare
from cycleisp.networks import CycleISP
from cycleisp.networks.pretrained import load_cycleisp
from cycleisp.utils.cli import run_script
from cycleisp.utils.color.simulated_camera import SimulatedCamera, sample_camera
from cycleisp.utils.config import IspRecipe, load_recipe
from cycleisp.utils.devices import pick_device
from cycleisp.utils.images import as_float, channels_first, photo_to_tensor
from cycleisp.utils.metrics import psnr
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw import bayer

COLUMNS = {
    "rgb2raw": "RGB2RAW",
    "unprocessing_upi": "unprocessing, Brooks et al.",
    "unprocessing_sampled": "unprocessing, sampled camera",
    "unprocessing_typical": "unprocessing, typical camera",
    "unprocessing_true": "unprocessing, true camera",
    "rgb2raw_fitted": "RGB2RAW, gains fitted",
    "unprocessing_typical_fitted": "typical camera, gains fitted",
    "raw2rgb": "RAW2RGB",
    "cycle": "cycle",
}


def squares(height: int, width: int, size: int, per_side: int) -> Iterator[tuple[slice, slice]]:
    """Yields `per_side`^2 squares at even offsets, spread evenly over an image.

    A smaller image is yielded as a whole.
    """
    size = min(size, height // 2 * 2, width // 2 * 2)
    for top in np.linspace(0, height - size, per_side).astype(int) // 2 * 2:
        for left in np.linspace(0, width - size, per_side).astype(int) // 2 * 2:
            yield slice(top, top + size), slice(left, left + size)


def unprocess(photo: NDArray, camera: SimulatedCamera) -> Tensor:
    """Converts (H, W, 3) integers to packed RAW (1, 4, H/2, W/2) by a simulated camera."""
    camera_rgb = channels_first(camera.unprocess(as_float(photo)))[None]
    return bayer.pack(bayer.mosaic(camera_rgb, "RGGB"))


def with_fitted_gains(predicted: Tensor, target: Tensor) -> Tensor:
    """Multiplies each plane (1, 4, H, W) by the factor that brings it closest to `target`."""
    clipped = predicted.clamp(0, 1)
    products, squares_ = (clipped * target).sum((2, 3), keepdim=True), clipped.square().sum((2, 3), keepdim=True)
    return clipped * products / squares_.clamp(min=1e-12)


@torch.inference_mode()
def measure_square(
    isp: CycleISP, mosaic: NDArray | None, photo: NDArray, cameras: dict[str, list[SimulatedCamera]]
) -> dict[str, float]:
    """Returns the PSNR of every direction on a square; without a mosaic only that of the cycle."""
    device = next(isp.parameters()).device
    srgb = photo_to_tensor(photo)[None].to(device)
    predicted_raw, cycled = (image.cpu() for image in isp(srgb))
    results = {"cycle": psnr(cycled, srgb.cpu())}
    if mosaic is None:
        return results
    raw = bayer.pack(torch.from_numpy(as_float(mosaic))[None, None])
    results["rgb2raw"] = psnr(predicted_raw, raw)
    results["rgb2raw_fitted"] = psnr(with_fitted_gains(predicted_raw, raw), raw)
    results["raw2rgb"] = psnr(isp.guided_raw2rgb(raw.to(device), srgb).cpu(), srgb.cpu())
    for name, choices in cameras.items():
        results[name] = float(np.mean([psnr(unprocess(photo, camera), raw) for camera in choices]))
    typical = unprocess(photo, cameras["unprocessing_typical"][0])
    results["unprocessing_typical_fitted"] = psnr(with_fitted_gains(typical, raw), raw)
    return results


def true_camera(record: dict) -> SimulatedCamera:
    """Returns the camera with the file's own white balance and matrix, unprocessing's best case."""
    return SimulatedCamera(np.array(record["cam2rgb"]), np.array(record["white_balance"]))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights",
        default="compact_isp",
        metavar="NAME",
        help="of CycleISP, a shipped name or a file (default %(default)s)",
    )
    parser.add_argument(
        "--config", type=Path, required=True, metavar="YAML", help="recipe, which says what to hold out"
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="values that replace the recipe's")
    parser.add_argument("--raw", nargs="+", default=[], metavar="FILE", help="camera RAW files or folders")
    parser.add_argument("--photos", nargs="+", default=[], metavar="FILE", help="photos or folders, for the cycle")
    parser.add_argument(
        "--prepared", type=Path, default=Path("prepared"), help="folder of decoded files (default %(default)s)"
    )
    parser.add_argument("--size", type=int, default=512, help="side of a square in pixels (default %(default)s)")
    parser.add_argument(
        "--per-side", type=int, default=3, help="squares along each side of an image (default %(default)s)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default %(default)s)")
    parser.add_argument("--json", type=Path, help="also write all numbers to this file")
    return parser.parse_args()


def table(rows: dict[str, dict[str, float]]) -> str:
    """Returns the scores in Markdown: a row for each file, and one for their mean."""
    keys = [key for key in COLUMNS if any(key in row for row in rows.values())]
    lines = ["| file | " + " | ".join(COLUMNS[key] for key in keys) + " |", "|---" * (len(keys) + 1) + "|"]
    means = {key: float(np.mean([row[key] for row in rows.values()])) for key in keys}
    for name, row in {**rows, "**mean of files**": means}.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[key]:.2f}" for key in keys) + " |")
    return "\n".join(lines)


def main() -> int:
    args = parse_args()
    recipe = load_recipe(IspRecipe, args.config, args.set)
    isp, _ = load_cycleisp(args.weights)
    isp = isp.to(pick_device(args.device))
    jobs: list[tuple[str, NDArray | None, NDArray, dict[str, list[SimulatedCamera]]]] = []
    rng = np.random.default_rng(0)
    guesses: dict[str, list[SimulatedCamera]] = {
        "unprocessing_upi": [typical_brooks_camera()],
        "unprocessing_sampled": [sample_camera(rng) for _ in range(16)],
        "unprocessing_typical": [typical_camera()],
    }
    if args.raw:
        report = prepare(args.raw, args.prepared, render=recipe.data.render)
        data = recipe.data
        _, held_out = split_names(
            report.ready, data.holdout, data.holdout_count, data.holdout_share, scenes_by(data, report.ready, report)
        )
        pairs = RawPairStore(args.prepared, held_out)
        for name in held_out:
            record = json.loads((args.prepared / f"{name}.json").read_text())
            jobs.append((name, *pairs.pair(name), {**guesses, "unprocessing_true": [true_camera(record)]}))
    if args.photos:
        jobs += [(source.name, None, read_photo(source.path), {}) for source in find_sources(args.photos, raw=False)]
    results: dict[str, dict[str, dict[str, float]]] = {"camera files": {}, "photos": {}}
    for name, mosaic, photo, cameras in progress_bar(iterable=jobs, desc="measuring", unit="file"):
        measured = []
        for window in squares(*photo.shape[:2], args.size, args.per_side):
            measured.append(measure_square(isp, None if mosaic is None else mosaic[window], photo[window], cameras))
        kind = "photos" if mosaic is None else "camera files"
        results[kind][name] = {key: float(np.mean([one[key] for one in measured])) for key in measured[0]}
    print(f"PSNR in dB, {args.per_side}x{args.per_side} squares of {args.size} pixels a file, weights {args.weights}")
    for kind, rows in results.items():
        if rows:
            print(f"\n{kind}\n\n{table(rows)}")
    if args.json:
        write_bytes(args.json, json.dumps(results, indent=1).encode())
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
