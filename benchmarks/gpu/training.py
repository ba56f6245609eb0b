"""Train a denoiser in the time at hand, so that its learning rate has fallen when the time is over.

    python -m benchmarks.gpu.training --space srgb --recipe configs/gpu/base_srgb.yaml \\
        --photos PHOTOS --work results/gpu/work --until $(($(date +%s) + 300))

A short pilot run measures the time of a step, how long the start takes, and which share of the time
passes without a kernel on the GPU. From that comes the number of steps of the run itself. A run
that was cut off goes on as it was planned.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from benchmarks.gpu.side_by_side import add_run_options
from benchmarks.gpu.step_clock import StepClock
from cycleisp.tasks.training import train_denoiser
from cycleisp.utils.cli import run_script, training_status
from cycleisp.utils.config import DenoiserRecipe, load_recipe
from cycleisp.utils.devices import pick_device
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.training.run_folder import CHECKPOINT, RECIPE

MARGIN = 0.93  # of the time, for steps; the rest is for slower ones and for the last validation
PILOT = {"cuda": (10, 60, 100), "cpu": (2, 4, 8)}  # steps: profiled from, to, and all
CHECKPOINT_SECONDS = 60.0


class PilotStoppedError(Exception):
    """The pilot run was stopped before its last step; the next call begins it again."""


def planned(recipe: DenoiserRecipe, seconds: float, start: float, step: float) -> DenoiserRecipe:
    """Returns the recipe with as many steps as fit, and its schedule fitted to them.

    Args:
        recipe: the experiment.
        seconds: the time at hand.
        start: seconds before the first step ends.
        step: seconds of a step.
    """
    steps = max(1, int(MARGIN * (seconds - start) / step))
    every = max(1, round(CHECKPOINT_SECONDS / step))
    warmup = min(recipe.train.warmup, steps // 20)
    changed = {"steps": steps, "warmup": warmup, "checkpoint_every": every, "validate_every": steps}
    train = recipe.train.model_copy(update={**changed, "schedule": "cosine"})
    return recipe.model_copy(update={"train": train})


def pilot(recipe: DenoiserRecipe, args: argparse.Namespace) -> dict[str, float | None]:
    """Trains for some steps; returns the seconds of start and step, and the share.

    Raises:
        PilotStoppedError: it was stopped before its last step, by a signal.
    """
    device = pick_device(args.device)
    first, last, steps = PILOT["cuda" if device.type == "cuda" else "cpu"]
    train = recipe.train.model_copy(update={"steps": steps, "validate_every": steps, "checkpoint_every": steps})
    data = recipe.data.model_copy(update={"validation_patches": 1})
    short = recipe.model_copy(update={"train": train, "data": data})
    folder = args.work / f"pilot_{args.name}"
    shutil.rmtree(folder, ignore_errors=True)  # of a call that was cut off: its steps say nothing of the start
    began = time.perf_counter()
    with StepClock(first, last, device) as clock:
        finished = train_denoiser(short, folder, args.space, photos=args.photos, start=args.start, device=args.device)
    if not finished:
        raise PilotStoppedError
    measured = {"start_seconds": clock.ends[0] - began, "step_seconds": clock.step_seconds}
    return {**measured, "share_without_kernel": clock.share}


def report(measured: dict[str, float | None], steps: int) -> str:
    """Returns the pilot's figures and the plan, in words."""
    share = measured["share_without_kernel"]
    busy = "no CUDA GPU, so no kernels to look at" if share is None else f"{100 * share:.1f} % of it without a kernel"
    times = f"start {measured['start_seconds']:.1f} s, step {1e3 * (measured['step_seconds'] or 0):.1f} ms"
    return f"{times}, {busy}; {steps} steps"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", choices=("srgb", "raw"), required=True)
    parser.add_argument("--recipe", type=Path, required=True, metavar="FILE")
    parser.add_argument("--name", help="of the run and of its files (default: that of the recipe's file)")
    parser.add_argument("--start", metavar="WEIGHTS", help="a denoiser to start from, of these sizes or fewer blocks")
    add_run_options(parser)
    args = parser.parse_args()
    args.name = args.name or args.recipe.stem
    folder = args.work / args.name
    if (folder / CHECKPOINT).is_file():
        recipe = load_recipe(DenoiserRecipe, folder / RECIPE)
        print(f"goes on, as planned before: {recipe.train.steps} steps")
    else:
        recipe = load_recipe(DenoiserRecipe, args.recipe, args.set)
        plan = args.work / f"{args.name}.json"
        try:
            measured = json.loads(plan.read_bytes()) if plan.is_file() else pilot(recipe, args)
        except PilotStoppedError:
            print(f"{args.name}: stopped in the pilot run, which the next call begins again")
            return training_status(finished=False)
        recipe = planned(recipe, args.until - time.time(), measured["start_seconds"], measured["step_seconds"])
        (folder / RECIPE).unlink(missing_ok=True)  # of a run that was cut off before its first checkpoint
        write_bytes(plan, json.dumps({**measured, "steps": recipe.train.steps}, indent=1).encode())
        print(f"{args.name}: {report(measured, recipe.train.steps)}")
    left = max(1.0, args.until - time.time())
    finished = train_denoiser(
        recipe,
        folder,
        args.space,
        photos=args.photos,
        start=args.start,
        device=args.device,
        stop_after=left / 60,
    )
    return training_status(finished)


if __name__ == "__main__":
    run_script(main)
