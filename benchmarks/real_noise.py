"""Compare denoisers, and methods without networks, on photographs with real noise.

    python benchmarks/real_noise.py --data FOLDER... \\
        --denoisers compact_srgb awgn=runs/awgn/weights.safetensors --output results/real_noise

A FOLDER holds pairs of pictures, noisy/NAME and clean/NAME. Methods: the noisy picture itself; each
denoiser, blind; non-local means and, with --bm3d, BM3D, both given the noise level that
scikit-image's wavelet estimator finds. Results are rounded to 8 bits before they are compared.
Denoised pictures stay in OUTPUT, and a later run skips them, so that a run can be stopped and
continued, and another denoiser can be added.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import denoise_nl_means, estimate_sigma

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import labelled
from cycleisp.dataloaders.pairs.folders import PairPaths, find_pairs, read_pair
from cycleisp.dataloaders.photos import read_photo
from cycleisp.networks import SrgbDenoiser
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.pretrained import find_weights, load_network
from cycleisp.utils.cli import run_script
from cycleisp.utils.devices import PRECISIONS, inference_precision, pick_device
from cycleisp.utils.errors import UserError
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.images import as_float, channels_last, photo_to_tensor, to_8bit
from cycleisp.utils.metrics import PSNR_8BIT, SSIM_8BIT, SSIM_WINDOW, psnr_8bit, ssim_8bit
from cycleisp.utils.output.contact_sheet import contact_sheet
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.progress import progress_bar

Denoise = Callable[[NDArray[np.float32]], NDArray]  # (H, W, 3) in [0, 1] -> the same


def by_network(denoiser: TiledDenoiser) -> Denoise:
    """Returns a network as a method."""
    return lambda noisy: channels_last(denoiser(photo_to_tensor(noisy)[None])[0])


def by_non_local_means(noisy: NDArray[np.float32]) -> NDArray:
    """Denoises with the settings that scikit-image recommends for a known noise level."""
    sigma = float(estimate_sigma(noisy, channel_axis=-1, average_sigmas=True))
    return denoise_nl_means(
        noisy, h=0.8 * sigma, sigma=sigma, patch_size=5, patch_distance=6, fast_mode=True, channel_axis=-1
    )


def by_bm3d(noisy: NDArray[np.float32]) -> NDArray:
    """Denoises by colour BM3D (package bm3d) in its opponent colour space."""
    import bm3d  # not for commercial use, so it is no requirement of this project

    return bm3d.bm3d_rgb(noisy, float(estimate_sigma(noisy, channel_axis=-1, average_sigmas=True)))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True, metavar="FOLDER", help="folders of pairs")
    parser.add_argument(
        "--denoisers",
        nargs="+",
        default=["compact_srgb"],
        metavar="[LABEL=]WEIGHTS",
        help="shipped names or files (default compact_srgb)",
    )
    parser.add_argument("--bm3d", action="store_true", help="also run BM3D (pip install bm3d; slow)")
    parser.add_argument("--crop", type=int, help="compare only the middle of each picture, this many pixels a side")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="of the networks (default %(default)s)"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="of the networks (default tf32 on CUDA)"
    )
    return parser.parse_args()


def open_methods(args: argparse.Namespace) -> tuple[dict[str, Denoise], dict[str, str]]:
    """Returns the methods, and the names of the folders for their pictures.

    The name of a network's folder contains the hash of its weights.
    """
    device = pick_device(args.device)
    precision = inference_precision(args.precision, device)
    methods: dict[str, Denoise] = {"noisy": lambda noisy: noisy}
    folders = {name: name for name in ("noisy", "nlm", "bm3d")}
    for item in args.denoisers:
        name, weights = labelled(item)
        path = find_weights(weights)
        methods[name] = by_network(
            TiledDenoiser(to_device(load_network(path, SrgbDenoiser), device), precision=precision)
        )
        folders[name] = f"{name}-{file_sha256(path)[:8]}" + f"-{precision}" * (precision != "float32")
    methods["nlm"] = by_non_local_means
    if args.bm3d:
        methods["bm3d"] = by_bm3d
    if len(methods) < len(args.denoisers) + 2 + args.bm3d:
        raise UserError("two methods have one label; name the denoisers apart, as LABEL=WEIGHTS")
    return methods, folders


def middle(picture: NDArray, size: int | None) -> NDArray:
    """Cuts a picture to its middle, at most `size` pixels a side; None keeps all of it."""
    if size is None:
        return picture
    rows, columns = (slice((side - min(side, size)) // 2, (side + min(side, size)) // 2) for side in picture.shape[:2])
    return picture[rows, columns]


def denoised(method: Denoise, noisy: NDArray, stored: Path) -> NDArray[np.uint8]:
    """Returns the method's 8 bit result, which is read from `stored` if it is there."""
    if stored.is_file():
        before = read_photo(stored)
        if before.shape == noisy.shape:
            return before.astype(np.uint8)
    result = to_8bit(method(as_float(noisy)))
    write_bytes(stored, encode_png(result))
    return result


