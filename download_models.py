"""Fetch the weights of pretrained_models/registry.yaml, and check those that are there.

    python download_models.py released_isp released_sidd_rgb
    python download_models.py --all
    python download_models.py --list

An interrupted download is continued by the same line. Exit status: 0 all there and right, 1 some are not, 2 it could
not run.
"""

import argparse
import sys

from cycleisp.utils.cli import run_script
from cycleisp.utils.errors import UserError
from cycleisp.utils.weights import registry
from cycleisp.utils.weights.download import DownloadError, check_present, fetch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="names of the registry")
    parser.add_argument("--all", action="store_true", help="every file of the registry")
    parser.add_argument("--list", action="store_true", help="print what there is, and fetch nothing")
    args = parser.parse_args()
    if bool(args.names) + args.all + args.list != 1:
        parser.error("give names, or --all, or --list")
    return args


def main() -> int:
    args = parse_args()
    known = registry.read_registry(registry.FOLDER)
    if args.list:
        print(registry.table(known, registry.FOLDER))
        return 0
    wanted = known.weights if args.all else choose(known, args.names)
    failed = 0
    for weights in wanted:
        try:
            path = fetch(weights, registry.FOLDER)
            print(f"{weights.name}: {path}, SHA-256 {check_present(weights, registry.FOLDER)}")
        except DownloadError as error:
            print(f"error: {error}", file=sys.stderr)
            failed += 1
    print(f"{len(wanted) - failed} of {len(wanted)} files there")
    return 1 if failed else 0


def choose(known: registry.Registry, names: list[str]) -> list[registry.Weights]:
    """The files that the names stand for, each once."""
    chosen: list[registry.Weights] = []
    for name in names:
        entry = known.find(name)
        if entry is None:
            raise UserError(f"{name}: not in the registry; {known.names()}")
        chosen += [weights for weights in known.members(entry) if weights not in chosen]
    return chosen


if __name__ == "__main__":
    run_script(main)
