"""Limits on what one file may ask of this machine, and the checks before anything is allocated.

A damaged or hostile file can claim any size in a few bytes. Readers compare the claim with these
limits, and with what the file stores, before they allocate. Environment variables adjust them.
"""

import os
from pathlib import Path

from cycleisp.utils.errors import UserError

MAX_PIXELS = "CYCLEISP_MAX_PIXELS"  # the environment variables
MAX_BYTES = "CYCLEISP_MAX_BYTES"
READ_SECONDS = "CYCLEISP_READ_SECONDS"  # for how long a file may be read (utils/processes/apart.py)
READ_BYTES = "CYCLEISP_READ_BYTES"  # and how much memory that may take: half of the machine's, by default

DEFLATE_RATIO = 1032.0  # bytes that one byte of deflate can stand for: 258 in two bits
SLACK = 4096  # bytes of claimed content that are never worth a complaint


def _half_of_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):  # not on Windows
        return 8 << 30


_DEFAULTS = {
    MAX_PIXELS: 1_000_000_000,
    MAX_BYTES: 8 << 30,
    READ_SECONDS: 300,
    READ_BYTES: _half_of_memory(),
}


def limit(name: str) -> int:
    """Returns a limit, by the name of its environment variable, as MAX_PIXELS.

    Raises:
        UserError: the variable is there, but is no positive whole number.
    """
    text = os.environ.get(name, "")
    if not text:
        return _DEFAULTS[name]
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"environment variable {name}: expected a positive whole number, got {text!r}")
    return int(text)


def check_pixels(path: Path | str, height: int, width: int, kind: type[UserError] = UserError) -> None:
    """Checks the size of a picture before it is decoded.

    Raises:
        UserError: of this kind; the picture has more pixels than MAX_PIXELS.
    """
    most = limit(MAX_PIXELS)
    if height * width > most:
        raise kind(
            f"{path}: {width}x{height} are more than {most:,} pixels; set the environment variable {MAX_PIXELS} "
            "higher if this is right"
        )


def check_bytes(path: Path | str, count: int, kind: type[UserError] = UserError) -> None:
    """Checks how many bytes the content of a file takes in memory, before they are allocated.

    Raises:
        UserError: of this kind; there are more than MAX_BYTES.
    """
    most = limit(MAX_BYTES)
    if count > most:
        raise kind(
            f"{path}: its content claims {count:,} bytes of memory, the limit is {most:,}; set the environment "
            f"variable {MAX_BYTES} higher if this is right"
        )


def check_stored(
    path: Path | str, claimed: int, stored: int, ratio: float = DEFLATE_RATIO, kind: type[UserError] = UserError
) -> None:
    """Checks the claimed size of a compressed content against the bytes that are there for it.

    Args:
        path: the file.
        claimed: bytes that the content shall have when it is decompressed.
        stored: bytes of the file that can hold it.
        ratio: by how much the compression can shrink bytes at best.
        kind: the error to raise.

    Raises:
        UserError: of this kind; so few bytes cannot hold so much.
    """
    if claimed > ratio * stored + SLACK:
        raise kind(
            f"{path}: is damaged or truncated: it claims {claimed:,} bytes of content, which its {stored:,} bytes "
            "cannot hold; get it again or remove it"
        )
