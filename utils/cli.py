"""What the scripts share on their command lines."""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from cycleisp.utils.config import Recipe, check_recipe, read_yaml
from cycleisp.utils.errors import UserError

EXIT_CANNOT_RUN = 2


def run_script(main: Callable[[], int | None]) -> None:
    """Run a script's main and exit with its status; what a user can mend is one clear line and status 2."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("lightning").setLevel(logging.WARNING)
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CANNOT_RUN)


def recipe_from_arguments(kind: type[Recipe], args: argparse.Namespace) -> Recipe:
    """A recipe from a script's options, on top of the YAML file that `--config` may name.

    The parser leaves out options that were not given (`argument_default=SUPPRESS`).

    Raises:
        ConfigError: as `check_recipe`.
    """
    given = vars(args).copy()
    config: Path | None = given.pop("config", None)
    content = read_yaml(config) if config else {}
    return check_recipe(kind, {**content, **given}, str(config) if config else "command line")


def labelled(item: str) -> tuple[str, str]:
    """Label and value of `LABEL=VALUE` on a command line; a value alone, a name or a path, is labelled by its stem."""
    label, equals, value = item.partition("=")
    return (label, value) if equals else (Path(item).stem, item)


def training_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every training script has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the recipe, a YAML file of configs/")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change values of the recipe")
    parser.add_argument("--run-dir", type=Path, help="folder of this run; the same line resumes it")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--stop-after", type=float, metavar="MINUTES", help="save and stop after this time")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved recipe and stop")
    return parser


def parse_training(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse a training script's command line; only a dry run needs no run folder."""
    args = parser.parse_args()
    if args.run_dir is None and not args.dry_run:
        parser.error("--run-dir is needed: the folder that this run writes to and resumes from")
    return args


def add_isp_data(parser: argparse.ArgumentParser) -> None:
    """The options that name the data of the ISP networks."""
    parser.add_argument("--raw", nargs="+", default=[], metavar="PATH", help="camera RAW files or folders of them")
    parser.add_argument("--photos", nargs="+", default=[], metavar="PATH", help="clean photos for simulated cameras")
    parser.add_argument("--prepared", type=Path, default=Path("prepared"), help="where RAW files are unpacked to")
