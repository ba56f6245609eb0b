"""Ctrl-C while a script still imports: one line and status 130, in place of a traceback.

PyTorch takes seconds to import. The scripts import this module first, by which they get a hook for
what nobody catches. Once `run_script` runs, it sees to signals itself.

Which process is the parent is noted here as well, since it may end during the imports.
"""

import os
import sys
from types import TracebackType

import cycleisp.utils.processes.lifetimes  # noqa: F401  # notes the parent

_usual = sys.excepthook


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        os.write(2, b"stopped by Ctrl-C before anything was begun\n")
        os._exit(130)
    _usual(kind, error, trace)


sys.excepthook = _end
