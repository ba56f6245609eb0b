"""Convert, list and check pairs in shards, as generate_data.py --shards writes them.

    python -m cycleisp.dataloaders.pairs pack PAIRS SHARDS      an unpacked folder into shards
    python -m cycleisp.dataloaders.pairs unpack SHARDS PAIRS    shards into a file for each picture
    python -m cycleisp.dataloaders.pairs merge SHARDS           put the list of shards together
    python -m cycleisp.dataloaders.pairs verify SHARDS          compare shards with their SHA-256
    python -m cycleisp.dataloaders.pairs to-lmdb PAIRS LMDB     pairs into LMDB, for other trainers

What is packed or unpacked already is kept, so that the same command goes on. Exit status: 0 if all
is done, 1 if `verify` has found damage, 2 if a command could not run.
"""

import argparse
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.dataloaders.pairs.shards.conversion import pack, unpack, verify
from cycleisp.dataloaders.pairs.shards.folder import merge
from cycleisp.dataloaders.training import lmdb_export
from cycleisp.utils.cli import EXIT_SKIPPED, run_script
from cycleisp.utils.words import printable


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m cycleisp.dataloaders.pairs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="pack|unpack|merge|verify|to-lmdb", dest="command")
    packing = commands.add_parser("pack", help="pack an unpacked folder of pairs into shards")
    packing.add_argument("source", type=Path, metavar="PAIRS", help="folder that generate_data.py has filled")
    packing.add_argument("destination", type=Path, metavar="SHARDS", help="folder to fill with shards")
    packing.add_argument("--shard-size", type=int, default=512, metavar="MB", help="size of a shard (default: 512)")
    unpacking = commands.add_parser("unpack", help="unpack shards into a file for each picture")
    unpacking.add_argument("source", metavar="SHARDS", help="folder of shards or its shards.jsonl; a path or a URL")
    unpacking.add_argument("destination", type=Path, metavar="PAIRS", help="folder to fill with pairs")
    merging = commands.add_parser("merge", help="put the list of shards together, after a run that was killed")
    merging.add_argument("folder", type=Path, metavar="SHARDS", help="folder of shards")
    verifying = commands.add_parser("verify", help="compare all shards with their SHA-256")
    verifying.add_argument("source", metavar="SHARDS", help="folder of shards or its shards.jsonl; a path or a URL")
    lmdb_export.add_arguments(commands.add_parser("to-lmdb", help="write pairs into LMDB, as BasicSR reads it"))
    args = parser.parse_args()
    if args.command == "pack" and args.shard_size < 1:
        packing.error(f"argument --shard-size: expected 1 or more MB, got {args.shard_size}")
    return args


def main() -> int:
    """Runs one command, and returns the exit status."""
    args = parse_args()
    if args.command == "to-lmdb":
        return lmdb_export.run(args)
    if args.command == "pack":
        entries = pack(args.source, args.destination, args.shard_size, progress=True)
        print(f"{sum(entry.pairs for entry in entries)} pairs in {len(entries)} shards; {printable(args.destination)}")
    elif args.command == "unpack":
        records = unpack(args.source, args.destination, progress=True)
        print(f"{len(records)} pairs; {printable(args.destination)}")
    elif args.command == "merge":
        entries = merge(args.folder)
        print(f"{len(entries)} shards listed; {printable(args.folder)}")
    else:
        problems = verify(args.source, progress=True)
        for problem in problems:
            print(printable(problem))
        print(f"{len(problems)} of the shards are damaged; {printable(args.source)}")
        return EXIT_SKIPPED if problems else 0
    return 0


if __name__ == "__main__":
    run_script(main)
