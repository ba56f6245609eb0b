"""Compare denoisers, and methods without networks, on photographs with real noise.

    python benchmarks/real_noise.py --data FOLDER... \\
        --denoisers compact_srgb awgn=runs/awgn/weights.safetensors --output results/real_noise

A FOLDER holds pairs of pictures, noisy/NAME and clean/NAME. Methods: the noisy picture itself;
each denoiser, blind; each peer, a function of any module, which takes a noisy picture, (H, W, 3)
float32 in [0, 1], and returns the denoised one; non-local means and, with --bm3d, BM3D, both given
the noise level that scikit-image's wavelet estimator finds. Results are rounded to 8 bits before
they are compared. Denoised pictures stay in OUTPUT, and a later run skips them, so that a run can
be stopped and continued, and another denoiser can be added.

Seconds per megapixel are those of the pictures that this run or an earlier one has denoised, after
one small picture that loads the code; reading and writing are not counted. With matplotlib,
pareto.png shows PSNR against them.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import denoise_nl_means, estimate_sigma

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN, labelled
from benchmarks.pareto import draw_pareto
from benchmarks.peers import Denoise, open_peer
from cycleisp.dataloaders.denoisers import DenoiseSrgb
from cycleisp.dataloaders.pairs.folders import PairPaths, find_pairs, read_pair
from cycleisp.dataloaders.photos import read_photo
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.pretrained import find_weights, load_denoiser
from cycleisp.utils.cli import run_script
from cycleisp.utils.color.brightness import keeping_brightness
from cycleisp.utils.devices import inference_precision, pick_device
from cycleisp.utils.errors import UserError
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.images import as_float, channels_last, photo_to_tensor, to_8bit
from cycleisp.utils.metrics import PSNR_8BIT, SSIM_8BIT, SSIM_WINDOW, psnr_8bit, ssim_8bit
from cycleisp.utils.output.contact_sheet import contact_sheet
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.precisions import PRECISIONS

WARM_UP = 64  # pixels a side of the picture that loads the code


@dataclass
class Method:
    """A method that denoises, and what it costs.

    Attributes:
        run: denoises a picture.
        folder: the name of the folder of its pictures.
        parameters: how many it has; None where that is unknown.
        seconds, pixels: of the pictures that it has denoised.
    """

    run: Denoise
    folder: str
    parameters: int | None = None
    seconds: float = 0.0
    pixels: int = field(default=0)
    is_warm: bool = False

    def __call__(self, noisy: NDArray[np.float32]) -> NDArray:
        """Denoises a picture, and measures how long it takes.

        Raises:
            UserError: the result has another shape.
        """
        if not self.is_warm:
            self.run(noisy[:WARM_UP, :WARM_UP].copy())
            self.is_warm = True
        began = time.perf_counter()
        result = np.asarray(self.run(noisy))
        self.seconds += time.perf_counter() - began
        self.pixels += noisy.shape[0] * noisy.shape[1]
        if result.shape != noisy.shape:
            raise UserError(f"{self.folder}: returned an array {result.shape} for a picture {noisy.shape}")
        return result

    @property
    def seconds_per_megapixel(self) -> float | None:
        """Returns the time, or None if it has denoised nothing."""
        return 1e6 * self.seconds / self.pixels if self.pixels else None


Scores = dict[str, dict[str, tuple[float, float]]]  # method -> pair -> PSNR and SSIM


def by_network(denoiser: DenoiseSrgb) -> Denoise:
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
    parser.add_argument(
        "--peers", nargs="+", default=[], metavar="LABEL=MODULE:FUNCTION", help="denoisers of others to compare with"
    )
    parser.add_argument(
        "--keep-brightness", action="store_true", help="run the denoisers as denoise.py --keep-brightness does"
    )
    parser.add_argument("--skip-nlm", action="store_true", help="leave out non-local means, which are slow")
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


def open_methods(args: argparse.Namespace) -> dict[str, Method]:
    """Returns the methods by their labels.

    The name of a network's or peer's folder contains the hash of its weights or code.
    """
    device = pick_device(args.device)
    precision = inference_precision(args.precision, device)
    methods = [("noisy", Method(lambda noisy: noisy, "noisy", parameters=0))]
    for item in args.denoisers:
        name, weights = labelled(item)
        network = to_device(load_denoiser(weights, "srgb")[0], device)
        folder = f"{name}-{file_sha256(find_weights(weights))[:8]}" + f"-{precision}" * (precision != "float32")
        count = sum(parameter.numel() for parameter in network.parameters())
        denoiser: DenoiseSrgb = TiledDenoiser(network, precision=precision)
        if args.keep_brightness:
            denoiser, folder = keeping_brightness(denoiser), f"{folder}-kept"
        methods.append((name, Method(by_network(denoiser), folder, count)))
    for item in args.peers:
        name, function, folder = open_peer(item)
        methods.append((name, Method(function, folder, getattr(function, "parameters", None))))
    if not args.skip_nlm:
        methods.append(("nlm", Method(by_non_local_means, "nlm", parameters=0)))
    if args.bm3d:
        methods.append(("bm3d", Method(by_bm3d, "bm3d", parameters=0)))
    if len(dict(methods)) < len(methods):
        raise UserError("two methods have one label; name the denoisers apart, as LABEL=WEIGHTS")
    return dict(methods)


def middle(picture: NDArray, size: int | None) -> NDArray:
    """Cuts a picture to its middle, at most `size` pixels a side; None keeps all of it."""
    if size is None:
        return picture
    rows, columns = (slice((side - min(side, size)) // 2, (side + min(side, size)) // 2) for side in picture.shape[:2])
    return picture[rows, columns]


def denoised(method: Method, noisy: NDArray, stored: Path) -> NDArray[np.uint8]:
    """Returns the method's 8 bit result, which is read from `stored` if it is there."""
    if stored.is_file():
        before = read_photo(stored)
        if before.shape == noisy.shape:
            return before.astype(np.uint8)
    result = to_8bit(method(as_float(noisy)))
    write_bytes(stored, encode_png(result))
    return result


