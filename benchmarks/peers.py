"""Denoisers of others for benchmarks/real_noise.py, given as LABEL=module:function."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.fingerprints import file_sha256

Denoise = Callable[[NDArray[np.float32]], NDArray]  # (H, W, 3) in [0, 1] -> the same


def open_peer(item: str) -> tuple[str, Denoise, str]:
    """Returns label and function of LABEL=module:function, and a folder name for its pictures.

    The function takes a noisy picture, (H, W, 3) float32 sRGB in [0, 1], and returns the denoised
    one, of the same shape and range. Its attribute `parameters`, if it has one, is the number of
    its parameters. Modules are also looked for in the present folder.

    Raises:
        UserError: the text is of another form, the module cannot be imported, or has no such
            function.
    """
    label, equals, path = item.partition("=")
    module_name, colon, name = path.partition(":")
    if not (label and equals and module_name and colon and name):
        raise UserError(f"--peers {item}: expected LABEL=module:function")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a peer's code can fail in any way
        raise UserError(f"--peers {item}: {module_name} cannot be imported ({reason(error)})") from None
    finally:
        sys.path.remove(here)
    function = getattr(module, name, None)
    if not callable(function):
        raise UserError(f"--peers {item}: {module_name} has no function {name}")
    file = getattr(module, "__file__", None)
    return label, function, f"{label}-{name}" + (f"-{file_sha256(Path(file))[:8]}" if file else "")
