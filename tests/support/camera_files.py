"""Camera files with everything that real ones say: a phone's DNG, a camera's own format."""

import io
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cycleisp.utils.raw.dng.tags import Tag
from cycleisp.utils.raw.dng.tiff_writer import (
    BYTE,
    LONG,
    RATIONAL,
    SHORT,
    SRATIONAL,
    encode_ifds,
    number_tag,
    text_tag,
)

BLACK, WHITE = 1024, 16383
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
XYZ2CAM = (0.80, -0.20, -0.05, -0.40, 1.20, 0.20, -0.05, 0.15, 0.60)
MAKER_NOTE, NOISE_PROFILE = 37500, 51041
SONY = ("SONY", "ILCE-7RM3")
PENTAX = ("PENTAX", "PENTAX K-5")  # for which all converters take the whole of 16 bits


def opcode_list(*opcodes: tuple[int, bytes]) -> bytes:
    """Returns a list of opcodes with their parameters, big-endian as always in DNG."""
    parts = [struct.pack(">4I", code, 0x01030000, 0, len(parameters)) + parameters for code, parameters in opcodes]
    return struct.pack(">I", len(opcodes)) + b"".join(parts)


def gain_map(height: int, width: int, gains: NDArray[np.float32]) -> bytes:
    """Returns the parameters of a GainMap (opcode 9) of all photosites, at equal distances."""
    rows, columns = gains.shape
    area = struct.pack(">8I", 0, 0, height, width, 0, 1, 1, 1)
    grid = struct.pack(">2I4d", rows, columns, 1 / (rows - 1), 1 / (columns - 1), 0, 0)
    return area + grid + struct.pack(">I", 1) + gains.astype(">f4").tobytes()