def measure(
    pairs: list[PairPaths], methods: dict[str, Method], crop: int | None, folders: dict[str, Path], label: str
) -> Scores:
    """Returns PSNR and SSIM of every method on every pair."""
    results: Scores = {name: {} for name in methods}
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


def mean_scores(results: dict[str, Scores]) -> dict[str, dict[str, tuple[float, float]]]:
    """Returns the means over the pairs of each folder: method -> folder -> PSNR and SSIM."""
    return {
        method: {
            label: tuple(np.mean(list(scores[method].values()), axis=0).tolist()) for label, scores in results.items()
        }
        for method in next(iter(results.values()))
    }


def table(results: dict[str, Scores], methods: dict[str, Method]) -> str:
    """Returns costs and scores in Markdown: a row for each method, PSNR and SSIM of each folder."""
    counts = {label: len(next(iter(scores.values()))) for label, scores in results.items()}
    heads = ["method", "parameters", "s/MP", *(f"{label} ({count})" for label, count in counts.items())]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, means in mean_scores(results).items():
        method = methods[name]
        parameters = f"{method.parameters:,}" if method.parameters else ""
        seconds = method.seconds_per_megapixel
        cells = [name, parameters, f"{seconds:.3g}" if seconds is not None and name != "noisy" else ""]
        lines.append("| " + " | ".join([*cells, *(f"{psnr:.2f} / {ssim:.4f}" for psnr, ssim in means.values())]) + " |")
    return "\n".join(lines)


def restore_costs(methods: dict[str, Method], file: Path) -> None:
    """Takes the times of an earlier run, whose pictures are still there, from its file."""
    stored = json.loads(file.read_bytes()) if file.is_file() else {}
    for method in methods.values():
        method.seconds, method.pixels = stored.get(method.folder, (0.0, 0))


def save_costs(methods: dict[str, Method], file: Path) -> None:
    """Adds the times to the file."""
    stored = json.loads(file.read_bytes()) if file.is_file() else {}
    stored |= {method.folder: (method.seconds, method.pixels) for method in methods.values()}
    write_bytes(file, json.dumps(stored, indent=1).encode())


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
    methods = open_methods(args)
    images = {name: args.output / "images" / method.folder for name, method in methods.items()}
    costs = args.output / "images" / "seconds.json"
    restore_costs(methods, costs)
    results = {}
    for folder, label in zip(args.data, labels, strict=True):
        pairs = find_pairs(folder)
        try:
            results[label] = measure(pairs, methods, args.crop, images, label)
        finally:  # a run that was stopped keeps the times of its pictures
            save_costs(methods, costs)
        sheet = draw(pairs, args.crop, images, label)
        write_bytes(args.output / f"{label}.png", encode_png(sheet))
    part = f"the middle {args.crop}x{args.crop} of each picture" if args.crop else "whole pictures"
    text = f"{table(results, methods)}\n\nMean over pairs, {part}. {PSNR_8BIT}. {SSIM_8BIT}.\n"
    print(text)
    write_bytes(args.output / "table.md", text.encode())
    write_bytes(args.output / "results.json", json.dumps(results, indent=1).encode())
    seconds = {name: method.seconds_per_megapixel for name, method in methods.items()}
    print(draw_pareto(mean_scores(results), seconds, args.output / "pareto.png"))
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
