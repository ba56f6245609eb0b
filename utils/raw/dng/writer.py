"""Denoised mosaics as DNG files, which develop as the camera file of their source does."""

import importlib.util
import io
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cycleisp.utils.raw.camera_metadata import DNG_NOISE_PROFILE
from cycleisp.utils.raw.dng.opcodes import OPCODE_LIST_1, bad_pixel_values, needs_same_units
from cycleisp.utils.raw.dng.source import BLACK_DELTAS, BLACK_LEVEL, WHITE_LEVEL, DngSource
from cycleisp.utils.raw.dng.tags import Tag
from cycleisp.utils.raw.dng.tiff_writer import BYTE, LONG, RATIONAL, SHORT, SRATIONAL, encode_ifds, number_tag, text_tag

_PROCESSING_SOFTWARE, _DESCRIPTION, _ORIENTATION, _COLOR_SPACE = 11, 270, 274, 40961
_UNCOMPRESSED, _LOSSLESS_JPEG = 1, 7
_SMALLEST_COMPRESSED = 200_000  # bytes; RawTherapee refuses files of less than 100,000
_CFA = 32803
_REDUCTION_APPLIED, _DOUBLE = 50935, 12  # NoiseReductionApplied: 1 is all that can be; a type of TIFF
_LARGEST = 65535
_AUTOMATIC_MAXIMUM = 0.75  # of the white level; LibRaw takes a brightest photosite above it for white
_OF_PHOTOS = (270, 271, 272, 305, 306, 315, 33432)  # tags that are no tags of raw pictures


@dataclass(frozen=True)
class RemainingNoise:
    """The noise of a mosaic that was denoised in part.

    Attributes:
        applied: how much noise reduction there was, from 0 (none) to 1 (all that can be).
        levels: (shot_noise, read_noise) of R, G and B: variances where black is 0 and the white of
            the linear mosaic is 1.
    """

    applied: float
    levels: tuple[tuple[float, float], ...]

    def tags(self, source: DngSource) -> list[Tag]:
        """Returns NoiseReductionApplied and the NoiseProfile that holds for the values now.

        The share of what was there already, as a phone states it, does not count twice. The profile
        is in units of the white level that the file states.
        """
        before = source.ifd0[_REDUCTION_APPLIED].numbers[0] if _REDUCTION_APPLIED in source.ifd0 else 0.0
        before = min(max(before, 0.0), 1.0) if before == before else 0.0  # NaN is unknown
        share = white_share(source)
        numbers = [number for shot, read in self.levels for number in (shot * share, read * share**2)]
        profile = struct.pack(f"{source.byteorder}{len(numbers)}d", *numbers)
        return [
            number_tag(source.byteorder, _REDUCTION_APPLIED, RATIONAL, 1 - (1 - before) * (1 - self.applied)),
            Tag(DNG_NOISE_PROFILE, _DOUBLE, len(numbers), profile, source.byteorder),
        ]


def encode_dng(
    source: DngSource, linear: NDArray[np.float32], note: str = "", remaining: RemainingNoise | None = None
) -> bytes:
    """Encodes a denoised mosaic as DNG, with all that its source says about it.

    Args:
        source: the content of the camera file.
        linear: (H, W) denoised mosaic of its visible area, black 0 and white 1.
        note: text about what was done, stored as ProcessingSoftware and, where the source has none,
            as description.
        remaining: the noise that is left; None where all was removed that can be.

    Raises:
        ValueError: a mosaic of another size than the visible area, with values that are no numbers,
            or too large for a TIFF file.
    """
    if not np.isfinite(linear).all():
        raise ValueError("the denoised mosaic has values that are no numbers")
    return encode_values(source, sensor_values(source, linear), note, remaining)


def encode_values(
    source: DngSource, values: NDArray[np.float32], note: str = "", remaining: RemainingNoise | None = None
) -> bytes:
    """Encodes the values of a whole sensor (H, W), in its units, as `encode_dng` does.

    Raises:
        ValueError: values too large for a TIFF file.
    """
    order = source.byteorder
    list_1 = source.ifd0[OPCODE_LIST_1].data if OPCODE_LIST_1 in source.ifd0 else b""
    factor = 1 if needs_same_units(list_1) else _finest(source, values)
    sensor = np.clip(np.rint(values * factor), 0, _LARGEST).astype(np.uint16)
    for mark in bad_pixel_values(list_1):  # only what the source has marked is marked
        marked = source.sensor == mark
        sensor[(sensor == mark) & ~marked] += 1 if mark < _LARGEST else -1
        sensor[marked] = mark
    compression, strip = _strip(sensor, order)
    height, width = sensor.shape
    layout = [
        number_tag(order, 254, LONG, 0),  # NewSubfileType: the picture in full resolution
        number_tag(order, 256, LONG, width),
        number_tag(order, 257, LONG, height),
        number_tag(order, 258, SHORT, 16),  # BitsPerSample
        number_tag(order, 259, SHORT, compression),
        number_tag(order, 262, SHORT, _CFA),
        number_tag(order, 277, SHORT, 1),  # SamplesPerPixel
        number_tag(order, 278, LONG, height),  # RowsPerStrip
        number_tag(order, 279, LONG, len(strip)),  # StripByteCounts
        number_tag(order, 284, SHORT, 1),  # PlanarConfiguration
        *(remaining.tags(source) if remaining else [number_tag(order, _REDUCTION_APPLIED, RATIONAL, 1)]),
    ]
    notes = [text_tag(order, _PROCESSING_SOFTWARE, note)] if note else []
    if note and not (_DESCRIPTION in source.ifd0 and source.ifd0[_DESCRIPTION].text.strip()):
        notes.append(text_tag(order, _DESCRIPTION, note))
    levels = [
        _scaled(source.ifd0[code], factor) for code in (BLACK_LEVEL, *BLACK_DELTAS, WHITE_LEVEL) if code in source.ifd0
    ]
    main = [*source.ifd0.values(), *notes, *levels, *layout]
    return encode_ifds(order, main, source.exif, source.gps, strip, _preview(source))


