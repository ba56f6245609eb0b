"""Speed and memory of the networks, compared with the plain forward of benchmarks/reference.py.

    python benchmarks/speed.py --networks srgb_denoiser rgb2raw --sizes 256x256 1024x1024
    python benchmarks/speed.py --networks srgb_denoiser --megapixels 0.25 0.5 1 2 4 --once \\
        --json results/speed.json
    python benchmarks/speed.py --networks srgb_denoiser --megapixels 24 --once --skip-plain \\
        --json results/speed.json --plot docs/images/speed.png
    python benchmarks/speed.py --training --batch 16 --sizes 128x128 --repeats 20 --warm-up 5

The plain forward of networks that are not the paper's is that of their own plain modules. Both
forwards take turns after a warm-up. Figures are medians, and a ratio is the median of the turns'
ratios. With --training a turn is a forward and a backward pass. The plain forward computes in
float32. On CUDA ours computes in --precision, and for training its blocks are compiled. Arithmetic
is compared with a bare 3x3 convolution from 64 to 64 channels on as many pixels, which is timed in
the same turns. Peak memory is what PyTorch takes on a GPU, and on a CPU what a fresh process takes
that does nothing else. What was held before the turn is subtracted.

--once times the turn of that fresh process instead, for large photos. --skip-plain is for photos
for which the plain forward does not have the memory.
"""

import argparse
import copy
import ctypes
import gc
import importlib.util
import json
import math
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import reference
from benchmarks.arguments import BEGINS_AGAIN
from cycleisp.networks import Rgb2Raw, acceleration
from cycleisp.networks.acceleration import record_trunks, to_device
from cycleisp.networks.pretrained import CLASSES
from cycleisp.utils.cli import run_script
from cycleisp.utils.devices import computing, inference_precision, pick_device, tf32, training_precision
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import atomic_path, write_bytes
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.precisions import PRECISIONS
from cycleisp.utils.weights.kinds import KINDS

ROOT = Path(__file__).resolve().parents[1]
Forward = Callable[[], Tensor]


@dataclass(frozen=True)
class Case:
    """A network: how to build it, the channels of its inputs, and its plain forward."""

    build: Callable[[], nn.Module]
    channels: tuple[int, ...]
    plain: Callable[..., Tensor]


def _of_its_own(network: nn.Module, *inputs: Tensor) -> Tensor:
    """Computes the plain forward of a network without a twin in reference.py: its plain modules."""
    with acceleration.fast(enabled=False):
        return network(*inputs)


def _cases() -> dict[str, Case]:
    """Returns RGB2RAW and all denoisers of the table of networks, SrgbDenoiser as srgb_denoiser."""
    cases = {"rgb2raw": Case(Rgb2Raw, (3,), reference.rgb2raw)}
    for kind in KINDS.values():
        if kind.denoises is not None:
            name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.name).lower()
            channels = {"srgb": (3,), "raw": (4, 4)}[kind.denoises]
            cases[name] = Case(CLASSES[kind.name], channels, getattr(reference, name, _of_its_own))
    return cases


CASES = _cases()


@dataclass(frozen=True)
class Row:
    """The figures of one network at one size.

    Times are medians in seconds. NaN and 0 bytes stand for what was skipped.
    """

    network: str
    height: int
    width: int
    batch: int
    training: bool
    precision: str  # ours
    gigaflops: float  # of one turn, convolutions only
    plain_seconds: float
    fast_seconds: float
    ratio: float
    peak_gflops: float  # of the bare convolution, each second
    difference: float  # the largest one, in standard deviations of the plain result
    plain_bytes: int
    fast_bytes: int

    @property
    def _what(self) -> str:
        return (f", batch of {self.batch}" if self.batch > 1 else "") + (", training" if self.training else "")

    @property
    def cells(self) -> list[str]:
        megapixels = self.batch * self.height * self.width / 1e6
        speed = self.gigaflops / self.fast_seconds
        skipped = math.isnan(self.plain_seconds)
        cells = [
            self.network,
            f"{self.width}x{self.height}{self._what}",
            self.precision,
            three_digits(self.plain_seconds),
            three_digits(self.fast_seconds),
            f"{self.ratio:.2f}",
            three_digits(megapixels / self.fast_seconds),
            f"{speed:.0f}",
            f"{self.peak_gflops:.0f}",
            f"{100 * speed / self.peak_gflops:.0f} %",
            f"{self.plain_bytes / 1e6:.0f}",
            f"{self.fast_bytes / 1e6:.0f}",
            "" if math.isnan(self.difference) else f"{self.difference:.1e}",
        ]
        return ["" if skipped and HEADINGS[column] in PLAIN else cell for column, cell in enumerate(cells)]


