"""The log of the scripts on standard error: one line a message, above the progress bar."""

import logging
import os
import threading

from tqdm import tqdm

from cycleisp.utils.errors import UserError
from cycleisp.utils.words import printable

VARIABLE = "CYCLEISP_LOG"  # the environment variable
LEVELS = ("debug", "info", "warning", "error")


def start_log() -> None:
    """Sends the log to standard error, unless a log has been set up already.

    The environment variable CYCLEISP_LOG chooses the least important level that is shown: debug,
    info (the default), warning or error. At debug level, the tracebacks of errors are shown, too.

    Raises:
        UserError: the variable holds something else.
    """
    level = os.environ.get(VARIABLE, "") or "info"
    if level.lower() not in LEVELS:
        raise UserError(f"environment variable {VARIABLE}: expected {', '.join(LEVELS)}, got {level!r}")
    handler = _AboveTheBar()
    handler.setFormatter(_OneLine("%(levelname)s %(message)s"))
    logging.basicConfig(level=max(logging.INFO, getattr(logging, level.upper())), handlers=[handler])
    if level.lower() == "debug":
        logging.getLogger("cycleisp").setLevel(logging.DEBUG)  # of other libraries it would be too much
    logging.getLogger("lightning").setLevel(logging.WARNING)
    # tqdm's own lock is shared with forked processes, one of which may be killed while it has it
    tqdm.set_lock(threading.RLock())
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: tqdm.set_lock(threading.RLock()))


class _AboveTheBar(logging.StreamHandler):
    """Takes progress bars away while it writes, and draws them again below."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)


class _OneLine(logging.Formatter):
    """Escapes what names of files may hold, as line breaks and colour codes; not in tracebacks."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)
