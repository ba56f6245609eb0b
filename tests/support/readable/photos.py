"""Photos and camera files."""

import importlib.util
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, features

from tests.support.pictures import (
    PROFILE,
    camera_exif,
    encode_png,
    random_mosaic,
    random_picture,
    write_dng,
    write_png,
)
from tests.support.profiles import PROFILES, profile_chunk, table_profile
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


def _png_with_profile(folder: Path) -> list[Path]:
    paths = [folder / "a.png", folder / "b.png"]
    for number, (path, name) in enumerate(zip(paths, ("Adobe RGB", "Display P3"), strict=True)):
        picture = random_picture(SMALL, SMALL + number, np.uint16, number)
        path.write_bytes(encode_png(picture, profile_chunk(PROFILES[name])))
    return paths


def _cmyk_jpeg(folder: Path) -> list[Path]:
    paths = [folder / "a.jpg", folder / "b.jpg"]
    for number, path in enumerate(paths):
        inks = random_picture(SMALL, 4 * SMALL, seed=number)[..., 0].reshape(SMALL, SMALL, 4)
        Image.fromarray(inks, "CMYK").save(path, icc_profile=table_profile("CMYK"), progressive=number == 1)
    return paths


def _tiled_tiff(folder: Path) -> list[Path]:
    paths = [folder / "a.tif", folder / "b.tif"]
    for path, dtype in zip(paths, (np.uint8, np.uint16), strict=True):
        picture = random_picture(3 * SMALL, 5 * SMALL, dtype)
        tifffile.imwrite(path, picture, photometric="rgb", tile=(16, 16), compression="zlib", iccprofile=PROFILE)
    return paths


def _heic(folder: Path) -> list[Path]:
    import pillow_heif

    paths = [folder / "a.heic", folder / "b.heic"]
    for number, (path, dtype) in enumerate(zip(paths, (np.uint8, np.uint16), strict=True)):
        picture = random_picture(64, 64, dtype, number)
        made = pillow_heif.from_bytes("RGB;16" if number else "RGB", (64, 64), picture.tobytes())
        made.save(path, quality=90, exif=camera_exif(6).tobytes(), icc_profile=None if number else PROFILE)
    return paths


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
    "JPEG in CMYK": Readable(_cmyk_jpeg, _photo),
    "PNG of 16 bits with a profile": Readable(_png_with_profile, _photo),
    "TIFF in tiles": Readable(_tiled_tiff, _photo),
    "DNG": Readable(_dng, _camera_file),
}
if features.check("avif"):
    READABLES["AVIF"] = Readable(_pillow(".avif"), _photo)
if importlib.util.find_spec("pillow_heif") is not None:
    READABLES["HEIC"] = Readable(_heic, _photo)
