"""The Pareto plot of benchmarks/real_noise.py: what PSNR a method reaches in what time."""

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path

from cycleisp.utils.output.files import atomic_path

Point = tuple[float, float]  # seconds per megapixel, PSNR in dB


def front(points: Mapping[str, Point]) -> list[str]:
    """Returns the names of the points that no other one beats in both, the fastest first.

    A point is beaten by one that is as fast or faster with a higher PSNR, or faster with the same
    one.
    """
    best, names = -math.inf, []
    for name, (_, psnr) in sorted(points.items(), key=lambda item: (item[1][0], -item[1][1])):
        if psnr > best:
            names.append(name)
            best = psnr
    return names


def draw_pareto(
    means: Mapping[str, Mapping[str, tuple[float, float]]], seconds: Mapping[str, float | None], path: Path
) -> str:
    """Draws a diagram for each folder of pairs, with a line through the methods that none beats.

    Args:
        means: method -> folder -> PSNR and SSIM.
        seconds: of each method for a megapixel; a method without a time is left out. The PSNR of
            the noisy picture stands in the title.
        path: the PNG to write.

    Returns:
        A line for the user: what was written, or why nothing was.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return f"{path.name} is not drawn: pip install matplotlib"
    timed = {name: spent for name, spent in seconds.items() if spent and name != "noisy"}
    if not timed:
        return f"{path.name} is not drawn: no method was timed"
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    labels = list(next(iter(means.values())))
    figure, axes = plt.subplots(1, len(labels), figsize=(5 * len(labels), 4), squeeze=False)
    for axis, label in zip(axes[0], labels, strict=True):
        points = {name: (spent, means[name][label][0]) for name, spent in timed.items()}
        best = front(points)
        for name, point in points.items():
            axis.plot(*point, "o")
            above = name in best  # names of the others stand below, where they meet none of these
            place = {"xytext": (0, 7 if above else -7), "ha": "center", "va": "bottom" if above else "top"}
            axis.annotate(name, point, textcoords="offset points", **place)
        axis.plot(*zip(*(points[name] for name in best), strict=True), "-", color="grey", zorder=0)
        axis.set(title=f"{label} (noisy: {means['noisy'][label][0]:.2f} dB)", xscale="log", ylabel="PSNR, dB")
        axis.set(xlabel="seconds for a megapixel")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("{x:g}")
        axis.margins(x=0.3, y=0.25)
        axis.grid(True, which="both", alpha=0.3)
    figure.tight_layout()
    with atomic_path(path) as part:
        figure.savefig(part, dpi=100, format="png")
    plt.close(figure)
    return f"written: {path}"
