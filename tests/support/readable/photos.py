"""Photos and camera files."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from tests.support.pictures import PROFILE, camera_exif, random_mosaic, random_picture, write_dng, write_png
from tests.support.readable.kind import Make, Readable

SMALL = 6  # pixels of a side


def _photo(path: Path) -> object:
    from cycleisp.dataloaders.photos import read_photo_and_metadata
    from cycleisp.utils.output.picture_format import PNG

    return PNG.encode(*read_photo_and_metadata(path))


def _pillow(suffix: str, **options: Any) -> Make:
    def make(folder: Path) -> list[Path]:
        paths = [folder / f"{number}{suffix}" for number in range(2)]
        for number, path in enumerate(paths):
            picture = Image.fromarray(random_picture(SMALL, SMALL + 2 * number, seed=number))
            picture.save(path, exif=camera_exif(3 + number), icc_profile=PROFILE, **options)
        return paths

    return make


def _png(dtype: type) -> Make:
    def make(folder: Path) -> list[Path]:
        return [write_png(folder / f"{n}.png", random_picture(SMALL, SMALL + n, dtype, n)) for n in range(2)]

    return make


def _tiff(dtype: type, **options: Any) -> Make:
    def make(folder: Path) -> list[Path]:
        picture = random_picture(SMALL, SMALL, dtype)
        first, second = folder / "a.tif", folder / "b.tif"
        tifffile.imwrite(first, picture, photometric="rgb", **options)
        tifffile.imwrite(second, picture, photometric="rgb", compression="zlib", predictor=True, byteorder=">")
        return [first, second]

    return make


def _tiff_of_12_bits(folder: Path) -> list[Path]:
    samples = (random_picture(SMALL, SMALL, np.uint16) >> 4).reshape(-1, 2).astype(int)
    packed = b"".join(bytes((a >> 4, (a & 15) << 4 | b >> 8, b & 255)) for a, b in samples.tolist())
    tags = {256: SMALL, 257: SMALL, 258: 12, 259: 1, 262: 2, 273: 8, 277: 3, 278: SMALL, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in tags.items())
    ifd = struct.pack("<H", len(tags)) + entries + bytes(4)
    path = folder / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + ifd)
    return [path]


def _dng(folder: Path) -> list[Path]:
    more = {"noise_profile": [0.01, 0.0001], "xyz2cam": np.eye(3)}
    return [
        write_dng(folder / "a.dng", random_mosaic(40, 48), **more),
        write_dng(
            folder / "b.dng", random_mosaic(40, 36), "BGGR", **more, black=(60, 61, 62, 63), active_area=(2, 2, 38, 34)
        ),
    ]


def _camera_file(path: Path) -> object:
    from cycleisp.dataloaders.kinds import kind_of
    from cycleisp.dataloaders.results.denoised_raw import RawFileDenoiser

    kind_of(path)
    return RawFileDenoiser(lambda packed, _: packed).write(path, path.parent / "denoised.dng")


READABLES = {
    "JPEG": Readable(_pillow(".jpg", quality=90), _photo),
    "PNG of 8 bits": Readable(_png(np.uint8), _photo),
    "PNG with metadata": Readable(_pillow(".png"), _photo),
    "PNG of 16 bits": Readable(_png(np.uint16), _photo),
    "WebP": Readable(_pillow(".webp"), _photo),
    "TIFF of 8 bits": Readable(_tiff(np.uint8), _photo),
    "TIFF of 16 bits": Readable(_tiff(np.uint16), _photo),
    "TIFF of 12 bits": Readable(_tiff_of_12_bits, _photo),
    "BigTIFF": Readable(_tiff(np.uint16, bigtiff=True), _photo),
    "DNG": Readable(_dng, _camera_file),
}