def _preview(source: DngSource) -> tuple[list[Tag], bytes] | None:
    """Returns the tags and the bytes of the camera's own rendering, if there is one.

    RawTherapee's default takes the tone curve from it.
    """
    if not source.preview:
        return None
    with Image.open(io.BytesIO(source.preview), formats=["JPEG"]) as image:
        width, height = image.size
    order = source.byteorder
    tags = [
        number_tag(order, 254, LONG, 1),  # NewSubfileType: reduced resolution
        number_tag(order, 256, LONG, width),
        number_tag(order, 257, LONG, height),
        number_tag(order, 258, SHORT, 8, 8, 8),  # BitsPerSample
        number_tag(order, 259, SHORT, _LOSSLESS_JPEG),  # which stands for any JPEG
        number_tag(order, 262, SHORT, 6),  # YCbCr
        number_tag(order, 277, SHORT, 3),  # SamplesPerPixel
        number_tag(order, 278, LONG, height),  # RowsPerStrip
        number_tag(order, 279, LONG, len(source.preview)),  # StripByteCounts
        number_tag(order, 284, SHORT, 1),  # PlanarConfiguration
    ]
    return tags, source.preview


def _strip(sensor: NDArray[np.uint16], byteorder: str) -> tuple[int, bytes]:
    """Returns TIFF's number of a compression, and the values in it.

    Without Numba, as where only the packages of ONNX Runtime are, they are not compressed.
    """
    if sensor.shape[1] % 2 == 0 and importlib.util.find_spec("numba") is not None:
        from cycleisp.utils.raw.dng.lossless_jpeg import encode_lossless_jpeg  # here, since Numba takes a while

        strip = encode_lossless_jpeg(sensor)
        if len(strip) >= _SMALLEST_COMPRESSED:
            return _LOSSLESS_JPEG, strip
    return _UNCOMPRESSED, sensor.astype(f"{byteorder}u2").tobytes()


def encode_exif(source: DngSource) -> bytes:
    """Encodes what a source says about its photo as EXIF of an sRGB picture that stands upright."""
    order = source.byteorder
    kept = [source.ifd0[code] for code in _OF_PHOTOS if code in source.ifd0]
    exif = [number_tag(order, tag.code, SHORT, 1) if tag.code == _COLOR_SPACE else tag for tag in source.exif]
    return encode_ifds(order, [*kept, number_tag(order, _ORIENTATION, SHORT, 1)], exif, source.gps)


def white_share(source: DngSource) -> float:
    """Returns where the mosaic's white lies between black and white as its DNG states them.

    It is 1 but for cameras that saturate below the white level which converters take for them.
    """
    black = source.black.sites.mean()
    return float((source.white - black) / (min(source.ifd0[WHITE_LEVEL].numbers) - black))


def sensor_values(source: DngSource, linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the whole sensor (H, W) in its own units, with the denoised mosaic in its place.

    What is not visible keeps its values, as do saturated photosites: they hold no noise to be
    removed, and converters know by their values that the light is unknown. Where converters adapt
    the white level to the brightest photosite, that one keeps its value, and none exceeds it.

    Raises:
        ValueError: a mosaic of another size than the visible area.
    """
    values = source.sensor.astype(np.float32)
    visible = values[source.window]
    if visible.shape != linear.shape:
        raise ValueError(f"expected a mosaic of the visible area's size {visible.shape}, got {linear.shape}")
    black = _black_map(source, linear.shape)
    brightest = visible.max()
    counts = black.max() + _AUTOMATIC_MAXIMUM * (source.white - black.max())
    highest = max(brightest, counts)
    kept = visible >= min(source.white, highest)
    for row, column in np.ndindex(2, 2):
        part = np.s_[row::2, column::2]
        level = np.minimum(linear[part], 1) * (source.white - source.black.sites[row, column]) + black[part]
        visible[part] = np.where(kept[part], visible[part], np.minimum(level, highest))
    return values


def _black_map(source: DngSource, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Returns the black level of every photosite."""
    tile, (height, width) = source.black.tile, shape
    repeats = -(-height // tile.shape[0]), -(-width // tile.shape[1])
    levels = np.tile(tile.astype(np.float32), repeats)[:height, :width]
    if source.black.rows is not None:
        levels += source.black.rows[:, None].astype(np.float32)
    if source.black.columns is not None:
        levels += source.black.columns.astype(np.float32)
    return levels


def _finest(source: DngSource, values: NDArray[np.float32]) -> int:
    """Returns the power of 2 by which values and levels can be multiplied within 16 bits.

    Denoised values lie between the levels of a sensor of 10 to 14 bits, and smooth shadows would
    get steps.
    """
    largest = max(float(values.max()), *source.ifd0[WHITE_LEVEL].numbers, 1)
    factor = 1
    while 2 * factor * largest <= _LARGEST:
        factor *= 2
    return factor


def _scaled(tag: Tag, factor: int) -> Tag:
    """Returns a tag of levels in units that are finer by a factor."""
    if factor == 1:
        return tag
    kind = SRATIONAL if min(tag.numbers) < 0 else LONG if tag.type in (BYTE, SHORT, LONG) else RATIONAL
    return number_tag(tag.byteorder, tag.code, kind, *(number * factor for number in tag.numbers))
