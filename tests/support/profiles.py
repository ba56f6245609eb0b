"""Colour profiles and pictures in other colour spaces, made by the tests."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.color.colorimetry import srgb_decode
from cycleisp.utils.color.icc import profile_of_space
from cycleisp.utils.color.spaces import ADOBE_RGB, DISPLAY_P3, SRGB, ColorSpace, gamma, space
from tests.support.pictures import png_chunk

PROPHOTO = space("ProPhoto", ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585)), gamma(1.8))
REC2020 = space("Rec. 2020", ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), (0.3127, 0.329)), gamma(2.4))
SPACES = {"Adobe RGB": ADOBE_RGB, "Display P3": DISPLAY_P3, "ProPhoto": PROPHOTO, "Rec. 2020": REC2020}
PROFILES = {name: profile_of_space(colors) for name, colors in SPACES.items()}


def from_srgb(picture: NDArray, colors: ColorSpace) -> NDArray:
    """Returns an sRGB picture in the values of another space, by bisection of its curves."""
    top = np.iinfo(picture.dtype).max
    linear = srgb_decode(picture / top) @ (np.linalg.inv(colors.to_xyz) @ SRGB.to_xyz).T
    channels = []
    for channel, curve in enumerate(colors.curves):
        low, high = np.zeros(picture.shape[:2]), np.ones(picture.shape[:2])
        for _ in range(24):
            middle = (low + high) / 2
            below = curve(middle) < linear[..., channel]
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        channels.append(high)
    return np.round(np.stack(channels, axis=-1) * top).astype(picture.dtype)


def profile_chunk(profile: bytes) -> bytes:
    """Returns PNG's chunk of a profile."""
    return png_chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))


def grey_profile(power: float) -> bytes:
    """Returns a profile of grey with a power as its curve."""
    whole = bytearray(
        profile_of_space(space("grey", ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), (0.3127, 0.329)), gamma(power)))
    )
    whole[16:20] = b"GRAY"
    place = whole.index(b"rTRC")
    whole[place : place + 4] = b"kTRC"
    return bytes(whole)


def table_profile(colors: str = "CMYK", steps: int = 5) -> bytes:
    """Returns a printer's profile of the old kind: a table (lut8) from inks to Lab.

    Of CMYK, the inks take away red, green, blue, and everything.
    """
    inputs = {"CMYK": 4, "RGB ": 3}[colors]
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, steps)] * inputs, indexing="ij"), axis=-1).reshape(-1, inputs)
    linear = (1 - grid[:, :3]) * (1 - grid[:, 3:]) if inputs == 4 else grid**1.5
    xyz = linear @ (SRGB.to_xyz / SRGB.to_xyz.sum(axis=1, keepdims=True)).T
    cubes = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab = np.stack(
        [116 * cubes[:, 1] - 16, 500 * (cubes[:, 0] - cubes[:, 1]), 200 * (cubes[:, 1] - cubes[:, 2])], axis=-1
    )
    stored = (
        np.stack([lab[:, 0] * 2.55, lab[:, 1] + 128, lab[:, 2] + 128], axis=-1).round().clip(0, 255).astype(np.uint8)
    )
    identity = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes((inputs, 3, steps, 0)) + struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    table += identity * inputs + stored.tobytes() + identity * 3
    head = bytearray(profile_of_space(SRGB)[:128])
    head[12:24] = b"prtr" + colors.encode() + b"Lab "
    texts = {b"desc": b"desc\0\0\0\0\0\0\0\6inks\0\0" + bytes(78), b"cprt": b"text\0\0\0\0free\0\0\0\0"}
    tags = texts | {b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061), b"A2B0": table, b"A2B1": table}
    body, entries = b"", b""
    for name, content in tags.items():
        entries += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head[:4] = struct.pack(">I", 132 + len(entries) + len(body))
    return bytes(head) + struct.pack(">I", len(tags)) + entries + body
