"""Fetch the weights of pretrained_models/registry.yaml, and check those that are present.

    python download_models.py released_isp released_sidd_rgb
    python download_models.py --all
    python download_models.py --list

Run the same command again to continue an interrupted download. Exit status: 0 if all files are
present and right, 1 if some are not, 2 if it could not run.
"""

import argparse
import sys

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import run_script


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="names of the registry to fetch")
    parser.add_argument("--all", action="store_true", help="fetch every file of the registry")
    parser.add_argument("--list", action="store_true", help="list the registry and where files are; fetch nothing")
    args = parser.parse_args()
    if bool(args.names) + args.all + args.list != 1:
        parser.error("give names, or --all, or --list")
    return args


def main() -> int:
    args = parse_args()
    from cycleisp.tasks import downloads  # here, since --help needs no PyTorch

    if args.list:
        print(downloads.table())
        return 0
    present = missing = 0
    for download in downloads.fetch_all(None if args.all else args.names):
        if download.error is None:
            print(f"{download.name}: {download.path}, SHA-256 {download.sha256}")
            present += 1
        else:
            print(f"error: {download.error}", file=sys.stderr)
            missing += 1
    print(f"{present} of {present + missing} files there")
    return 1 if missing else 0


if __name__ == "__main__":
    run_script(main)