# fmt: off
HEADINGS = [
    "network", "size", "precision", "plain s", "ours s", "ratio", "ours MP/s", "ours GFLOP/s",
    "bare convolution GFLOP/s", "share of it", "plain MB", "ours MB", "difference",
]
# fmt: on
PLAIN = ("plain s", "ratio", "plain MB")
BARE_PIXELS = 1 << 20


@dataclass(frozen=True)
class Work:
    """The input that a network is timed with."""

    height: int
    width: int
    batch: int
    training: bool
    precision: str  # ours
    device: torch.device

    def forwards(self, case: Case) -> dict[str, Forward]:
        """Returns the plain turn and ours, on networks of the same random weights.

        Either returns the network's result.
        """
        torch.manual_seed(0)
        plain = case.build().requires_grad_(self.training)
        inputs = [torch.rand(self.batch, channels, self.height, self.width) for channels in case.channels]
        inputs = [image.to(self.device) for image in inputs]
        fast = to_device(copy.deepcopy(plain), self.device, compiled=True)
        if self.training:  # as utils/training/trainer.py
            fast.to(memory_format=torch.channels_last)
        plain.to(self.device)
        turns = {
            "plain": self._turn(plain, lambda: case.plain(plain, *inputs), "float32"),
            "fast": self._turn(fast, lambda: fast(*inputs), self.precision),
        }
        if self.training and self.device.type == "cuda":
            turns["fast"] = self._recorded(fast, turns["fast"])
        return turns

    def _recorded(self, network: nn.Module, turn: Forward) -> Forward:
        """Returns the turn with recorded trunks.

        It records them at its first call, so that the memory for that is measured, too.
        """
        record = cache(lambda: record_trunks(network, turn, self.precision))

        def recorded() -> Tensor:
            record()
            return turn()

        return recorded

    def _turn(self, network: nn.Module, forward: Forward, precision: str) -> Forward:
        def turn() -> Tensor:
            with torch.inference_mode(not self.training), computing(precision, self.device):
                result = forward()
            if self.training:
                with tf32(precision != "float32"):
                    result.float().abs().mean().backward()
                network.zero_grad()
            return result.detach()

        return turn


