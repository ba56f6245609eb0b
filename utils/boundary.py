"""The boundary between the scripts and the shell: exit statuses, last words, and no traceback."""

import contextlib
import io
import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence

from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.output.logs import start_log
from cycleisp.utils.processes.apart import end_readers
from cycleisp.utils.processes.stops import WORDS, Stopped, stops_in_order
from cycleisp.utils.version import code_version
from cycleisp.utils.words import printable

log = logging.getLogger(__name__)

EXIT_SKIPPED = 1  # everything that could be done is done; some inputs were left out
EXIT_CANNOT_RUN = 2  # argparse uses the same for a wrong command line
EXIT_STOPPED = 3  # a training was stopped early and saved
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_SIGNAL = 128  # plus the signal's number, as shells count a process that a signal has ended: 130 after Ctrl-C
EXIT_NO_READER = EXIT_SIGNAL + 13  # SIGPIPE: whoever read the output, as `head`, has left


def run_script(main: Callable[[], int | None], *, after_stop: str = WORDS) -> None:
    """Runs a script's `main` and exits with its status.

    This is the boundary between the program and the shell. No traceback passes it:

    - a `UserError` becomes one line on standard error and status 2, and so does an `OSError`, as of
      a full disk, and an empty value on the command line;
    - Ctrl-C becomes one line and status 130, SIGTERM the same and 143;
    - anything else is a bug. Its traceback goes to a file, whose place is printed; status 70.

    Names of files are printed with escapes for what a terminal would not show as a letter. The
    environment variable CYCLEISP_LOG=debug shows tracebacks and more.

    Args:
        main: what to run. It returns the exit status; None is 0.
        after_stop: what becomes of the work when the run is stopped, for the user.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no name is an error, whatever the terminal's encoding
    with stops_in_order(first=end_readers, words=after_stop):
        words, status = _run(main, after_stop)
        if words:
            with contextlib.suppress(OSError):
                print(words, file=sys.stderr)
        sys.exit(status)


def _run(main: Callable[[], int | None], after_stop: str) -> tuple[str, int | None]:
    """Runs `main`, and returns the last words and the exit status."""
    try:
        start_log()
        _refuse_empty_values(sys.argv[1:])
        status = main()
        sys.stdout.flush()  # here a reader that has left is noticed, not when Python exits
        return "", status
    except UserError as error:
        lines = "\n" if error.is_list else ""
        return f"error: {printable(error, keep=lines)}", EXIT_CANNOT_RUN
    except Stopped as stopped:
        return str(stopped), EXIT_SIGNAL + stopped.number
    except KeyboardInterrupt:  # in threads that cannot have signal handlers, and from libraries
        return str(Stopped(signal.SIGINT, after_stop)), EXIT_SIGNAL + signal.SIGINT
    except BrokenPipeError:
        _write_to_nobody()
        return "", EXIT_NO_READER
    except OSError as error:
        log.debug("the run ends", exc_info=True)
        return f"error: {_in_words(error)}; {after_stop}", EXIT_CANNOT_RUN
    except MemoryError:
        log.debug("the run ends", exc_info=True)
        return "error: the memory of this machine does not suffice; give smaller images or tiles", EXIT_CANNOT_RUN
    except Exception as error:
        bug = printable(f"error: this is a bug: {type(error).__name__}: {reason(error)}")
        return f"{bug}\n{_report_bug()}", EXIT_BUG


def _refuse_empty_values(arguments: Sequence[str]) -> None:
    """Refuses options without content: as a path, one would stand for the present folder.

    No script has an option for which an empty value means something.

    Raises:
        UserError: an argument is empty, as '' or --output=, and which option it belongs to.
    """
    option = ""
    for number, argument in enumerate(arguments, 1):
        name, equals, value = argument.partition("=")
        if argument.startswith("--"):
            option = name
        if not argument or (argument.startswith("--") and equals and not value):
            raise UserError(
                f"{option or f'argument {number}'}: is empty, as by a variable of the shell that is not set; give a "
                "value (. is the present folder)"
            )


def _write_to_nobody() -> None:
    """Lets what is still buffered go nowhere, or Python would report the lost reader at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_words(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return printable(f"{where}{reason(error)}")


def _report_bug() -> str:
    """Writes the traceback of the present error to a file, and returns where it is, in words."""
    report = f"{' '.join(sys.argv)}\nversion {code_version()}, Python {sys.version}\n\n{traceback.format_exc()}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="cycleisp-bug-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(report)
        return f"What happened is in {file.name}; please send it to the project."
    except OSError:
        return report
