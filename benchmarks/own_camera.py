"""Make RAW files with a JPEG by a camera that is known, and measure how it is found again.

    python benchmarks/own_camera.py --raw RAWS --output own_camera

fills `own_camera/shots` with links to the RAW files, and beside each a full-size JPEG: LibRaw's
linear light through a tone curve, more saturation and sharpening, with a lens correction, a crop,
and JPEG of quality 95. `own_camera/prepared` then holds the pairs that training uses. The table
tells, for each file, how far the photo of a pair lies from its true place, in pixels, and the two
errors that the alignment itself reports. Train and measure on the result:

    python train_raw2rgb.py --stage joint --config configs/own_camera.yaml --raw own_camera/shots \\
        --prepared own_camera/prepared --isp compact_isp --run-dir runs/own_camera
    python benchmarks/isp.py --config configs/own_camera.yaml --raw own_camera/shots \\
        --prepared own_camera/prepared --weights runs/own_camera/weights.safetensors
"""

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rawpy
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from cycleisp.dataloaders.sources import find_sources
from cycleisp.dataloaders.training.raw_pairs import prepare
from cycleisp.utils.camera_jpeg.lens_warp import LensWarp
from cycleisp.utils.camera_jpeg.registration import grid
from cycleisp.utils.cli import run_script
from cycleisp.utils.color.colorimetry import smoothstep, srgb_encode
from cycleisp.utils.output.files import atomic_path, write_bytes
from cycleisp.utils.output.progress import progress_bar

QUALITY, SUBSAMPLING = 95, "4:2:2"
CONTRAST, SATURATION, SHARPENING = 0.6, 1.25, 0.6
STRIP = 256  # rows of a JPEG that are made at a time
EVERY = 16  # pixels between the places at which the alignment is measured


@dataclass(frozen=True)
class Shot:
    """How the JPEG of one file was cut and corrected.

    Attributes:
        size: H and W of the mosaic.
        margins: rows at the top and bottom, columns left and right, that the JPEG leaves out.
        barrel: share by which a lens correction moves the corners of the mosaic.
    """

    size: tuple[int, int]
    margins: tuple[int, int]
    barrel: float

    @property
    def jpeg_size(self) -> tuple[int, int]:
        """Returns H and W of the JPEG."""
        return self.size[0] - 2 * self.margins[0], self.size[1] - 2 * self.margins[1]

    def source(self, places: NDArray) -> NDArray:
        """Returns the places (..., 2) of the mosaic that places of the JPEG show, x before y."""
        centre = np.array([(self.size[1] - 1) / 2, (self.size[0] - 1) / 2])
        moved = places + np.array([self.margins[1], self.margins[0]]) - centre
        radius = (moved**2).sum(axis=-1, keepdims=True) / (centre**2).sum()
        return np.asarray(centre + moved * (1 - self.barrel * radius))


def shot_of(name: str, size: tuple[int, int]) -> Shot:
    """Returns the crop and the lens of a file; its name decides."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little"))
    margins = int(rng.integers(2, 20)), int(rng.integers(2, 30))
    barrel = 0.0 if rng.random() < 0.25 else float(rng.uniform(-0.02, 0.04))
    return Shot(size, margins, barrel)


def camera_look(linear: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Renders linear light (H, W, 3) as the camera does."""
    encoded = srgb_encode(linear.astype(np.float32) / 65535)
    toned = (1 - CONTRAST) * encoded + CONTRAST * smoothstep(encoded)
    grey = toned.mean(axis=-1, keepdims=True)
    vivid = (grey + SATURATION * (toned - grey)).astype(np.float32)
    sharp = vivid + SHARPENING * (vivid - cv2.GaussianBlur(vivid, (0, 0), 1.0))
    return np.rint(255 * np.clip(sharp, 0, 1)).astype(np.uint8)


def write_jpeg(raw: Path, path: Path) -> Shot:
    """Writes the JPEG that the camera would have made of a RAW file, unless it is there."""
    with rawpy.imread(str(raw)) as file:
        shot = shot_of(raw.stem, file.raw_image_visible.shape)
        if path.exists():
            return shot
        linear = file.postprocess(
            gamma=(1, 1), no_auto_bright=True, use_camera_wb=True, user_flip=0, output_bps=16, adjust_maximum_thr=0.0
        )
    look = camera_look(linear)
    height, width = shot.jpeg_size
    rows = [
        cv2.remap(
            look,
            shot.source(grid(range(top, min(top + STRIP, height)), range(width))).astype(np.float32),
            None,  # type: ignore[arg-type]
            cv2.INTER_LANCZOS4,
            borderMode=cv2.BORDER_REFLECT,
        )
        for top in range(0, height, STRIP)
    ]
    with atomic_path(path) as aside:
        Image.fromarray(np.concatenate(rows)).save(aside, "JPEG", quality=QUALITY, subsampling=SUBSAMPLING)
    return shot


def true_errors(record: dict, shot: Shot) -> NDArray:
    """Returns how far places of a pair's window are from where the JPEG shows them, in pixels."""
    known = record["jpeg"]
    warp = LensWarp(np.array(known["warp"]["base"]), tuple(known["warp"]["size"]), np.array(known["warp"]["terms"]))
    rows, columns = (range(*known[side], EVERY) for side in ("rows", "columns"))
    places = grid(rows, columns)
    return np.asarray(np.linalg.norm(shot.source(warp(places)) - places, axis=-1))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", nargs="+", required=True, metavar="PATH", help="camera RAW files, or folders of them")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to fill")
    parser.add_argument("--workers", type=int, metavar="N", help="files to align at a time (default: one a processor)")
    parser.add_argument("--json", type=Path, help="also write all numbers to this file")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    folder = args.output / "shots"
    folder.mkdir(parents=True, exist_ok=True)
    shots: dict[str, Shot] = {}
    for source in progress_bar(
        iterable=[each for each in find_sources(args.raw) if each.space == "raw"], desc="rendering", unit="file"
    ):
        link = folder / source.path.name
        if not link.exists():
            link.symlink_to(source.path.resolve())
        shots[link.stem] = write_jpeg(source.path, link.with_suffix(".JPG"))
    report = prepare([folder], args.output / "prepared", args.workers, render="camera")
    results = {}
    print("| file | mosaic | lens | median error | 99 % | largest | reported median | 90 % |")
    print("|---|---|---|---|---|---|---|---|")
    for name in report.ready:
        shot, record = shots[name], json.loads((args.output / "prepared" / f"{name}.json").read_text())
        errors = np.quantile(true_errors(record, shot), (0.5, 0.99, 1))
        told = [record["jpeg"][key] for key in ("typical_error", "large_error")]
        results[name] = {"barrel": shot.barrel, "true": errors.tolist(), "reported": told}
        size, numbers = f"{shot.size[1]}x{shot.size[0]}", " | ".join(f"{value:.3f}" for value in (*errors, *told))
        print(f"| {name} | {size} | {100 * shot.barrel:+.1f} % | {numbers} |")
    for path, reason in report.skipped:
        print(f"left out {path.name}: {reason}")
    if args.json:
        write_bytes(args.json, json.dumps(results, indent=1).encode())
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
