"""Where Winograd's convolutions are faster than direct ones on this CPU, and how exact they are.

    python benchmarks/winograd.py
    python benchmarks/winograd.py --channels 48 64 --sizes 128x128 160x160 256x256

The benchmark prints two tables. The first one is about single convolutions on one core: time for
each pixel, and the largest difference to float64, in standard deviations of the result. The second
one is about trunks of two groups of four blocks on all cores, with strips of direct and of
Winograd's convolutions. Both take turns after a warm-up, and figures are medians. `FEWEST_CHANNELS`
and `FEWEST_PRODUCTS` in networks/fast/strips/convolutions.py follow from the tables.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from cycleisp.networks.blocks import DeepFeatures
from cycleisp.networks.fast.strips import striped_trunk, winograd
from cycleisp.utils.cli import run_script
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.progress import progress_bar

ROWS, COLUMNS = 66, 256  # of the single convolutions


def medians(*works: Callable[[], object], repeats: int) -> list[float]:
    """Returns the median time of each function in seconds. They take turns."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(repeats + 1):
        for work, taken in zip(works, times, strict=True):
            began = time.perf_counter()
            work()
            if turn:
                taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in times]


def convolutions(channels: int, repeats: int) -> list[str]:
    """Returns a row of the first table."""
    rows = torch.rand(1, channels, ROWS + 2, COLUMNS).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(channels, channels, 3, 3), torch.randn(channels)
    innermost = weight.contiguous(memory_format=torch.channels_last)
    ready, out = winograd.convolution(weight, bias), torch.empty(ROWS * COLUMNS, channels)

    def direct() -> Tensor:
        return F.conv2d(rows, innermost, bias, padding=(0, 1))

    taken = medians(direct, lambda: ready(rows, out), repeats=repeats)
    exact = F.conv2d(rows.double(), weight.double(), bias.double(), padding=(0, 1))
    errors = [((found - exact).abs().max() / exact.std()).item() for found in (direct(), ready(rows))]
    times = [f"{1e9 * seconds / (ROWS * COLUMNS):.0f}" for seconds in taken]
    return [str(channels), *times, f"{taken[0] / taken[1]:.2f}", *(f"{error:.1e}" for error in errors)]


def trunks(channels: int, width: int, height: int, repeats: int) -> list[str]:
    """Returns a row of the second table."""
    deep = DeepFeatures(channels, 2, 4, 8, nn.PReLU(channels))
    features = torch.randn(1, channels, height, width)

    def run(fast: bool) -> Tensor:
        return striped_trunk.run(nn.Identity(), deep, nn.Identity(), features, [], 1, winograd=fast)

    taken = medians(lambda: run(False), lambda: run(True), repeats=repeats)
    return [str(channels), f"{width}x{height}", *(f"{1e3 * s:.0f}" for s in taken), f"{taken[0] / taken[1]:.2f}"]


def read_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UserError(f"--sizes {text}: expected WIDTHxHEIGHT")
    return int(width), int(height)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", nargs="+", type=int, default=[32, 48, 64, 96])
    parser.add_argument("--sizes", nargs="+", default=["128x128", "192x192", "256x256", "384x384"], metavar="WxH")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    torch.manual_seed(0)
    threads, sizes = torch.get_num_threads(), [read_size(text) for text in args.sizes]
    with torch.inference_mode():
        torch.set_num_threads(1)
        single = [convolutions(c, args.repeats) for c in progress_bar(iterable=args.channels, desc="convolutions")]
        torch.set_num_threads(threads)
        cases = [(channels, *size) for channels in args.channels for size in sizes]
        whole = [trunks(*case, args.repeats) for case in progress_bar(iterable=cases, desc="trunks")]
    print(f"torch {torch.__version__}, one core, {COLUMNS}x{ROWS}\n")
    show("channels", "direct ns/pixel", "Winograd ns/pixel", "ratio", "direct error", "Winograd error", rows=single)
    print(f"\n{threads} threads\n")
    show("channels", "size", "direct ms", "Winograd ms", "ratio", rows=whole)
    return 0


def show(*headings: str, rows: list[list[str]]) -> None:
    """Prints a table in Markdown."""
    for cells in (headings, ["---"] * len(headings), *rows):
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
