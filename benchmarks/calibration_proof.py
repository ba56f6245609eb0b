"""Prove a camera's calibration on fabricated cameras whose noise is known.

    python benchmarks/calibration_proof.py --size 1024 --draws 1
    python benchmarks/calibration_proof.py --size 96 --draws 100 --json results/calibration.json

Each camera takes dark frames, and pairs of flat frames with vignetting, dust and a lamp that
flickers by 1 %, also along the rows. The estimates of all four colours of the Bayer tile are
compared with the truth. The table has, of each camera and quantity:

- truth: in DN; noises as deviations;
- mean: of the estimates of all draws and colours;
- largest: the largest relative deviation of one estimate; of black, lambda and what is 0, the
  deviation itself;
- error: the standard error that the estimates state, averaged;
- scatter: the deviation of the estimates from their mean;
- within 1, within 2: share of the estimates whose distance from the truth is within one and within
  two of their standard errors; of Gaussian errors 0.68 and 0.95.

`--eld eld_cameras.json` adds cameras of a file with parameters as those of Wei et al. (CVPR 2020).
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from benchmarks.fabricated_camera import FabricatedCamera, eld_cameras
from cycleisp.utils.cli import run_script
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.setting import SettingEstimate, calibrate_setting

LEVELS = (0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.22, 0.3, 0.4, 0.55, 0.7, 0.9)  # of the flat frames, of the range
FLATS, DARKS, FLICKER = 2, 8, 0.01  # frames at each level; dark frames; relative deviation of the lamp

CAMERAS = {
    "10 bit": FabricatedCamera(
        bits=10,
        gain=0.2,
        sigma_read=1.1,
        sigma_row=0.15,
        sigma_column=0.08,
        sigma_fixed=0.3,
        black=(64, 64.3, 63.8, 64.1),
    ),
    "10 bit, coarse": FabricatedCamera(
        bits=10,
        gain=0.1,
        sigma_read=0.35,
        sigma_row=0.06,
        sigma_column=0.04,
        sigma_fixed=0.1,
        black=(64, 64.3, 63.8, 64.1),
    ),
    "12 bit, heavy tails": FabricatedCamera(
        bits=12, gain=1.0, sigma_read=4.0, tukey_lambda=-0.15, sigma_row=0.5, black=(256, 256.3, 255.8, 256.1)
    ),
    "12 bit, black clipped": FabricatedCamera(
        bits=12, gain=1.0, sigma_read=4.0, tukey_lambda=-0.05, sigma_row=0.5, black=(0, 0.4, -0.3, 0.2)
    ),
    "14 bit": FabricatedCamera(),
    "14 bit, black clipped": FabricatedCamera(black=(0, 0.4, -0.3, 0.2)),
    "14 bit, hot pixels": FabricatedCamera(hot_density=1e-3, hot_amplitude=600),
    "16 bit, steps of 4": FabricatedCamera(
        bits=16,
        gain=5.0,
        sigma_read=18.0,
        tukey_lambda=0.05,
        sigma_row=2.0,
        sigma_column=1.0,
        step=4,
        black=(2048, 2049, 2046, 2050),
    ),
}


ABSOLUTE = ("lambda", "black")  # quantities whose deviation is not a share of the truth
HEAD = """\
| camera | quantity | truth | mean | largest | error | scatter | within 1 | within 2 |
|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Draw:
    """One estimate beside its truth."""

    truth: float
    value: float
    error: float


def main() -> int:
    args = _parse_args()
    cameras = CAMERAS | (eld_cameras(args.eld) if args.eld else {})
    if args.cameras:
        cameras = _chosen(cameras, args.cameras)
    table = {}
    print(HEAD, flush=True)
    with progress_bar(total=len(cameras) * args.draws, unit="calibration") as bar:
        for name, camera in cameras.items():
            draws: dict[str, list[Draw]] = {}
            for seed in range(args.seed, args.seed + args.draws):
                drawn = replace(camera, height=args.size, width=args.size, seed=seed)
                for quantity, draw in estimates(drawn):
                    draws.setdefault(quantity, []).append(draw)
                bar.update(1)
            table[name] = {quantity: summary(quantity, each) for quantity, each in draws.items()}
            print(rows(name, table[name]), flush=True)
            if args.json is not None:
                content = {"size": args.size, "draws": args.draws, "seed": args.seed, "cameras": table}
                write_bytes(args.json, json.dumps(content, indent=1).encode())
    return 0


