"""Draw what training runs have measured in validation, from the metrics.jsonl of their folders.

    python benchmarks/training_curve.py --runs runs/denoiser_srgb_long runs/denoiser_raw \\
        --output curves.png

Each run gets a diagram of its own. FOLDER+FOLDER draws the second run behind the first in one
diagram, for recipes of several stages. Needs matplotlib.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from cycleisp.utils.cli import run_script
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import atomic_path

Curve = dict[str, list[tuple[int, float]]]  # figure -> (step, value)


def read_run(folder: Path) -> Curve:
    """Reads every figure of a run's metrics.jsonl, and the steps that it belongs to.

    Raises:
        UserError: no such file, or nothing in it.
    """
    path = folder / "metrics.jsonl"
    try:
        records = [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); is {folder} the folder of a training run?") from None
    if not records:
        raise UserError(f"{path}: holds no measurement yet")
    names = [name for name in records[0] if name != "step"]
    return {name: [(record["step"], record[name]) for record in records if name in record] for name in names}


def read_stages(text: str) -> Curve:
    """Reads the runs FOLDER+FOLDER... as one, each counting its steps from the end of the last."""
    joined: Curve = {}
    offset = 0
    for folder in text.split("+"):
        curve = read_run(Path(folder))
        for name, points in curve.items():
            joined.setdefault(name, []).extend((offset + step, value) for step, value in points)
        offset += max(step for points in curve.values() for step, _ in points)
    return joined


def draw(curves: dict[str, Curve], output: Path) -> None:
    """Draws the curves side by side, each under the names of its folders, and writes a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(5 * len(curves), 3.5), squeeze=False)
    for axis, (text, curve) in zip(axes[0], curves.items(), strict=True):
        for name, points in curve.items():
            axis.plot(*zip(*points, strict=True), "o-", markersize=3, label=name.removeprefix("psnr_"))
        title = " + ".join(Path(part).name for part in text.split("+"))
        axis.set(title=title, xlabel="step", ylabel="PSNR in validation, dB")
        axis.grid(True, alpha=0.3)
        axis.legend()
    figure.tight_layout()
    with atomic_path(output) as part:
        figure.savefig(part, dpi=100, format=output.suffix[1:] or "png")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", required=True, metavar="FOLDER[+FOLDER]", help="run folders to draw")
    parser.add_argument("--output", type=Path, required=True, metavar="PNG", help="file to write")
    args = parser.parse_args()
    draw({text: read_stages(text) for text in args.runs}, args.output)
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
