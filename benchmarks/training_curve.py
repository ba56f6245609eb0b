"""Draw what training runs measured on their validation sets, from the metrics.jsonl of their folders.

    python benchmarks/training_curve.py --runs runs/denoiser_srgb_long runs/denoiser_raw --output docs/curves.png

Needs matplotlib. Runs that name the same figures share a diagram only if they are given as one: FOLDER+FOLDER draws the
second behind the first, for recipes of several stages.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cycleisp.utils.cli import run_script
from cycleisp.utils.errors import UserError

Curve = dict[str, list[tuple[int, float]]]  # figure -> (step, value)


def read_run(folder: Path) -> Curve:
    """Every figure of a run's metrics.jsonl against its step.

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
    """The runs FOLDER+FOLDER... one behind the other, their steps counted on."""
    joined: Curve = {}
    offset = 0
    for folder in text.split("+"):
        curve = read_run(Path(folder))
        for name, points in curve.items():
            joined.setdefault(name, []).extend((offset + step, value) for step, value in points)
        offset += max(step for points in curve.values() for step, _ in points)
    return joined


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", required=True, metavar="FOLDER[+FOLDER]")
    parser.add_argument("--output", type=Path, required=True, metavar="PNG")
    args = parser.parse_args()
    curves = {text: read_stages(text) for text in args.runs}
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
    args.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.output, dpi=100)
    return 0


if __name__ == "__main__":
    run_script(main)
