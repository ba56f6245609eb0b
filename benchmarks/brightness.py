"""Measure whether denoising keeps brightness and colour.

    python benchmarks/brightness.py --denoisers compact_srgb --json results/brightness.json

Clean scenes (gradients, colour patches, photos of scikit-image, reduced so that their own noise is
gone) pass through a simulated camera: darkened by 0 to 4 stops, sampled by a Bayer sensor, shot and
read noise of six levels, demosaicked, displayed, rounded to 8 bits. The clean picture takes the
same way without noise. Every noise is used twice, with opposite signs, so that its own mean is
zero, and what is measured belongs to the denoiser. Figures are in 8-bit levels:

- brightness: the mean of each channel, denoised minus clean, over the pixels at which no photosite
  nearby is within three deviations of black or white. The table has the largest of all scenes and
  channels, how many of them lie within 0.2, and the largest of the noisy pictures themselves;
- grey: the largest of the neutral scene, and of the differences of its red and blue to its green;
- all pixels: the largest over whole pictures, clipped pixels included, denoised and noisy;
- highlights: the largest change inside of a blown area, 255 in all channels, beside noise;
- clean: PSNR of each scene after denoising without any noise.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN, labelled
from benchmarks.raw_noise import levels
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.pretrained import load_denoiser
from cycleisp.networks.synthesis.simulated_cameras import SimulatedCameras
from cycleisp.utils.cli import run_script
from cycleisp.utils.color.brightness import keeping_brightness
from cycleisp.utils.color.colorimetry import cam2rgb_from_xyz2cam, srgb_decode, srgb_encode
from cycleisp.utils.color.simulated_camera import XYZ2CAM
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import photo_to_tensor
from cycleisp.utils.metrics import psnr_8bit
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw.noise import FixedNoise, noise_level_function

Denoise = Callable[[Tensor], Tensor]  # (1, 3, H, W) in [0, 1] -> the same
STOPS = (0, -2, -4)
BOUND = 0.2  # levels
FEWEST = 0.02  # share of a picture at which something can be said
REACH = 4  # tiles of the mosaic around a pixel that must not clip
DEVIATIONS = 3.0
GAINS = (2.0, 1.0, 1.6)  # of red, green and blue


# ---------------------------------------------------------------- scenes


def scenes(size: int) -> dict[str, Tensor]:
    """Returns clean scenes by name, (3, size, size) sRGB in [0, 1]."""
    found = {"grey": grey_steps(size), "hues": hues(size), "patches": patches(size)}
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        photo = photo_to_tensor(getattr(data, name)())[None].contiguous()
        half = F.avg_pool2d(photo, 2)  # without most of the photo's own noise
        found[name] = repeated(half[0], size)
    return found


def grey_steps(size: int) -> Tensor:
    """Returns neutral steps of brightness, and a neutral ramp below them."""
    steps = torch.linspace(0.06, 0.94, 8).repeat_interleave(-(-size // 8))[:size]
    ramp = torch.linspace(0.06, 0.94, size)
    upper = steps.expand(size // 2, size)
    return torch.cat([upper, ramp.expand(size - size // 2, size)]).expand(3, size, size).clone()


def hues(size: int) -> Tensor:
    """Returns smooth gradients of hue, left to right, and of brightness, top to bottom."""
    turn = torch.linspace(0, 2 * np.pi, size)
    colors = torch.stack([0.5 + 0.35 * torch.cos(turn - shift) for shift in (0, 2.1, 4.2)])
    return colors[:, None, :] * torch.linspace(0.3, 1, size)[None, :, None]


def patches(size: int, side: int = 32) -> Tensor:
    """Returns squares of random colours."""
    count = -(-size // side)
    colors = torch.from_numpy(np.random.default_rng(0).uniform(0.1, 0.9, (3, count, count))).float()
    return colors.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, :size, :size].contiguous()


def repeated(photo: Tensor, size: int) -> Tensor:
    """Returns a photo cut to a square; where it is smaller, it goes on as in a mirror."""
    tall = torch.cat([photo, photo.flip(1)], 1)[:, :size]
    return torch.cat([tall, tall.flip(2)], 2)[:, :, :size].contiguous()


# ---------------------------------------------------------------- the camera


@dataclass(frozen=True)
class Shots:
    """Pictures of one scene.

    Attributes:
        clean: (1, 3, H, W) without noise, 8-bit levels.
        noisy: two of them, with noise of opposite signs.
        free: (1, 1, H, W) where nothing clips.
    """

    clean: Tensor
    noisy: tuple[Tensor, Tensor]
    free: Tensor


def camera() -> SimulatedCameras:
    cam2rgb = torch.from_numpy(cam2rgb_from_xyz2cam(np.reshape(XYZ2CAM["Nikon D800"], (3, 3)))).float()[None]
    return SimulatedCameras(cam2rgb, torch.tensor([GAINS]), torch.ones(1), torch.zeros(1))


def shoot(scene: Tensor, stops: float, level: FixedNoise, seed: int) -> Shots:
    """Takes a scene, darkened, with a noise level."""
    device = camera()
    clean = device.expose(srgb_encode(srgb_decode(scene[None]) * 2.0**stops))
    deviation = noise_level_function(clean, torch.tensor([level.shot_noise]), torch.tensor([level.read_noise])).sqrt()
    noise = deviation * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    gains = torch.tensor([GAINS[color] for color in (0, 1, 1, 2)]).view(1, 4, 1, 1)
    margin = DEVIATIONS * deviation
    clipping = ((clean < margin) | ((clean + margin) * gains > 1)).any(1, keepdim=True).float()
    near = F.max_pool2d(clipping, 2 * REACH + 1, 1, REACH)
    free = F.interpolate(near, scale_factor=2) == 0
    plus, minus = (as_8bit(device.develop((clean + sign * noise).clamp(0, 1))) for sign in (1, -1))
    return Shots(as_8bit(device.develop(clean)), (plus, minus), free)


def as_8bit(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round() / 255


# ---------------------------------------------------------------- figures


@dataclass(frozen=True)
class Shift:
    """Differences of means to the clean picture in 8-bit levels, of red, green and blue.

    Attributes:
        denoised, noisy: where nothing clips; None where that is hardly anywhere.
        whole, noisy_whole: of both, everywhere.
    """

    denoised: list[float] | None
    noisy: list[float] | None
    whole: list[float]
    noisy_whole: list[float]


def shift(denoise: Denoise, shots: Shots) -> Shift:
    """Denoises the pictures of a scene, and compares their mean with the clean one."""
    results = [as_8bit(denoise(noisy)) for noisy in shots.noisy]
    free = shots.free[0, 0]
    changes = [255 * ((first + second) / 2 - shots.clean)[0] for first, second in (results, shots.noisy)]
    whole = [change.mean((1, 2)).tolist() for change in changes]
    if free.float().mean() < FEWEST:
        return Shift(None, None, *whole)
    denoised, noisy = (change[:, free].mean(1).tolist() for change in changes)
    return Shift(denoised, noisy, *whole)


def highlight_change(denoise: Denoise, level: FixedNoise, seed: int = 0) -> float:
    """Returns the largest change of a blown area, in 8-bit levels.

    It is a square of 255 in a grey picture with noise, without its outermost 8 pixels.
    """
    noisy = shoot(torch.full((3, 128, 128), 0.5), 0, level, seed).noisy[0]
    noisy[..., 32:96, 32:96] = 1
    return 255 * float((as_8bit(denoise(noisy)) - noisy)[..., 40:88, 40:88].abs().max())


def clean_psnr(denoise: Denoise, scene: Tensor) -> float:
    """Returns the PSNR, in dB, of a scene without noise after denoising."""
    clean = as_8bit(scene[None])
    first, second = ((255 * image).round().byte().numpy() for image in (clean, as_8bit(denoise(clean))))
    return psnr_8bit(first, second)


def measure(denoise: Denoise, size: int) -> tuple[dict[str, dict[str, Shift]], dict[str, float], dict[str, float]]:
    """Returns shifts by condition and scene, changes of highlights by level, PSNR by scene."""
    found = scenes(size)
    conditions = [(f"{name}, {stops} EV", level, stops) for name, level in levels().items() for stops in STOPS]
    shifts: dict[str, dict[str, Shift]] = {}
    for label, level, stops in progress_bar(iterable=conditions, desc="brightness", unit="level"):
        shifts[label] = {
            name: shift(denoise, shoot(scene, stops, level, seed)) for seed, (name, scene) in enumerate(found.items())
        }
    highlights = {name: highlight_change(denoise, level) for name, level in levels().items()}
    return shifts, highlights, {name: clean_psnr(denoise, scene) for name, scene in found.items()}


def table(shifts: dict[str, dict[str, Shift]]) -> str:
    """Returns the means in Markdown, a row for each level and exposure."""
    lines = ["| noise | largest | within 0.2 | noisy | grey | grey, R and B to G | all pixels | noisy, all pixels |"]
    lines.append("|---|" + "---|" * 7)
    for label, by_scene in shifts.items():
        means = [abs(value) for each in by_scene.values() for value in each.denoised or ()]
        noisy = [abs(value) for each in by_scene.values() for value in each.noisy or ()]
        grey = by_scene["grey"].denoised
        cells = [
            largest(means),
            f"{sum(value <= BOUND for value in means)} of {len(means)}",
            largest(noisy),
            largest([abs(value) for value in grey or ()]),
            largest([abs(grey[color] - grey[1]) for color in (0, 2)] if grey else []),
            largest([abs(value) for each in by_scene.values() for value in each.whole]),
            largest([abs(value) for each in by_scene.values() for value in each.noisy_whole]),
        ]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def largest(values: list[float]) -> str:
    return f"{max(values):.2f}" if values else "-"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--denoisers",
        nargs="+",
        default=["compact_srgb"],
        metavar="[LABEL=]WEIGHTS",
        help="shipped names or files (default compact_srgb)",
    )
    parser.add_argument(
        "--keep-brightness", action="store_true", help="run the denoisers as denoise.py --keep-brightness does"
    )
    parser.add_argument("--size", type=int, default=256, help="side of a scene in pixels, even (default %(default)s)")
    parser.add_argument("--json", type=Path, help="also write all numbers to this file")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    if args.size < 64 or args.size % 2:
        raise UserError(f"--size {args.size}: expected an even number of at least 64")
    everything = {}
    for name, weights in map(labelled, args.denoisers):
        denoiser = TiledDenoiser(load_denoiser(weights, "srgb")[0])
        shifts, highlights, clean = measure(
            keeping_brightness(denoiser) if args.keep_brightness else denoiser, args.size
        )
        print(f"\n{name}\n\n{table(shifts)}\n")
        print("highlights, largest change: " + ", ".join(f"{key} {value:.0f}" for key, value in highlights.items()))
        print("clean scenes, dB: " + ", ".join(f"{key} {value:.1f}" for key, value in clean.items()))
        means = {label: {key: vars(each) for key, each in row.items()} for label, row in shifts.items()}
        everything[name] = {"means": means, "highlights": highlights, "clean": clean}
    if args.json is not None:
        write_bytes(args.json, json.dumps(everything, indent=1).encode())
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
