"""How fast and how large our forward is beside the plain one of benchmarks/reference.py, in one run.

    python benchmarks/speed.py --networks srgb_denoiser rgb2raw --sizes 256x256 1024x1024
    python benchmarks/speed.py --networks srgb_denoiser --megapixels 0.25 0.5 1 2 --repeats 1 --json results/speed.json
    python benchmarks/speed.py --networks srgb_denoiser --megapixels 24 --repeats 1 --warm-up 0 --skip-plain \
        --json results/speed.json --plot docs/speed.png

Both take turns after a warm-up; figures are medians, and a ratio is the median of the turns' ratios. The yardstick of
arithmetic is a bare 3x3 convolution from 64 to 64 channels on the same pixels, timed in the same turns. Peak memory is
that of a fresh process which does nothing else, less what it holds before its first forward pass. --skip-plain is for
photos that the plain forward has not the memory for.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import reference
from networks import RawDenoiser, Rgb2Raw, SrgbDenoiser
from utils.cli import run_script
from utils.devices import pick_device
from utils.errors import UserError
from utils.progress import progress_bar

ROOT = Path(__file__).resolve().parents[1]
Forward = Callable[[], Tensor]


@dataclass(frozen=True)
class Case:
    """One network: how to build it, its channels of input, and its plain forward."""

    build: Callable[[], nn.Module]
    channels: tuple[int, ...]
    plain: Callable[..., Tensor]


CASES = {
    "srgb_denoiser": Case(SrgbDenoiser, (3,), reference.srgb_denoiser),
    "raw_denoiser": Case(RawDenoiser, (4, 4), reference.raw_denoiser),
    "rgb2raw": Case(Rgb2Raw, (3,), reference.rgb2raw),
}


@dataclass(frozen=True)
class Row:
    """Figures of one network at one size. Times are medians in seconds; NaN and 0 bytes stand for what was skipped."""

    network: str
    height: int
    width: int
    gigaflops: float  # of one forward pass, convolutions alone
    plain_seconds: float
    fast_seconds: float
    ratio: float
    peak_gflops: float  # of the bare convolution, a second
    difference: float  # largest, in standard deviations of the plain result
    plain_bytes: int
    fast_bytes: int

    @property
    def cells(self) -> list[str]:
        megapixels = self.height * self.width / 1e6
        speed = self.gigaflops / self.fast_seconds
        skipped = math.isnan(self.plain_seconds)
        cells = [
            self.network,
            f"{self.width}x{self.height}",
            f"{self.plain_seconds:.2f}",
            f"{self.fast_seconds:.2f}",
            f"{self.ratio:.2f}",
            f"{megapixels / self.fast_seconds:.3f}",
            f"{speed:.0f}",
            f"{self.peak_gflops:.0f}",
            f"{100 * speed / self.peak_gflops:.0f} %",
            f"{self.plain_bytes / 1e6:.0f}",
            f"{self.fast_bytes / 1e6:.0f}",
            f"{self.difference:.1e}",
        ]
        return ["" if skipped and HEADINGS[column] in PLAIN else cell for column, cell in enumerate(cells)]


# fmt: off
HEADINGS = [
    "network", "size", "plain s", "ours s", "ratio", "ours MP/s", "ours GFLOP/s", "bare convolution GFLOP/s",
    "share of it", "plain MB", "ours MB", "difference",
]
# fmt: on
PLAIN = ("plain s", "ratio", "plain MB", "difference")
BARE_PIXELS = 1 << 20


def make(case: Case, height: int, width: int, device: torch.device) -> tuple[nn.Module, list[Tensor]]:
    """A network with random weights and an input of its own for it, the same in every process."""
    torch.manual_seed(0)
    network = case.build().eval().requires_grad_(False)
    return network.to(device), [torch.rand(1, channels, height, width).to(device) for channels in case.channels]


def forwards(case: Case, height: int, width: int, device: torch.device) -> dict[str, Forward]:
    network, inputs = make(case, height, width, device)
    return {"plain": lambda: case.plain(network, *inputs), "fast": lambda: network(*inputs)}


def seconds(forward: Forward, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    forward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def flops(case: Case) -> float:
    """Of the convolutions of one forward pass, for one pixel of the input."""
    with torch.device("meta"):
        network = case.build().eval()
        inputs = [torch.rand(1, channels, 64, 64) for channels in case.channels]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        case.plain(network, *inputs)
    return counter.get_total_flops() / 64**2


def measure(name: str, height: int, width: int, args: argparse.Namespace, device: torch.device) -> Row:
    """Time both forwards and the bare convolution in turns; then each one's memory in a process of its own."""
    case = CASES[name]
    both = forwards(case, height, width, device)
    if args.skip_plain:
        del both["plain"]
    rows = min(height, BARE_PIXELS // width)  # of a large photo a part tells the convolution's speed
    pixels = torch.rand(1, 64, rows, width, device=device).contiguous(memory_format=torch.channels_last)
    kernel = torch.rand(64, 64, 3, 3, device=device).contiguous(memory_format=torch.channels_last)
    timed: dict[str, Forward] = {**both, "convolution": lambda: F.conv2d(pixels, kernel, padding=1)}
    turns: dict[str, list[float]] = {kind: [] for kind in timed}
    with torch.inference_mode():
        difference = math.nan
        if not args.skip_plain:
            results = {kind: forward() for kind, forward in both.items()}
            difference = float((results["fast"] - results["plain"]).abs().max() / results["plain"].std())
            del results
        for turn in range(args.warm_up + args.repeats):
            for kind, forward in timed.items():
                took = seconds(forward, device)
                if turn >= args.warm_up:
                    turns[kind].append(took)
    plain = turns.get("plain", [math.nan] * args.repeats)
    ratios = [slow / fast for slow, fast in zip(plain, turns["fast"], strict=True)]
    return Row(
        network=name,
        height=height,
        width=width,
        gigaflops=flops(case) * height * width / 1e9,
        plain_seconds=statistics.median(plain),
        fast_seconds=statistics.median(turns["fast"]),
        ratio=statistics.median(ratios),
        peak_gflops=2 * 9 * 64 * 64 * rows * width / min(turns["convolution"]) / 1e9,
        difference=difference,
        plain_bytes=0 if args.skip_plain else peak_bytes(name, height, width, "plain", device),
        fast_bytes=peak_bytes(name, height, width, "fast", device),
    )


def peak_bytes(name: str, height: int, width: int, kind: str, device: torch.device) -> int:
    """Peak memory of one forward pass, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", kind, "--networks", name, "--sizes", f"{width}x{height}"]
    environment_threads = str(torch.get_num_threads())
    done = subprocess.run(
        [*command, "--threads", environment_threads, "--device", device.type], capture_output=True, text=True, cwd=ROOT
    )
    if done.returncode:
        raise UserError(f"measuring the memory of {name} ({kind}, {width}x{height}) failed: {done.stderr[-300:]}")
    return int(done.stdout)


def print_own_peak(name: str, height: int, width: int, kind: str, device: torch.device) -> None:
    """What `peak_bytes` starts: one forward pass, and how much memory it took."""
    with torch.inference_mode():
        small = forwards(CASES[name], 16, 16, device)
        for forward in small.values():  # code and libraries are loaded
            forward()
        forward = forwards(CASES[name], height, width, device)[kind]
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            forward()
            print(torch.cuda.max_memory_allocated(device) - before)
        else:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            before = resident_bytes("VmRSS")
            forward()
            print(resident_bytes("VmHWM") - before)


def resident_bytes(name: str) -> int:
    """A figure of Linux about this process: VmRSS, its memory now, or VmHWM, the most it had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def plot(rows: list[Row], path: Path) -> None:
    """Time and memory against the number of pixels, both forwards, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    for name in dict.fromkeys(row.network for row in rows):
        chosen = [row for row in rows if row.network == name]
        sizes = [row.height * row.width / 1e6 for row in chosen]
        for kind, style in (("plain", "--"), ("fast", "-")):
            label = f"{name}, {'ours' if kind == 'fast' else kind}"
            axes[0].plot(sizes, [getattr(row, f"{kind}_seconds") for row in chosen], f"o{style}", label=label)
            memory = [getattr(row, f"{kind}_bytes") / 1e9 or math.nan for row in chosen]
            axes[1].plot(sizes, memory, f"o{style}", label=label)
    for axis, what in zip(axes, ("seconds", "peak memory, GB"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel="megapixels", ylabel=what)
        axis.grid(True, which="both", alpha=0.3)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=CASES, default=["srgb_denoiser", "rgb2raw"])
    parser.add_argument("--sizes", nargs="+", default=[], metavar="WxH", help="default 256x256")
    parser.add_argument("--megapixels", nargs="+", type=float, default=[], help="sizes of the shape 3:2")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--skip-plain", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", type=Path, help="add the figures to those in this file")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="needs matplotlib; draws all figures of --json")
    parser.add_argument("--memory-of", choices=("plain", "fast"), help=argparse.SUPPRESS)
    return parser.parse_args()


def read_sizes(args: argparse.Namespace) -> list[tuple[int, int]]:
    sizes = []
    for text in args.sizes or ([] if args.megapixels else ["256x256"]):
        width, _, height = text.partition("x")
        if not (width.isdigit() and height.isdigit()):
            raise UserError(f"--sizes {text}: expected WIDTHxHEIGHT")
        sizes.append((int(height), int(width)))
    for megapixels in args.megapixels:
        height = round(math.sqrt(megapixels * 1e6 / 1.5) / 2) * 2
        sizes.append((height, height * 3 // 2 // 2 * 2))
    return sizes


def main() -> int:
    args = parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    sizes = read_sizes(args)
    if args.memory_of:
        print_own_peak(args.networks[0], *sizes[0], args.memory_of, device)
        return 0
    cases = [(name, size) for name in args.networks for size in sizes]
    rows = [Row(**row) for row in json.loads(args.json.read_text())] if args.json and args.json.is_file() else []
    for name, size in progress_bar(iterable=cases, desc="measuring", unit="size"):
        rows.append(measure(name, *size, args, device))
        if args.json:
            args.json.parent.mkdir(parents=True, exist_ok=True)
            args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    print(f"torch {torch.__version__}, {device.type}, {torch.get_num_threads()} threads, medians of {args.repeats}\n")
    for cells in (HEADINGS, ["---"] * len(HEADINGS), *(row.cells for row in rows)):
        print("| " + " | ".join(cells) + " |")
    if args.plot:
        plot(rows, args.plot)
    return 0


if __name__ == "__main__":
    run_script(main)
