"""Compare ONNX Runtime with the project's own fast path: time, memory, and what is left of noise.

    python benchmarks/onnx_runtime.py --weights fast_srgb base_raw --sizes 256x256
    python benchmarks/onnx_runtime.py --weights base_srgb --sizes 1024x1024 --json results/onnx.json

Each denoiser is exported (export_onnx.py) in float32 and in float16. Then every runtime denoises
the same picture in a fresh process of its own, on the CPU. Seconds are the median of the turns
after a warm-up. Memory is the peak of that process during the first turn, less what it held before:
weights and libraries are not in it. PSNR is that of the result against the clean picture, a photo
of scikit-image with noise: deviation 15 of 255 for photos, shot noise 0.005 and read noise 0.0001
for RAW. Sizes are pixels of the network's input, for RAW of its planes, and so are megapixels.
"""

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from benchmarks.speed import resident_bytes
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.inference.batched import BatchDenoiser
from cycleisp.networks.onnx_files import models
from cycleisp.networks.pretrained import load_any
from cycleisp.tasks.exporting import export_onnx
from cycleisp.utils.cli import run_script
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.raw.noise import add_shot_read_noise

ROOT = Path(__file__).resolve().parents[1]
RUNTIMES = ("ours", "onnx", "onnx-half")
DEVIATION, SHOT_NOISE, READ_NOISE = 15 / 255, 0.005, 0.0001
Turn = Callable[[], NDArray[np.float32]]


@dataclass(frozen=True)
class Row:
    """What one runtime needs for one picture."""

    weights: str
    runtime: str
    height: int
    width: int
    seconds: float
    bytes: int
    psnr: float

    @property
    def cells(self) -> list[str]:
        megapixels = self.height * self.width / 1e6
        return [
            self.weights,
            self.runtime,
            f"{self.width}x{self.height}",
            f"{self.seconds / megapixels:.2f}",
            f"{self.bytes / megapixels / 1e6:.0f}",
            f"{self.psnr:.3f}",
        ]


HEADINGS = ["weights", "runtime", "size", "s/MP", "MB/MP", "PSNR, dB"]


def pictures(space: str, height: int, width: int) -> tuple[Tensor, list[Tensor]]:
    """Returns a clean picture (1, C, H, W) and the inputs of a denoiser: it with noise."""
    photo = torch.from_numpy(data.astronaut().copy()).permute(2, 0, 1)[None].float() / 255
    factor = 2 if space == "raw" else 1
    repeats = (1, 1, -(-factor * height // photo.shape[2]), -(-factor * width // photo.shape[3]))
    photo = photo.tile(repeats)[:, :, : factor * height, : factor * width]
    generator = torch.Generator().manual_seed(0)
    if space == "srgb":
        noise = DEVIATION * torch.randn(photo.shape, generator=generator)
        return photo, [(photo + noise).clamp(0, 1)]
    linear = photo**2.2
    sites = (linear[:, 0, ::2, ::2], linear[:, 1, ::2, 1::2], linear[:, 1, 1::2, ::2], linear[:, 2, 1::2, 1::2])
    clean = torch.stack(sites, dim=1)
    shot, read = torch.tensor([SHOT_NOISE]), torch.tensor([READ_NOISE])
    noisy = add_shot_read_noise(clean, shot, read, generator).clamp(0, 1)
    return clean, [noisy, SHOT_NOISE * noisy + READ_NOISE]


def open_denoiser(weights: str) -> Denoiser:
    network = load_any(weights)
    if not isinstance(network, Denoiser):
        raise UserError(f"--weights {weights}: is a {type(network).__name__}; this benchmark is for denoisers")
    return network


def turn_of(weights: str, runtime: str, file: Path, inputs: list[Tensor]) -> Turn:
    """Returns the function that denoises the picture once."""
    if runtime == "ours":
        denoise = BatchDenoiser(open_denoiser(weights))
        return lambda: denoise(*inputs).numpy()
    session = models.open_session(file.read_bytes())
    return lambda: models.run(session, inputs)


def print_own_turns(args: argparse.Namespace) -> None:
    """Measures one runtime in this process, and prints the figures. `measure` starts this."""
    runtime, file = args.alone
    ((height, width),) = args.sizes
    clean, inputs = pictures(open_denoiser(args.weights[0]).space, height, width)
    small = turn_of(args.weights[0], runtime, Path(file), [image[:, :, :64, :64].contiguous() for image in inputs])
    small()  # loads code and libraries
    turn = turn_of(args.weights[0], runtime, Path(file), inputs)
    ctypes.CDLL(None).malloc_trim(0)  # returns freed memory
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident_bytes("VmRSS")
    result = turn()
    memory = resident_bytes("VmHWM") - before
    taken = []
    for _ in range(args.repeats):
        started = time.perf_counter()
        turn()
        taken.append(time.perf_counter() - started)
    psnr = -10 * np.log10(np.square(result.clip(0, 1) - clean.numpy()).mean())
    print(json.dumps({"seconds": statistics.median(taken), "bytes": memory, "psnr": float(psnr)}))


def measure(weights: str, runtime: str, file: Path, size: tuple[int, int], args: argparse.Namespace) -> Row:
    """Measures one runtime in a fresh process."""
    height, width = size
    command = [sys.executable, __file__, "--alone", runtime, str(file), "--weights", weights]
    command += ["--sizes", f"{width}x{height}", "--repeats", str(args.repeats), "--threads", str(args.threads)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise UserError(f"{weights} ({runtime}, {width}x{height}) failed in a process of its own: {done.stderr[-300:]}")
    return Row(weights, runtime, height, width, **json.loads(done.stdout.splitlines()[-1]))


def size_of(text: str) -> tuple[int, int]:
    """Returns height and width of WIDTHxHEIGHT."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and min(int(width), int(height)) > 0):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, got {text!r}")
    return int(height), int(width)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", default=["fast_srgb"], help="denoisers (default: fast_srgb)")
    parser.add_argument(
        "--sizes", nargs="+", type=size_of, default=[(256, 256)], metavar="WxH", help="sizes (default: 256x256)"
    )
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="turns that count (default: 5)")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="threads (default: one for each core)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file, too")
    parser.add_argument("--alone", nargs=2, metavar=("RUNTIME", "FILE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    torch.set_num_threads(args.threads)
    if args.alone:
        print_own_turns(args)
        return 0
    rows = []
    for weights in args.weights:
        open_denoiser(weights)
        with tempfile.TemporaryDirectory() as folder:
            files = {runtime: Path(folder, f"{runtime}.onnx") for runtime in RUNTIMES}
            for runtime in RUNTIMES[1:]:
                export_onnx(weights, files[runtime], half=runtime == "onnx-half")
            rows += [measure(weights, one, files[one], size, args) for size in args.sizes for one in RUNTIMES]
    if args.json:
        write_bytes(args.json, json.dumps([asdict(row) for row in rows], indent=1).encode())
    print(f"torch {torch.__version__}, {args.threads} threads, medians of {args.repeats}\n")
    for cells in (HEADINGS, ["---"] * len(HEADINGS), *(row.cells for row in rows)):
        print("| " + " | ".join(cells) + " |")
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
