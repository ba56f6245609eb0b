"""Limits on what one file may ask of this machine, and the checks before anything is allocated.

A damaged or hostile file can claim any size in a few bytes. Readers compare the claim with these
limits, and with what the file stores, before they allocate. Environment variables adjust them.
"""

import os
from pathlib import Path

from cycleisp.utils.errors import UserError

MAX_PIXELS = "CYCLEISP_MAX_PIXELS"  # the environment variables
MAX_BYTES = "CYCLEISP_MAX_BYTES"
_DEFAULTS = {MAX_PIXELS: 1_000_000_000, MAX_BYTES: 8 << 30}


def limit(name: str) -> int:
    """Returns a limit, by the name of its environment variable: MAX_PIXELS or MAX_BYTES.

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