def seconds(forward: Forward, device: torch.device) -> float:
    """Times one turn."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    forward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def flops(case: Case) -> float:
    """Returns operations of the convolutions of one forward pass, for one pixel of the input."""
    with torch.device("meta"):
        network = case.build().eval()
        inputs = [torch.rand(1, channels, 64, 64) for channels in case.channels]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        case.plain(network, *inputs)
    return counter.get_total_flops() / 64**2


def measure(name: str, work: Work, args: argparse.Namespace) -> Row:
    """Times both turns and the bare convolution in turns, then measures the memory of either.

    On a CPU memory is measured in a process of its own.
    """
    torch.compiler.reset()  # it compiles for a few shapes only
    case = CASES[name]
    kinds = ["fast"] if args.skip_plain else ["plain", "fast"]
    turns: dict[str, list[float]] = {"plain": [math.nan], "fast": []}
    difference = math.nan
    if args.once:
        turns["convolution"] = [seconds(bare_convolution(work), work.device) for _ in range(3)]
    else:
        timed = {kind: turn for kind, turn in work.forwards(case).items() if kind in kinds}
        if not args.skip_plain:
            results = {kind: turn().float() for kind, turn in timed.items()}
            difference = float((results["fast"] - results["plain"]).abs().max() / results["plain"].std())
            del results
        turns |= take_turns({**timed, "convolution": bare_convolution(work)}, args.warm_up, args.repeats, work.device)
        del timed
    memory = {"plain": 0}
    for kind in kinds:
        if work.device.type == "cuda" and not args.once:
            memory[kind] = peak_on_gpu(work.forwards(case)[kind], work.device)
            continue
        memory[kind], took = alone(name, work, kind)
        if args.once:
            turns[kind] = [took]
    plain = turns["plain"] if len(turns["plain"]) == len(turns["fast"]) else [math.nan] * len(turns["fast"])
    ratios = [slow / fast for slow, fast in zip(plain, turns["fast"], strict=True)]
    return Row(
        network=name,
        height=work.height,
        width=work.width,
        batch=work.batch,
        training=work.training,
        precision=work.precision,
        gigaflops=(3 if work.training else 1) * flops(case) * work.batch * work.height * work.width / 1e9,
        plain_seconds=statistics.median(plain),
        fast_seconds=statistics.median(turns["fast"]),
        ratio=statistics.median(ratios),
        peak_gflops=2 * 9 * 64 * 64 * bare_rows(work) * work.width * bare_calls(work) / min(turns["convolution"]) / 1e9,
        difference=difference,
        plain_bytes=memory["plain"],
        fast_bytes=memory["fast"],
    )


def take_turns(timed: dict[str, Forward], warm_up: int, repeats: int, device: torch.device) -> dict[str, list[float]]:
    """Returns the seconds of all turns after the warm-up, by kind."""
    turns: dict[str, list[float]] = {kind: [] for kind in timed}
    for turn in range(warm_up + repeats):
        for kind, forward in timed.items():
            took = seconds(forward, device)
            if turn >= warm_up:
                turns[kind].append(took)
    return turns


def bare_rows(work: Work) -> int:
    """Returns the rows of the bare convolution's picture.

    A part of a large photo is enough to measure the convolution's speed.
    """
    return min(work.height, BARE_PIXELS // work.width)


def bare_calls(work: Work) -> int:
    """Returns the number of convolutions in a turn.

    On a GPU it is large enough for the time to start them not to matter.
    """
    return 50 if work.device.type == "cuda" else 1


def bare_convolution(work: Work) -> Forward:
    """Returns a turn of bare convolutions."""
    innermost = {"memory_format": torch.channels_last}
    pixels = torch.rand(1, 64, bare_rows(work), work.width, device=work.device).contiguous(**innermost)
    kernel = torch.rand(64, 64, 3, 3, device=work.device).contiguous(**innermost)

    def convolution() -> Tensor:
        with torch.inference_mode(), computing(work.precision, work.device):
            for _ in range(bare_calls(work)):
                result = F.conv2d(pixels, kernel, padding=1)
            return result

    return convolution


def alone(name: str, work: Work, kind: str) -> tuple[int, float]:
    """Runs one turn in a process of its own; returns its peak memory in bytes, and its seconds."""
    size = f"{work.width}x{work.height}"
    command = [sys.executable, __file__, "--alone", kind, "--networks", name, "--sizes", size]
    command += ["--batch", str(work.batch), "--precision", work.precision, "--device", work.device.type]
    command += ["--threads", str(torch.get_num_threads())] + ["--training"] * work.training
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise UserError(f"{name} ({kind}, {size}) failed in a process of its own: {done.stderr[-300:]}")
    memory, took = done.stdout.split()
    return int(memory), float(took)


def print_own_turn(name: str, work: Work, kind: str) -> None:
    """Runs one turn and prints how much memory it took, and how long. `alone` starts this."""
    side = 32 if work.training else 160  # large enough to go through the trunk in the way of the turn
    small = replace(work, height=side, width=side, batch=1)
    for turn in small.forwards(CASES[name]).values():  # loads code and libraries
        turn()
    turn = work.forwards(CASES[name])[kind]
    if work.device.type == "cuda":
        memory = peak_on_gpu(turn, work.device)
        took = seconds(turn, work.device)
    else:
        ctypes.CDLL(None).malloc_trim(0)  # returns freed memory
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = resident_bytes("VmRSS")
        took = seconds(turn, work.device)
        memory = resident_bytes("VmHWM") - before
    print(memory, took)


def peak_on_gpu(turn: Forward, device: torch.device) -> int:
    """Returns the peak memory of a few turns in bytes.

    The first of them make kernels and graphs.
    """
    gc.collect()  # frees recorded passes
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    for _ in range(4):
        turn()
    return torch.cuda.max_memory_allocated(device) - before


def resident_bytes(name: str) -> int:
    """Reads from Linux the memory of this process: VmRSS is the present one, VmHWM the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def three_digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"


