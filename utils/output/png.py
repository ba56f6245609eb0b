"""PNG with everything that belongs to a photo: 8 or 16 bits, EXIF, colour profile and chunks."""

import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.output.metadata import PhotoMetadata

# In photos little repeats except runs of one value. Searching for those alone takes half the time
# of the usual search, and the files are smaller.
COMPRESSION = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
_AFTER_HEADER = 33  # signature, and IHDR with its length, type and checksum


def encode_png(photo: NDArray, metadata: PhotoMetadata | None = None) -> bytes:
    """Encodes an RGB photo (H, W, 3), uint8 or uint16, as PNG.

    Raises:
        OSError: OpenCV could not encode it.
    """
    bgr = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
    encoded, content = cv2.imencode(".png", bgr, COMPRESSION)
    if not encoded:
        raise OSError("OpenCV could not encode the image as PNG")
    del bgr  # a large photo is in memory often enough
    png, metadata = np.asarray(content).ravel().data, metadata or PhotoMetadata()
    chunks = b"".join(_chunk(kind, content) for kind, content in metadata.color_chunks)
    if metadata.icc_profile:
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc_profile))
    if metadata.exif:
        chunks += _chunk(b"eXIf", metadata.exif)
    return b"".join((png[:_AFTER_HEADER], chunks, png[_AFTER_HEADER:]))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
