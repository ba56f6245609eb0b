"""What the scripts have in common: their boundary to the shell, and the options of training."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from cycleisp.utils.boundary import (
    EXIT_BUG,
    EXIT_CANNOT_RUN,
    EXIT_NO_READER,
    EXIT_SIGNAL,
    EXIT_SKIPPED,
    EXIT_STOPPED,
    run_script,
)

if TYPE_CHECKING:
    from cycleisp.utils.config import Recipe

__all__ = [
    "EXIT_BUG",
    "EXIT_CANNOT_RUN",
    "EXIT_NO_READER",
    "EXIT_SIGNAL",
    "EXIT_SKIPPED",
    "EXIT_STOPPED",
    "add_isp_data",
    "gigabytes",
    "isp_overrides",
    "parse_training",
    "recipe_from_arguments",
    "run_script",
    "training_parser",
    "training_status",
]


def recipe_from_arguments(kind: "type[Recipe]", args: argparse.Namespace) -> "Recipe":
    """Builds a recipe from a script's options and the YAML file that `--config` may name.

    Options count before the file. The parser must leave out options that were not given
    (`argument_default=SUPPRESS`).

    Raises:
        ConfigError: as `find_recipe`, `read_yaml` and `check_recipe`.
    """
    from cycleisp.utils.config import check_recipe, find_recipe, read_yaml  # here: not all scripts have recipes

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
    add("--stop-after", type=_minutes, metavar="MINUTES", help="save and stop after this time (default: no limit)")
    add("--dry-run", action="store_true", help="print the complete recipe and exit")
    return parser


def _minutes(text: str) -> float:
    """Returns a time from the command line. Raises ValueError for text that is none."""
    minutes = float(text)
    if not 0 <= minutes < math.inf:
        raise argparse.ArgumentTypeError(f"expected minutes, 0 or more, got {text}")
    return minutes


def gigabytes(text: str) -> int:
    """Returns a size from the command line, in bytes. Raises ValueError for text that is none."""
    size = float(text)
    if not 0 <= size < math.inf:
        raise argparse.ArgumentTypeError(f"expected gigabytes, 0 or more, got {text}")
    return int(size * 1e9)


def parse_training(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parses a training script's command line. Only a dry run needs no run folder."""
    args = parser.parse_args()
    if args.run_dir is None and not args.dry_run:
        parser.error("--run-dir is needed: the folder that this run writes to and resumes from")
    return args


def training_status(finished: bool) -> int:
    """Returns the exit status of a training: 0, or EXIT_STOPPED when it is not finished."""
    return 0 if finished else EXIT_STOPPED


def add_isp_data(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name the data of the ISP networks."""
    add = parser.add_argument
    add("--raw", nargs="+", default=[], metavar="PATH", help="camera RAW files, or folders of them")
    add(
        "--photos", nargs="+", default=[], metavar="PATH", help="clean photos for simulated cameras, or folders of them"
    )
    default = Path("prepared")
    render = "what the photo of a RAW file is: libraw, LibRaw's rendering, or camera, the camera's own JPEG, inside of "
    render += "the file or beside it (default: as the recipe says)"
    add("--render", choices=("libraw", "camera"), help=render)
    add(
        "--prepared",
        type=Path,
        default=default,
        metavar="DIR",
        help="folder to unpack RAW files to (default: prepared)",
    )


def isp_overrides(args: argparse.Namespace) -> list[str]:
    """Returns what --set and the options of `add_isp_data` replace in the recipe."""
    return [*args.set, *([f"data.render={args.render}"] if args.render else [])]
