"""Progress bars."""

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(**options: Any) -> tqdm:
    """Returns tqdm's bar on standard error.

    Where standard error is a log file, it writes a line every 30 seconds instead of ten a second.
    """
    patient = not sys.stderr.isatty()
    return tqdm(mininterval=30 if patient else 0.1, maxinterval=60 if patient else 10, **options)
