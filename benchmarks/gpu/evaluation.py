"""Compare denoisers on real pairs, in float32 and on CUDA in bf16 too, by benchmarks/real_noise.py.

python -m benchmarks.gpu.evaluation --pairs FOLDER... --weights FILE... --work DIR --table FILE
"""

import argparse
import subprocess
import sys
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import run_script
from cycleisp.utils.devices import pick_device
from cycleisp.utils.output.files import write_bytes

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="+", type=Path, required=True, metavar="FOLDER")
    there = "sRGB denoisers, RUN/weights.safetensors; files that are not there are left out"
    parser.add_argument("--weights", nargs="*", type=Path, default=[], help=there)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="folder for pictures")
    parser.add_argument("--table", type=Path, required=True, metavar="FILE", help="Markdown file to write")
    parser.add_argument("--crop", type=int, help="only the middle of each picture")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    args = parser.parse_args()
    denoisers = ["compact_srgb", *(f"{path.parent.name}={path}" for path in args.weights if path.is_file())]
    tables, failed = [], 0
    for precision in ["float32", "bf16"] if pick_device(args.device).type == "cuda" else ["float32"]:
        output = args.work / f"evaluation_{precision}"
        command = [sys.executable, str(ROOT / "benchmarks" / "real_noise.py"), "--data", *map(str, args.pairs)]
        command += ["--denoisers", *denoisers, "--skip-nlm", "--precision", precision, "--device", args.device]
        command += ["--output", str(output)] + (["--crop", str(args.crop)] if args.crop else [])
        failed += subprocess.run(command, cwd=ROOT).returncode != 0
        if (output / "table.md").is_file():
            tables.append(f"{precision}\n\n{(output / 'table.md').read_text()}")
            write_bytes(args.table, "\n".join(tables).encode())
    return 1 if failed else 0


if __name__ == "__main__":
    run_script(main)
