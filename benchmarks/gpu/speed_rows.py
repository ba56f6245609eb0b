"""Time the networks by benchmarks/speed.py until the time is over, what matters most first.

    python -m benchmarks.gpu.speed_rows --until $(($(date +%s) + 60)) --json results/gpu/speed.json

All precisions stand beside the plain forward in the same run. Rows that the file has are skipped.
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from benchmarks import speed
from cycleisp.utils.cli import run_script
from cycleisp.utils.devices import pick_device
from cycleisp.utils.errors import reason
from cycleisp.utils.output.files import write_bytes

FIRST = ("srgb_denoiser", "rgb2raw")  # the paper's, which earlier figures are of; the others follow
TRAINING_BATCH = 16


def rows(precisions: list[str], tiny: bool) -> Iterator[tuple[str, int, int, bool, str]]:
    """Yields (network, side, batch, whether training, precision), by worth; few if `tiny`."""
    names = [*FIRST, *sorted(name for name in speed.CASES if name.startswith("srgb") and name not in FIRST)]
    names += [name for name in speed.CASES if name not in names]
    if tiny:
        names = names[len(FIRST) : len(FIRST) + 1]  # a small one
    sides, patch, batch = ((16, 32), 16, 2) if tiny else ((256, 1024), 128, TRAINING_BATCH)
    for precision in precisions:
        yield from ((name, side, 1, False, precision) for name, side in itertools.product(names, sides))
        yield from ((name, patch, batch, True, precision) for name in names)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--until", type=float, required=True, help="no row begins after this time, in seconds since 1970"
    )
    parser.add_argument("--json", type=Path, required=True, help="file of the rows")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--tiny", action="store_true", help="tiny images, to rehearse")
    args = parser.parse_args()
    device = pick_device(args.device)
    stored = json.loads(args.json.read_bytes()) if args.json.is_file() else []
    there = {(row["network"], row["width"], row["batch"], row["training"], row["precision"]) for row in stored}
    options = argparse.Namespace(
        once=False, skip_plain=False, repeats=1 if args.tiny else 7, warm_up=1 if args.tiny else 2
    )
    failed = 0
    print("| " + " | ".join(speed.HEADINGS) + " |\n" + "|---" * len(speed.HEADINGS) + "|")
    for row in rows(["bf16", "tf32", "float32"] if device.type == "cuda" else ["float32"], args.tiny):
        name, side, batch, training, precision = row
        if row in there:
            continue
        if time.time() > args.until:
            print(f"the time is over before {row}")
            return 1
        try:
            measured = speed.measure(name, speed.Work(side, side, batch, training, precision, device), options)
        except Exception as error:  # one network that fails leaves the figures of the others
            print(f"{row} failed: {type(error).__name__}: {reason(error)}")
            failed += 1
            continue
        stored.append(asdict(measured))
        write_bytes(args.json, json.dumps(stored, indent=1).encode())
        print("| " + " | ".join(measured.cells) + " |")
    return 1 if failed else 0


if __name__ == "__main__":
    run_script(main)
