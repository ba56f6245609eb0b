"""A picture of squares cut from a photo or camera file and from its denoised versions, side by side at full size.

    python benchmarks/before_after.py --files NOISY.arw raw=denoised/NOISY.dng srgb=denoised/NOISY.png \\
        --at 2600,1200 --at 900,2000 --output docs/denoised.png

Camera files are rendered by LibRaw, all with the same settings. Squares are named by their middle, x,y.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cycleisp.dataloaders.photos import read_photo
from cycleisp.utils.cli import run_script
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.contact_sheet import contact_sheet
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES, render_with_libraw


def position(text: str) -> tuple[int, int]:
    x, y = (int(part) for part in text.split(","))
    return x, y


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", required=True, metavar="[LABEL=]FILE")
    parser.add_argument("--at", type=position, action="append", required=True, metavar="X,Y")
    parser.add_argument("--size", type=int, default=256, help="side of a square in pixels")
    parser.add_argument("--gain", type=float, default=1.0, help="brighten all squares by this factor, to see the dark")
    parser.add_argument("--output", type=Path, required=True, metavar="PNG")
    return parser.parse_args()


def picture(path: Path) -> NDArray:
    return render_with_libraw(path) if path.suffix.lower() in RAW_SUFFIXES else read_photo(path)


def square(photo: NDArray, middle: tuple[int, int], size: int) -> NDArray:
    x, y = (place - size // 2 for place in middle)
    if x < 0 or y < 0 or y + size > photo.shape[0] or x + size > photo.shape[1]:
        raise UserError(
            f"--at {middle[0]},{middle[1]}: no square of {size} in {photo.shape[1]}x{photo.shape[0]} pixels"
        )
    return photo[y : y + size, x : x + size]


def brighter(photo: NDArray, gain: float) -> NDArray:
    largest = np.iinfo(photo.dtype).max
    return np.clip(photo * gain, 0, largest).astype(photo.dtype)


def main() -> int:
    args = parse_args()
    named = [item.rpartition("=") for item in args.files]
    photos = {label or Path(path).name: picture(Path(path)) for label, _, path in named}
    rows = [
        [(label, brighter(square(photo, middle, args.size), args.gain)) for label, photo in photos.items()]
        for middle in args.at
    ]
    write_bytes(args.output, encode_png(contact_sheet(rows, cell=args.size)))
    return 0


if __name__ == "__main__":
    run_script(main)
