"""What the scripts have in common: exit status, logging, and the options of training."""

import argparse
import logging
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from cycleisp.utils.config import Recipe, check_recipe, find_recipe, read_yaml
from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.version import code_version

EXIT_SKIPPED = 1  # everything that could be done is done; some inputs were left out
EXIT_CANNOT_RUN = 2  # argparse uses the same for a wrong command line
EXIT_STOPPED = 3  # a training was stopped early and saved
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 128 + signal.SIGINT  # as shells count a process that Ctrl-C has ended


def run_script(main: Callable[[], int | None]) -> None:
    """Runs a script's `main` and exits with its status.

    This is the boundary between the program and the shell. No traceback passes it:

    - a `UserError` becomes one line on standard error and status 2, and so does an `OSError`, as of
      a full disk;
    - Ctrl-C becomes one line and status 130;
    - anything else is a bug. Its traceback goes to a file, whose place is printed; status 70.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("lightning").setLevel(logging.WARNING)
    try:
        sys.exit(main())
    except UserError as error:
        _leave(f"error: {error}", EXIT_CANNOT_RUN)
    except KeyboardInterrupt:
        _leave("stopped by Ctrl-C; what is finished is saved, and the same command goes on", EXIT_INTERRUPTED)
    except BrokenPipeError:
        _leave("", EXIT_CANNOT_RUN)  # whoever read the output, as `head`, has left
    except OSError as error:
        _leave(f"error: {_in_words(error)}; what is finished is kept, and the same command goes on", EXIT_CANNOT_RUN)
    except MemoryError:
        _leave("error: the memory of this machine does not suffice; give smaller images or tiles", EXIT_CANNOT_RUN)
    except Exception as error:
        _leave(f"error: this is a bug: {type(error).__name__}: {reason(error)}\n{_report_bug()}", EXIT_BUG)


def _leave(words: str, status: int) -> None:
    if words:
        print(words, file=sys.stderr)
    sys.exit(status)


def _in_words(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{reason(error)}"


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


def recipe_from_arguments(kind: type[Recipe], args: argparse.Namespace) -> Recipe:
    """Builds a recipe from a script's options and the YAML file that `--config` may name.

    Options count before the file. The parser must leave out options that were not given
    (`argument_default=SUPPRESS`).

    Raises:
        ConfigError: as `find_recipe`, `read_yaml` and `check_recipe`.
    """
    given = vars(args).copy()
    config: Path | None = given.pop("config", None)
    if config is None:
        return check_recipe(kind, given, "command line")
    path = find_recipe(config)
    return check_recipe(kind, {**read_yaml(path), **given}, str(path))


def training_parser(description: str | None) -> argparse.ArgumentParser:
    """Returns a parser with the options that every training script has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--config", type=Path, required=True, metavar="FILE", help="recipe: a YAML file, or the name of a shipped one")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="values that replace the recipe's, as train.steps=9")
    add("--run-dir", type=Path, metavar="DIR", help="folder of this run, which the same command resumes")
    devices = ("auto", "cpu", "cuda", "mps")
    add("--device", choices=devices, default="auto", help="device to compute on (default: auto)")
    add("--stop-after", type=float, metavar="MINUTES", help="save and stop after this time (default: no limit)")
    add("--dry-run", action="store_true", help="print the complete recipe and exit")
    return parser


def parse_training(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parses a training script's command line. Only a dry run needs no run folder."""
    args = parser.parse_args()
    if args.run_dir is None and not args.dry_run:
        parser.error("--run-dir is needed: the folder that this run writes to and resumes from")
    return args


def add_isp_data(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name the data of the ISP networks."""
    add = parser.add_argument
    add("--raw", nargs="+", default=[], metavar="PATH", help="camera RAW files, or folders of them")
    add(
        "--photos", nargs="+", default=[], metavar="PATH", help="clean photos for simulated cameras, or folders of them"
    )
    default = Path("prepared")
    add(
        "--prepared",
        type=Path,
        default=default,
        metavar="DIR",
        help="folder to unpack RAW files to (default: prepared)",
    )
