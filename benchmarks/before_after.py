"""Draw squares of a photo or camera file and of its denoised versions side by side, at full size.

    python benchmarks/before_after.py \\
        --files NOISY.arw raw=denoised/NOISY.dng srgb=denoised/NOISY.png \\
        --at 2600,1200 --at 900,2000 --output docs/images/denoised.png

Camera files are rendered by LibRaw, all with the same settings. Each --at is the middle of a
square, x,y in pixels.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from cycleisp.dataloaders.photos import read_photo
from cycleisp.utils.cli import run_script
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.contact_sheet import contact_sheet
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES, render_with_libraw


def position(text: str) -> tuple[int, int]:
    """Reads X,Y."""
    x, y = (int(part) for part in text.split(","))
    return x, y


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", required=True, metavar="[LABEL=]FILE", help="photos and camera files")
    parser.add_argument(
        "--at", type=position, action="append", required=True, metavar="X,Y", help="middle of a square; may be repeated"
    )
    parser.add_argument("--size", type=int, default=256, help="side of a square in pixels (default %(default)s)")
    parser.add_argument(
        "--gain", type=float, default=1.0, help="brighten all squares by this factor (default %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="PNG", help="file to write")
    return parser.parse_args()


def picture(path: Path) -> NDArray:
    """Reads a photo, or renders a camera file."""
    return render_with_libraw(path) if path.suffix.lower() in RAW_SUFFIXES else read_photo(path)


def square(photo: NDArray, middle: tuple[int, int], size: int) -> NDArray:
    """Cuts a square out of a photo.

    Raises:
        UserError: it does not lie in the photo.
    """
    x, y = (place - size // 2 for place in middle)
    if x < 0 or y < 0 or y + size > photo.shape[0] or x + size > photo.shape[1]:
        raise UserError(
            f"--at {middle[0]},{middle[1]}: no square of {size} in {photo.shape[1]}x{photo.shape[0]} pixels"
        )
    return photo[y : y + size, x : x + size]


def brighter(photo: NDArray, gain: float) -> NDArray:
    """Multiplies the values of a photo, without leaving its integer type."""
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
    run_script(main, after_stop=BEGINS_AGAIN)
