"""How well the noise of a single picture is told: bias of the estimates, coverage of their errors.

    python benchmarks/picture_noise.py --pictures 10
    python benchmarks/picture_noise.py --pictures 10 --exposure 0.02 --clip

The pictures are discs of many sizes that cover each other, with the statistics of photos (Lee,
Mumford and Huang, "Occlusion models for natural images", 2001), of 512x512 photosites, and free of
noise of their own. A line is one noise level. Variances are those at the median brightness.
"""

import argparse
import statistics

import cv2
import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.cli import run_script
from cycleisp.utils.raw.picture_noise.estimate import Estimate, measure_picture, noise_of

SIDE, FINER = 512, 2  # photosites of a side; steps of a photosite in which discs are drawn
LEVELS = ((1e-6, 1e-9), (1e-5, 3e-8), (1e-4, 3e-7), (1e-3, 1e-5), (1e-2, 5e-4), (1e-1, 1e-2))  # shot, read
SENSITIVITY = np.array([0.5, 1.0, 0.6], np.float32)  # of red, green and blue
DISCS = 12_000


def leaves(seed: int) -> NDArray[np.float32]:
    """Returns a picture without noise as packed RAW (4, SIDE / 2, SIDE / 2)."""
    rng, side = np.random.default_rng(seed), SIDE * FINER
    picture = np.zeros((side, side, 3), np.float32)
    smallest, largest = 3.0 * FINER, side / 4
    radii = 1 / np.sqrt(rng.random(DISCS) * (smallest**-2 - largest**-2) + largest**-2)  # density ~ radius^-3
    for radius in radii:
        colour = (rng.random(3) * 0.9 + 0.05) * rng.random() ** 1.5
        place = int(rng.integers(side)), int(rng.integers(side))
        cv2.circle(picture, place, int(radius), tuple(float(part) for part in colour), -1)
    camera = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA) * SENSITIVITY
    sites = ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2))
    return np.stack([camera[row::2, column::2, color] for row, column, color in sites])


def noisy(
    clean: NDArray[np.float32], shot: float, read: float, rng: np.random.Generator, clip: bool
) -> NDArray[np.float32]:
    """Returns packed RAW with noise, clipped at white, and at black, too, if asked for."""
    mosaic = clean + np.sqrt(shot * clean + read) * rng.standard_normal(clean.shape, dtype=np.float32)
    mosaic = np.minimum(mosaic, 1)
    return np.maximum(mosaic, 0) if clip else mosaic


def within(found: list[tuple[Estimate, float]], errors: float) -> float:
    """Returns the share of estimates that lie within a number of their errors of the truth."""
    return statistics.mean(abs(one.value - truth) < errors * one.error for one, truth in found)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10, metavar="N", help="how many of each level (default: 10)")
    parser.add_argument("--exposure", type=float, default=1.0, metavar="F", help="factor of all light (default: 1)")
    parser.add_argument("--clip", action="store_true", help="clip the values at black, as some cameras do")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    cleans = [leaves(seed) * np.float32(args.exposure) for seed in range(args.pictures)]
    print("shot read | variance: 16 %, median, 84 % | shot, read: median | error | within 1, 2 errors: variance, shot")
    for shot, read in LEVELS:
        rng = np.random.default_rng(1)
        variances, shots, reads = list[tuple[Estimate, float]](), list[tuple[Estimate, float]](), list[float]()
        for clean in cleans:
            estimate = noise_of([measure_picture(noisy(clean, shot, read, rng, args.clip))])
            signal = float(np.median(clean))
            variances.append((estimate.variance(signal), shot * signal + read))
            shots.append((estimate.shot_noise, shot))
            reads.append(estimate.read_noise.value / read)
        ratios = [one.value / truth for one, truth in variances]
        error = statistics.median(one.error / truth for one, truth in variances)
        low, middle, high = np.quantile(ratios, [0.16, 0.5, 0.84])
        shot_ratio = statistics.median(one.value / truth for one, truth in shots)
        covered = " ".join(f"{within(found, count):.2f}" for found in (variances, shots) for count in (1, 2))
        print(
            f"{shot:g} {read:g} | {low:.3f} {middle:.3f} {high:.3f} | {shot_ratio:.3f} {statistics.median(reads):.3f} "
            f"| {error:.3f} | {covered}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    run_script(main)
