"""What the chunks of a PNG say about its colours, in the order in which they count.

cICP comes before the ICC profile, which comes before sRGB, which comes before gAMA and cHRM (PNG,
third edition, 4.3). mDCV and cLLI describe the display of an HDR picture, and convert nothing.
"""

import struct
from collections.abc import Sequence

from cycleisp.utils.color.colorimetry import srgb_decode
from cycleisp.utils.color.icc import ProfileError
from cycleisp.utils.color.profiles import HdrError
from cycleisp.utils.color.spaces import BT709, HDR_TRANSFERS, ColorSpace, gamma, space, space_of_codes

Chunks = Sequence[tuple[bytes, bytes]]  # kinds and contents

COLOR_CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
_SRGB_GAMMA = 45455  # what stands for sRGB's curve, though that is no power
_NEAR = 0.05  # the share of a gamma by which writers differ, as libpng takes it


def space_of_cicp(content: bytes) -> ColorSpace:
    """Returns the colour space of a cICP chunk's four bytes.

    Raises:
        HdrError: it is PQ or HLG.
        ProfileError: the space is unknown, or the values are those of video.
    """
    if len(content) != 4:
        raise ProfileError("has damaged colour codes (cICP)")
    primaries, transfer, matrix, full = content
    if transfer in HDR_TRANSFERS:
        raise HdrError(f"has colours of HDR ({HDR_TRANSFERS[transfer]})")
    colors = space_of_codes(primaries, transfer)
    if colors is None or matrix != 0 or full != 1:
        codes = ", ".join(map(str, content))
        raise ProfileError(f"has colour codes (cICP {codes}) that cannot be converted")
    return colors


def space_of_gamma(chunks: Chunks) -> ColorSpace | None:
    """Returns the colour space of the chunks gAMA and cHRM, or None if neither is there.

    A gamma of about 1/2.2 means the curve of sRGB, for which it stands. What one of the chunks
    leaves open is as in sRGB.

    Raises:
        ProfileError: the numbers are impossible.
    """
    found = dict(chunks)
    if b"gAMA" not in found and b"cHRM" not in found:
        return None
    try:
        (stored,) = struct.unpack(">I", found.get(b"gAMA", struct.pack(">I", _SRGB_GAMMA)))
        if b"cHRM" in found:
            numbers = [number / 100000 for number in struct.unpack(">8I", found[b"cHRM"])]
            white, *colors = zip(numbers[::2], numbers[1::2], strict=True)
            primaries = (*colors, white)
        else:
            primaries = BT709
        near = abs(stored / _SRGB_GAMMA - 1) <= _NEAR
        return space("gAMA and cHRM", primaries, srgb_decode if near else gamma(100000 / stored))
    except (struct.error, ValueError, ZeroDivisionError):
        raise ProfileError("has impossible colours (gAMA, cHRM)") from None