def vignetted_scene(height: int, width: int, gain: float = 3.0, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Returns a noisy mosaic, `gain` times darker in its corners, and the gains against that."""
    rows, columns = np.ogrid[-1:1:9j, -1:1:9j]
    gains = 1 + (gain - 1) * (rows**2 + columns**2) / 2
    rng = np.random.default_rng(seed)
    full = 1 + (gain - 1) * (np.linspace(-1, 1, height)[:, None] ** 2 + np.linspace(-1, 1, width) ** 2) / 2
    colours = np.array([[0.5, 1.0], [1.0, 0.6]]) * 0.5
    signal = np.tile(colours, (height // 2 + 1, width // 2 + 1))[:height, :width] / full
    noisy = signal + rng.standard_normal((height, width)) * np.sqrt(1e-3 * signal + 1e-5)
    levels = np.clip(np.rint(BLACK + noisy * (WHITE - BLACK)), 0, WHITE).astype(np.uint16)
    return levels, gains.astype(np.float32)


def phone_tags(order: str, height: int, width: int, gains: NDArray[np.float32]) -> list[Tag]:
    """Returns what a phone's DNG says beside the layout of its picture."""
    matrix = number_tag(order, 50721, SRATIONAL, *XYZ2CAM)
    texts = {
        271: "Maker", 272: "Model 7", 305: "HDR 1.2", 306: "2024:05:06 07:08:09", 315: "An Artist",
        33432: "All rights", 50708: "Maker Model 7", 50827: "original.raw", 50936: "A Profile",
    }  # fmt: skip
    lists = {
        51008: opcode_list((5, struct.pack(">5I", 0, 1, 0, 10, 11))),  # FixBadPixelsList: one point
        51009: opcode_list((9, gain_map(height, width, gains))),
        51022: opcode_list((1, struct.pack(">I8d", 1, 1.01, -0.01, 0, 0, 0, 0, 0.5, 0.5))),  # WarpRectilinear
    }
    tone_curve = np.array([[0, 0], [0.4, 0.5], [1, 1]], dtype=f"{order}f4")
    return [
        *(text_tag(order, code, text) for code, text in texts.items()),
        *(Tag(code, 7, len(content), content, order) for code, content in lists.items()),
        number_tag(order, 274, SHORT, 6),
        Tag(700, BYTE, len(XMP), XMP, order),
        number_tag(order, 33421, SHORT, 2, 2),
        number_tag(order, 33422, BYTE, 0, 1, 1, 2),
        number_tag(order, 50706, BYTE, 1, 6, 0, 0),
        number_tag(order, 50707, BYTE, 1, 4, 0, 0),
        number_tag(order, 50713, SHORT, 2, 2),
        number_tag(order, 50714, RATIONAL, BLACK, BLACK + 1, BLACK + 1.5, BLACK),
        number_tag(order, 50717, SHORT, WHITE),
        number_tag(order, 50718, RATIONAL, 1, 1),
        number_tag(order, 50719, LONG, 4, 4),
        number_tag(order, 50720, LONG, width - 8, height - 8),
        matrix,
        Tag(50722, matrix.type, matrix.count, matrix.data, order),  # ColorMatrix2
        number_tag(order, 50727, RATIONAL, 1, 1, 1),  # AnalogBalance
        number_tag(order, 50728, RATIONAL, 0.5, 1, 0.625),
        number_tag(order, 50730, SRATIONAL, 1.5),  # BaselineExposure
        number_tag(order, 50734, RATIONAL, 0.9),  # LinearResponseLimit
        number_tag(order, 50778, SHORT, 17),
        number_tag(order, 50779, SHORT, 21),
        Tag(50940, 11, tone_curve.size, tone_curve.tobytes(), order),  # ProfileToneCurve
        number_tag(order, 51109, SRATIONAL, -0.5),  # BaselineExposureOffset
        number_tag(order, 51125, RATIONAL, 0.1, 0.1, 0.9, 0.9),  # DefaultUserCrop
        Tag(NOISE_PROFILE, 12, 2, struct.pack(f"{order}2d", 1e-3, 1e-5), order),
    ]


def exif_tags(order: str) -> list[Tag]:
    """Returns exposure, date, lens, and a note of the maker."""
    return [
        number_tag(order, 33434, RATIONAL, 1 / 50),
        number_tag(order, 34855, SHORT, 3200),
        text_tag(order, 36867, "2024:05:06 07:08:09"),
        number_tag(order, 40961, SHORT, 0xFFFF),  # ColorSpace: uncalibrated
        Tag(MAKER_NOTE, 7, 8, b"\0\1\2\3\4\5\6\7", order),
        text_tag(order, 42033, "SN 123"),
        number_tag(order, 42034, RATIONAL, 24, 70, 2.8, 4),
        text_tag(order, 42036, "A Lens 24-70mm"),
    ]


def gps_tags(order: str) -> list[Tag]:
    """Returns a place."""
    return [text_tag(order, 1, "N"), number_tag(order, 2, RATIONAL, 46, 30, 12.5), number_tag(order, 5, BYTE, 0)]


def write_raw(
    path: Path,
    levels: NDArray[np.uint16],
    tags: Iterable[Tag],
    order: str = "<",
    about: bool = True,
    preview: bytes = b"",
) -> Path:
    """Writes an uncompressed mosaic with tags.

    Args:
        path: the file.
        levels: (H, W) in sensor units.
        tags: of the main IFD, beside those about the layout.
        order: "<" or ">".
        about: whether to add EXIF and GPS.
        preview: a JPEG.
    """
    height, width = levels.shape
    strip = levels.astype(f"{order}u2").tobytes()
    layout = {254: 0, 256: width, 257: height, 258: 16, 259: 1, 262: 32803, 277: 1, 278: height, 279: len(strip)}
    made = [number_tag(order, code, LONG if code in (254, 279) else SHORT, value) for code, value in layout.items()]
    exif, gps = (exif_tags(order), gps_tags(order)) if about else ([], [])
    path.parent.mkdir(parents=True, exist_ok=True)
    small = None
    if preview:
        width, height = Image.open(io.BytesIO(preview)).size
        layout = {254: 1, 256: width, 257: height, 259: 7, 262: 6, 277: 3, 278: height, 279: len(preview)}
        numbers = [number_tag(order, code, LONG, value) for code, value in layout.items()]
        small = ([*numbers, number_tag(order, 258, SHORT, 8, 8, 8)], preview)
    path.write_bytes(encode_ifds(order, [*tags, *made], exif, gps, strip, small))
    return path


def write_phone_dng(path: Path, order: str = "<", height: int = 256, width: int = 320, seed: int = 0) -> Path:
    """Writes a phone's DNG: a vignetted scene, the GainMap that corrects it, EXIF, GPS and XMP."""
    levels, gains = vignetted_scene(height, width, seed=seed)
    return write_raw(path, levels, phone_tags(order, height, width, gains), order)


def write_camera_raw(
    path: Path, levels: NDArray[np.uint16], order: str = "<", camera: tuple[str, str] | None = SONY
) -> Path:
    """Writes a file of TIFF's structure that is no DNG, which LibRaw takes for one of a camera.

    Args:
        path: the file.
        levels: (H, W) RGGB mosaic in sensor units.
        order: "<" or ">".
        camera: its maker and model; None leaves out the model, EXIF and GPS.
    """
    texts = (text_tag(order, code, text) for code, text in zip((271, 272), camera or ("Maker",), strict=False))
    colours = number_tag(order, 33421, SHORT, 2, 2), number_tag(order, 33422, BYTE, 0, 1, 1, 2)
    return write_raw(path, levels, [*texts, *colours], order, about=camera is not None)
