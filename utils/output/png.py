"""PNG with everything that belongs to a photo: 8 or 16 bits, EXIF, colour profile and chunks."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.output.metadata import PhotoMetadata

# In photos little repeats except runs of one value. Searching for those alone takes half the time
# of the usual search, and the files are smaller.
LEVEL = 1
_AFTER_HEADER = 33  # signature, and IHDR with its length, type and checksum


def encode_png(photo: NDArray, metadata: PhotoMetadata | None = None) -> bytes:
    """Encodes an RGB photo (H, W, 3), uint8 or uint16, as PNG.

    Raises:
        OSError: OpenCV could not encode it.
    """
    try:
        import cv2
    except ModuleNotFoundError:  # where only the packages of ONNX Runtime are
        png = memoryview(_encode_plainly(photo))
    else:
        bgr = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
        compression = (cv2.IMWRITE_PNG_COMPRESSION, LEVEL, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
        encoded, content = cv2.imencode(".png", bgr, compression)
        if not encoded:
            raise OSError("OpenCV could not encode the image as PNG")
        del bgr  # a large photo is in memory often enough
        png = np.asarray(content).ravel().data
    metadata = metadata or PhotoMetadata()
    chunks = b"".join(_chunk(kind, content) for kind, content in metadata.color_chunks)
    if metadata.icc_profile:
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc_profile))
    if metadata.exif:
        chunks += _chunk(b"eXIf", metadata.exif)
    return b"".join((png[:_AFTER_HEADER], chunks, png[_AFTER_HEADER:]))


def _encode_plainly(photo: NDArray) -> bytes:
    """Encodes a photo without OpenCV: each value minus its left neighbour's, compressed."""
    height, width = photo.shape[:2]
    stored = np.ascontiguousarray(photo.astype(photo.dtype.newbyteorder(">"))).view(np.uint8)
    lines = stored.reshape(height, -1)
    pixel = 3 * photo.dtype.itemsize  # bytes
    filtered = np.empty((height, 1 + lines.shape[1]), np.uint8)
    filtered[:, 0] = 1  # the filter Sub
    filtered[:, 1 : 1 + pixel] = lines[:, :pixel]
    filtered[:, 1 + pixel :] = lines[:, pixel:] - lines[:, :-pixel]
    packer = zlib.compressobj(LEVEL, strategy=zlib.Z_RLE)
    body = packer.compress(filtered.data) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8 * photo.dtype.itemsize, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
