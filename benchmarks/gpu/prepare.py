"""Pack photos and real pairs into one file for benchmarks/gpu.sh.

    python -m benchmarks.gpu.prepare --photos PHOTOS --pairs SIDD CC15 --most-mib 40

The files travel as they are, in results/gpu/input.tar. Photos beyond --most-mib are left out,
evenly over the list.
"""

import argparse
import tarfile
from collections.abc import Sequence
from pathlib import Path

from cycleisp.dataloaders.pairs.folders import find_pairs
from cycleisp.dataloaders.sources import find_sources
from cycleisp.utils.cli import run_script
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import atomic_path

INPUT = Path("results/gpu/input.tar")


def choose(sizes: Sequence[int], most: int) -> list[int]:
    """Returns the numbers of as many files as fit, evenly over the list.

    Args:
        sizes: of the files, in bytes.
        most: bytes of all chosen files together.
    """
    for count in range(len(sizes), 0, -1):
        chosen = [number * len(sizes) // count for number in range(count)]
        if sum(sizes[number] for number in chosen) <= most:
            return chosen
    return []


def pack(photos: Sequence[str], pairs: Sequence[Path], most: int, target: Path) -> tuple[int, int]:
    """Writes the tar file; returns how many photos it holds, and how many there were.

    Args:
        photos: files and folders.
        pairs: folders of pairs, noisy/NAME and clean/NAME, which are packed whole.
        most: bytes of all files together.
        target: the file to write.

    Raises:
        UserError: a folder is missing or empty, or no photo fits beside the pairs.
    """
    files = {
        f"pairs/{folder.resolve().name}/{side}/{path.name}": path for folder in pairs for side, path in _of(folder)
    }
    rest = most - sum(path.stat().st_size for path in files.values())
    found = [source.path for source in find_sources(photos, raw=False)]
    chosen = [found[number] for number in choose([path.stat().st_size for path in found], rest)]
    if not chosen:
        raise UserError(f"--most-mib: no photo fits into {most >> 20} MiB beside the pairs; allow more")
    files |= {f"photos/{number:03}_{path.name}": path for number, path in enumerate(chosen)}
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as aside, tarfile.open(aside, "w") as archive:
        for name, path in files.items():
            archive.add(path, name)
    return len(chosen), len(found)


def _of(folder: Path) -> list[tuple[str, Path]]:
    """Returns the pictures of a folder of pairs, each with the side that it belongs to."""
    pairs = find_pairs(folder)
    return [("noisy", pair.noisy) for pair in pairs] + [("clean", pair.clean) for pair in pairs]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", nargs="+", required=True, metavar="PATH", help="clean photos, or folders of them")
    parser.add_argument("--pairs", nargs="*", default=[], type=Path, metavar="DIR", help="folders of real pairs")
    parser.add_argument("--most-mib", type=int, default=40, metavar="N", help="largest size in MiB (default: 40)")
    parser.add_argument("--output", type=Path, default=INPUT, metavar="TAR", help=f"file to write (default: {INPUT})")
    args = parser.parse_args()
    packed, found = pack(args.photos, args.pairs, args.most_mib << 20, args.output)
    print(f"{args.output}: {packed} of {found} photos, {args.output.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    run_script(main)