def measure(
    pairs: list[PairPaths], methods: dict[str, Denoise], crop: int | None, folders: dict[str, Path], label: str
) -> dict[str, dict[str, tuple[float, float]]]:
    """Returns PSNR and SSIM of every method on every pair: method -> pair -> both."""
    results: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in methods}
    for pair in progress_bar(iterable=pairs, desc=label, unit="pair"):
        noisy, clean = (middle(picture, crop) for picture in read_pair(pair))
        if noisy.dtype != np.uint8:
            raise UserError(f"{pair.noisy}: expected 8 bits, got 16; this comparison is one of 8 bit pictures")
        if min(noisy.shape[:2]) < SSIM_WINDOW:
            height, width = noisy.shape[:2]
            raise UserError(f"{pair.noisy}: {width}x{height} pixels are less than SSIM's window of {SSIM_WINDOW}")
        for name, method in methods.items():
            result = denoised(method, noisy, folders[name] / label / f"{pair.name}.png")
            results[name][pair.name] = psnr_8bit(result, clean), ssim_8bit(result, clean)
    return results


def table(results: dict[str, dict[str, dict[str, tuple[float, float]]]]) -> str:
    """Returns the scores in Markdown: a row for each method, PSNR and SSIM for each folder."""
    labels = list(results)
    counts = {label: len(next(iter(results[label].values()))) for label in labels}
    lines = ["| method | " + " | ".join(f"{label} ({counts[label]})" for label in labels) + " |"]
    lines.append("|---" * (len(labels) + 1) + "|")
    for method in next(iter(results.values())):
        means = [np.mean(list(results[label][method].values()), axis=0) for label in labels]
        lines.append(f"| {method} | " + " | ".join(f"{psnr:.2f} / {ssim:.4f}" for psnr, ssim in means) + " |")
    return "\n".join(lines)


def draw(pairs: list[PairPaths], crop: int | None, folders: dict[str, Path], label: str) -> NDArray[np.uint8]:
    """Draws a contact sheet: 200 pixels, at full size, of some pairs by every method and clean."""
    rows = []
    for pair in pairs[:: max(1, len(pairs) // 5)][:5]:
        row = [(name, middle(read_photo(folder / label / f"{pair.name}.png"), 200)) for name, folder in folders.items()]
        rows.append([*row, ("clean", middle(middle(read_photo(pair.clean), crop), 200))])
    return contact_sheet(rows, cell=200)


def main() -> int:
    args = parse_args()
    if args.crop is not None and args.crop < SSIM_WINDOW:
        raise UserError(f"--crop {args.crop}: expected at least {SSIM_WINDOW} pixels, the window of SSIM")
    labels = [folder.resolve().name for folder in args.data]
    if len(set(labels)) < len(labels):
        raise UserError(f"--data: two folders have one name ({', '.join(labels)}); rename one, results bear it")
    methods, names = open_methods(args)
    images = {method: args.output / "images" / names[method] for method in methods}
    results = {}
    for folder, label in zip(args.data, labels, strict=True):
        pairs = find_pairs(folder)
        results[label] = measure(pairs, methods, args.crop, images, label)
        sheet = draw(pairs, args.crop, images, label)
        write_bytes(args.output / f"{label}.png", encode_png(sheet))
    part = f"the middle {args.crop}x{args.crop} of each picture" if args.crop else "whole pictures"
    text = f"{table(results)}\n\nMean over pairs, {part}. {PSNR_8BIT}. {SSIM_8BIT}.\n"
    print(text)
    write_bytes(args.output / "table.md", text.encode())
    write_bytes(args.output / "results.json", json.dumps(results, indent=1).encode())
    return 0


if __name__ == "__main__":
    run_script(main)
