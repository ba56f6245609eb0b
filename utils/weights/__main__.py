"""Convert weight files.

    python -m cycleisp.utils.weights convert SRC DST   a released .pth into safetensors, or back
    python -m cycleisp.utils.weights halve SRC DST     safetensors in float16, half the size

Existing files are never overwritten. Exit status: 0 if the file was written, 2 if it was not.
"""

import argparse
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import run_script
from cycleisp.utils.weights.conversion import convert, halve
from cycleisp.utils.weights.formats.released_layout import BRANCHES


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m cycleisp.utils.weights",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="convert|halve", dest="command")
    converting = commands.add_parser("convert", help="convert a released .pth into safetensors, or back")
    halving = commands.add_parser("halve", help="store safetensors in float16, which halves the size")
    for command in (converting, halving):
        command.add_argument("source", type=Path, metavar="SRC", help="file to convert")
        command.add_argument("destination", type=Path, metavar="DST", help="file to write; must not exist")
    converting.add_argument(
        "--network",
        choices=sorted(BRANCHES),
        help="what a .pth holds; needed where sizes other than the paper's leave two possibilities",
    )
    return parser.parse_args()


def main() -> int:
    """Runs one command."""
    args = parse_args()
    if args.command == "halve":
        print(halve(args.source, args.destination), end="")
    else:
        print(convert(args.source, args.destination, args.network), end="")
    return 0


if __name__ == "__main__":
    run_script(main)