def check_matplotlib() -> None:
    """Raises a UserError if matplotlib is missing, before hours of measuring."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("--plot needs matplotlib: pip install matplotlib")


def plot(rows: list[Row], path: Path) -> None:
    """Draws time and memory of both forwards over the size of single images, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    for name in dict.fromkeys(row.network for row in rows):
        chosen = [row for row in rows if row.network == name and row.batch == 1 and not row.training]
        chosen.sort(key=lambda row: row.height * row.width)
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
    with atomic_path(path) as part:
        figure.savefig(part, dpi=100, format=path.suffix[1:] or "png")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=CASES, default=["srgb_denoiser", "rgb2raw"])
    parser.add_argument("--sizes", nargs="+", default=[], metavar="WxH", help="sizes of the images (default: 256x256)")
    parser.add_argument("--megapixels", nargs="+", type=float, default=[], help="further sizes, of the shape 3:2")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="images in a batch (default: 1)")
    parser.add_argument("--training", action="store_true", help="time forward and backward passes")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="precision of ours on CUDA (default: auto)"
    )
    parser.add_argument("--repeats", type=int, default=7, help="turns that count (default: 7)")
    parser.add_argument("--warm-up", type=int, default=2, help="turns before them (default: 2)")
    parser.add_argument(
        "--once", action="store_true", help="run one turn each in a process of its own, for large photos"
    )
    parser.add_argument("--skip-plain", action="store_true", help="do not run the plain forward")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="threads (default: one for each core)"
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: CUDA if there is a GPU"
    )
    parser.add_argument("--json", type=Path, help="add the figures to this file")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw all figures of --json (needs matplotlib)")
    parser.add_argument("--alone", choices=("plain", "fast"), help=argparse.SUPPRESS)
    return parser.parse_args()


def read_sizes(args: argparse.Namespace) -> list[tuple[int, int]]:
    """Returns the sizes that the command line asks for, height before width."""
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
    if args.plot:
        check_matplotlib()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    sizes = read_sizes(args)
    resolve = training_precision if args.training else inference_precision
    precision = resolve(args.precision, device)
    works = [Work(*size, args.batch, args.training, precision, device) for size in sizes]
    if args.alone:
        print_own_turn(args.networks[0], works[0], args.alone)
        return 0
    cases = [(name, work) for name in args.networks for work in works]
    rows = [Row(**row) for row in json.loads(args.json.read_text())] if args.json and args.json.is_file() else []
    for name, work in progress_bar(iterable=cases, desc="measuring", unit="size"):
        rows.append(measure(name, work, args))
        if args.json:
            write_bytes(args.json, json.dumps([asdict(row) for row in rows], indent=1).encode())
    turns = "one turn each" if args.once else f"medians of {args.repeats}"
    print(f"torch {torch.__version__}, {device.type}, {torch.get_num_threads()} threads, {turns}\n")
    for cells in (HEADINGS, ["---"] * len(HEADINGS), *(row.cells for row in rows)):
        print("| " + " | ".join(cells) + " |")
    if args.plot:
        plot(rows, args.plot)
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
