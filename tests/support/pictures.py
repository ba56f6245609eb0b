"""Small files in real layouts, made by the tests: camera RAW as DNG, photos as PNG, EXIF data."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

CFA_CODES = {"R": 0, "G": 1, "B": 2}
HALF_A_LEVEL = 0.51 / 65535  # of a DNG's 16 bits
ORIENTATION = 274  # the EXIF and TIFF tag
EXPOSURE_TIME, ISO, MAKER_NOTE = 33434, 34855, 37500  # tags of the Exif sub-IFD
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def write_dng(
    path: Path,
    mosaic: NDArray[np.uint16],
    pattern: str = "RGGB",
    black: int | tuple[int, int, int, int] = 64,
    white: int = 1023,
    neutral: tuple[float, float, float] = (0.5, 1.0, 0.625),
    xyz2cam: NDArray | None = None,
    noise_profile: list[float] | None = None,
    model: tuple[str, str] = ("Fabricated", "Camera"),
    active_area: tuple[int, int, int, int] | None = None,
    date: str | None = None,
) -> Path:
    """Writes a Bayer DNG that LibRaw opens.

    Args:
        path: the file.
        mosaic: (H, W) in sensor units.
        pattern: the Bayer tile, or a 6x6 X-Trans string.
        black: one level, or one for each site of the 2x2 tile, row by row.
        white: the white level.
        neutral: AsShotNeutral, the camera's colour of a grey surface.
        xyz2cam: (3, 3) ColorMatrix1.
        noise_profile: shot and read noise, one pair or one for each colour.
        model: maker and model.
        active_area: (top, left, bottom, right) of the visible part, where `pattern` begins.
        date: when it was taken, as 2024:05:06 07:08:09.
    """
    side = int(len(pattern) ** 0.5)
    tags = [
        (271, "s", 0, model[0], False),
        (272, "s", 0, model[1], False),
        (33421, "H", 2, (side, side), False),
        (33422, "B", side * side, bytes(CFA_CODES[letter] for letter in pattern), False),
        (50706, "B", 4, bytes([1, 4, 0, 0]), False),
        (50708, "s", 0, " ".join(model), False),
        (50717, "H", 1, white, False),
        (50728, "2I", 3, _rationals(neutral), False),
    ]
    if isinstance(black, tuple):
        tags.append((50713, "H", 2, (2, 2), False))
    tags.append((50714, "H", len(black) if isinstance(black, tuple) else 1, black, False))
    if date is not None:
        tags.append((306, "s", 0, date, False))
    if active_area is not None:
        tags.append((50829, "H", 4, active_area, False))
    if xyz2cam is not None:
        tags.append((50721, "2i", 9, _rationals(np.asarray(xyz2cam).flatten()), False))
        tags.append((50778, "H", 1, 21, False))  # D65
    if noise_profile is not None:
        tags.append((51041, "d", len(noise_profile), noise_profile, False))
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, mosaic, photometric=32803, metadata=None, software="", extratags=sorted(tags))
    return path


def _rationals(values: Iterable[float]) -> list[int]:
    """Returns numerators and denominators, in turn."""
    return [part for value in values for part in (round(value * 10000), 10000)]


def random_picture(height: int, width: int, dtype: type = np.uint8, seed: int = 0) -> NDArray:
    """Returns a smooth RGB picture (H, W, 3) with some grain, over the whole range of its type."""
    rng = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 3, height)[:, None], np.linspace(0, 3, width)[None, :]
    waves = [np.sin(a * rows + b * columns + c) for a, b, c in rng.uniform(0, 3, (3, 3))]
    picture = np.stack(waves, axis=-1) + 0.1 * rng.standard_normal((height, width, 3))
    picture = (picture - picture.min()) / np.ptp(picture)
    return np.round(picture * np.iinfo(dtype).max).astype(dtype)


def random_mosaic(height: int, width: int, seed: int = 0) -> NDArray[np.uint16]:
    """Returns a smooth scene between black 64 and white 1023, with sensor noise."""
    rng = np.random.default_rng(seed)
    signal = np.linspace(0.1, 0.7, width) * np.linspace(0.5, 1, height)[:, None]
    noisy = signal + np.sqrt(0.001 * signal + 1e-5) * rng.standard_normal((height, width))
    return (64 + np.clip(noisy, 0.001, 0.999) * 959).round().astype(np.uint16)


def encode_png(picture: NDArray, chunks: bytes = b"") -> bytes:
    """Returns a PNG, made by the letter of its standard.

    Args:
        picture: (H, W) grey, or (H, W, C) grey with alpha, RGB or RGBA; uint8 or uint16.
        chunks: what comes between header and picture, made with `png_chunk`.
    """
    height, width = picture.shape[:2]
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8 * picture.dtype.itemsize, color_type, 0, 0, 0)
    big_endian = picture.astype(picture.dtype.newbyteorder(">")).reshape(height, -1)
    lines = b"".join(b"\0" + line.tobytes() for line in big_endian)  # filter 0: values as they are
    body = png_chunk(b"IDAT", zlib.compress(lines)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + chunks + body


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Returns one chunk of a PNG: length, kind, content, checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def write_png(path: Path, picture: NDArray) -> Path:
    """Writes a picture as PNG, with folders as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(picture))
    return path


def orientation_exif(turn: int) -> Image.Exif:
    """Returns EXIF data with an orientation, 1 to 8, and nothing else."""
    tags = Image.Exif()
    tags[ORIENTATION] = turn
    return tags


def camera_exif(turn: int = 6) -> Image.Exif:
    """Returns what a camera writes.

    That is maker and date, exposure in the Exif sub-IFD, place in the GPS sub-IFD.
    """
    tags = orientation_exif(turn)
    tags[ExifTags.Base.Make], tags[ExifTags.Base.DateTime] = "Maker", "2024:01:02 03:04:05"
    tags.get_ifd(ExifTags.IFD.Exif).update({EXPOSURE_TIME: (1, 250), ISO: 800, MAKER_NOTE: b"secret"})
    tags.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 12.0, 3.5)})
    return tags


def write_raw_behind_thumbnail(path: Path, mosaic: NDArray[np.uint16]) -> Path:
    """Writes a camera file as old cameras do: a TIFF whose first page is a small RGB picture.

    The mosaic (H, W), RGGB, lies in a directory below it.
    """
    about = [(271, "s", 0, "Fabricated", False), (272, "s", 0, "Camera", False)]
    about += [(50706, "B", 4, bytes([1, 4, 0, 0]), False), (50728, "2I", 3, _rationals((0.5, 1.0, 0.625)), False)]
    filter_tags = [(33421, "H", 2, (2, 2), False), (33422, "B", 4, bytes([0, 1, 1, 2]), False)]
    levels = [(50714, "H", 1, 64, False), (50717, "H", 1, 1023, False), (51041, "d", 2, [0.01, 1e-4], False)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as file:
        thumbnail = random_picture(16, 16)
        file.write(thumbnail, photometric="rgb", subfiletype=1, subifds=1, metadata=None, software="", extratags=about)
        file.write(mosaic, photometric=32803, metadata=None, software="", extratags=[*filter_tags, *levels])
    return path
