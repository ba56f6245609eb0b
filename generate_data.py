"""Turn clean photos into realistic noisy/clean pairs, in RAW and in sRGB.

    python generate_data.py --input PHOTOS --output PAIRS --noise dnd --preview

The same command resumes a run that was stopped at any moment. The same photo and seed always make
the same pair. Under torchrun the processes share the photos. With --shards the pairs go into tar
files in WebDataset layout, which the tasks of a SLURM array share as well. Exit status: 0 all pairs
made, 1 some inputs were skipped, 2 it could not run.
"""

import argparse
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import recipe_from_arguments, run_script
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.precisions import PRECISIONS
from cycleisp.utils.processes.lifetimes import stop_when_orphaned

SWITCH = argparse.BooleanOptionalAction


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, argument_default=argparse.SUPPRESS
    )
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="YAML file with any of the options below")
    add("--input", nargs="+", metavar="PHOTO", help="photos, camera RAW files, or folders of them")
    add("--output", metavar="DIR", help="folder for the pairs")
    add("--space", choices=("raw", "srgb", "both"), help="which images to write (default: both)")
    noise = "dnd, sidd, upi_released, residual, variances as shot=0.01,read=0.0005, or a camera's noise file, as "
    add("--noise", help=f"{noise}camera.yaml or camera.yaml@3200 for one ISO setting (default: dnd)")
    add("--residual-source", metavar="DIR", help="folder of SIDD scenes or RAW frames to take real noise from")
    add("--residual-match", type=int, metavar="N", help="crops to choose noise from, by brightness (default: 8)")
    add("--weights", help="CycleISP to use: shipped name, file, or folder of released weights (default: compact_isp)")
    add("--clean-target", choices=("input", "cycle", "residual"), help="clean sRGB image of a pair (default: residual)")
    add("--blur", type=float, metavar="SIGMA", help="blur that removes the photo's own noise, in pixels (default: 1)")
    add("--seed", type=int, help="seed of all noise (default: 0)")
    add("--repeats", type=int, metavar="N", help="pairs to make of each photo, each with other noise (default: 1)")
    add("--limit", type=int, metavar="N", help="make at most N pairs (default: no limit)")
    add("--variance", action=SWITCH, help="store the noise variance of every pixel in RAW pairs (default: no)")
    add("--preview", action=SWITCH, help="write preview.png, a contact sheet of the first pairs (default: no)")
    add("--report", type=Path, metavar="FILE", help="page of HTML to write at the end: pictures, noise, skipped files")
    add("--shards", action=SWITCH, help="write tar files of many pairs, in WebDataset layout (default: no)")
    add("--shard-size", type=int, metavar="MB", help="size of a shard, about (default: 512)")
    add("--shard-range", metavar="FIRST:END", help="make these shards alone, as 100:200 (default: all; see the guide)")
    add(
        "--engine",
        choices=("local", "ray"),
        help="who makes the shards: this machine, or Ray's cluster (default: local)",
    )
    add("--address", metavar="HOST:PORT", help="cluster for --engine ray, or auto (default: one of this machine alone)")
    add("--device", choices=("auto", "cpu", "cuda", "mps"), help="device to compute on (default: auto)")
    add("--precision", choices=PRECISIONS, help="precision of the networks (default: auto; tf32 on CUDA, else float32)")
    add("--batch-size", type=int, metavar="N", help="process N photos of equal size at once (default: 1)")
    add("--workers", type=int, metavar="N", help="threads that read, and that write (default: one a core, at most 8)")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    report = vars(args).pop("report", None)
    recipe = recipe_from_arguments(GenerationRecipe, args)
    from cycleisp.tasks.generation import Process, generate_pairs  # here, since --help needs no PyTorch

    process = Process.from_environment()
    stop_when_orphaned()
    made = generate_pairs(recipe, process, report)
    status = made.summary.report("pairs made", made.folder)
    if recipe.preview and process.is_first and (sheet := made.write_preview()) is not None:
        print(f"contact sheet: {sheet}")
    return status


if __name__ == "__main__":
    run_script(main)
