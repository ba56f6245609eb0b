"""Whole MATLAB files, read by scipy in a process apart: damaged ones can crash it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy.io import loadmat

from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.apart import apart


def load_variables(path: Path, names: Sequence[str] | None = None, logical: bool = False) -> dict[str, Any]:
    """Reads variables of a MATLAB file of version 5.

    Args:
        path: the file.
        names: the variables; None takes all.
        logical: whether MATLAB's logical values become bool, and all numbers the type they have in
            MATLAB.

    Raises:
        UserError: the file is of version 7.3 or damaged. The message says which.
    """
    return apart(_load, path, names, logical)


def _load(path: Path, names: Sequence[str] | None, logical: bool) -> dict[str, Any]:
    try:
        return loadmat(path, variable_names=names, mat_dtype=logical)
    except NotImplementedError:
        raise UserError("is a MATLAB v7.3 file, save it with -v7") from None
    except Exception as error:
        raise UserError(f"cannot be read ({error or type(error).__name__}); make it again") from None