def _chosen(cameras: dict[str, FabricatedCamera], names: list[str]) -> dict[str, FabricatedCamera]:
    """Returns some of the cameras by their names."""
    unknown = [name for name in names if name not in cameras]
    if unknown:
        raise UserError(f"--cameras: {unknown[0]!r} is none of these: {'; '.join(cameras)}. Those of ELD need --eld")
    return {name: cameras[name] for name in names}


def estimates(camera: FabricatedCamera) -> Iterator[tuple[str, Draw]]:
    """Calibrates one camera and yields its estimates by name, beside their truths."""
    frames = [*camera.darks(DARKS), *camera.flats(LEVELS, FLATS, FLICKER, banded=True)]
    setting = calibrate_setting(frames)
    for name, sites, truths in _site_quantities(setting, camera):
        for estimate, truth in zip(sites or (), truths, strict=False):
            yield name, Draw(truth, estimate.value, estimate.error)
    if setting.tukey_lambda is not None and camera.tukey_lambda is not None:
        yield "lambda", Draw(camera.tukey_lambda, setting.tukey_lambda.value, setting.tukey_lambda.error)
    if setting.quantization_step is not None:
        yield "step", Draw(camera.step, setting.quantization_step.value, setting.quantization_step.error)
    if setting.hot_pixels is not None and camera.hot_density:
        density, amplitude = setting.hot_pixels.density, setting.hot_pixels.amplitude
        yield "hot density", Draw(camera.hot_density, density.value, density.error)
        yield "hot amplitude", Draw(camera.hot_amplitude, amplitude.value, amplitude.error)


def _site_quantities(
    setting: SettingEstimate, camera: FabricatedCamera
) -> Iterator[tuple[str, tuple[Estimate, ...] | None, tuple[float, ...]]]:
    yield "black", setting.black, camera.black
    yield "gain", setting.gain, (camera.gain,) * 4
    for name, sites, sigma in (
        ("read", setting.read_noise, camera.sigma_read),
        ("row", setting.row_noise, camera.sigma_row),
        ("column", setting.column_noise, camera.sigma_column),
        ("fixed", setting.fixed_pattern, camera.sigma_fixed),
    ):
        yield name, sites and tuple(one.sigma() for one in sites), (sigma,) * 4


def summary(quantity: str, draws: list[Draw]) -> dict[str, float]:
    """Returns the figures of one quantity of one camera."""
    truth, value, error = (np.array([getattr(draw, name) for draw in draws]) for name in ("truth", "value", "error"))
    scale = 1.0 if quantity in ABSOLUTE or not truth.all() else truth
    distance = np.abs(value - truth)
    return {
        "truth": float(truth.mean()),
        "mean": float(value.mean()),
        "largest": float((distance / scale).max()),
        "error": float(error.mean()),
        "scatter": float((value - truth).std()),
        "within 1": float((distance <= error).mean()),
        "within 2": float((distance <= 2 * error).mean()),
        "number": len(draws),
    }


def rows(name: str, quantities: dict[str, dict[str, float]]) -> str:
    """Returns the table's rows of one camera."""
    lines = []
    for quantity, row in quantities.items():
        absolute = quantity in ABSOLUTE or row["truth"] == 0
        largest = f"{row['largest']:.2g}" if absolute else f"{100 * row['largest']:.2f} %"
        lines.append(
            f"| {name} | {quantity} | {row['truth']:.4g} | {row['mean']:.4g} | {largest} | {row['error']:.2g} "
            f"| {row['scatter']:.2g} | {row['within 1']:.2f} | {row['within 2']:.2f} |"
        )
    return "\n".join(lines)


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96, help="sides of the frames in photosites (default: 96)")
    parser.add_argument("--draws", type=int, default=10, help="draws of each camera (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the first draw; the others count on (default: 0)")
    parser.add_argument("--cameras", nargs="+", metavar="NAME", help="some of the cameras (default: all)")
    parser.add_argument("--eld", type=Path, help="file of ELD's cameras, which are proved too")
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
