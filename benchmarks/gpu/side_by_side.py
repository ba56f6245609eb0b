"""Train several denoisers on one GPU at the same time, each in a process of its own.

    python -m benchmarks.gpu.side_by_side --train srgb:configs/gpu/base_srgb.yaml \\
        raw:configs/gpu/base_raw.yaml:base_raw --photos PHOTOS --work DIR --until SECONDS

Small networks leave most of a large GPU idle: what sets their pace are the processes that make
batches and start kernels. So several trainings take hardly longer than one. Each line of output
begins with the name of its training.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import EXIT_STOPPED, run_script
from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.lifetimes import die_with_parent


@dataclass(frozen=True)
class Training:
    """One of the trainings, from a word SPACE:RECIPE[:START].

    Attributes:
        space: "srgb" or "raw".
        recipe: a YAML file.
        start: a denoiser to start from, by shipped name or file; empty for none.
    """

    space: str
    recipe: Path
    start: str

    @property
    def name(self) -> str:
        return self.recipe.stem

    @classmethod
    def from_word(cls, word: str) -> "Training":
        """Reads a word of the command line.

        Raises:
            UserError: it is none of the kind, or the recipe is not there.
        """
        space, _, rest = word.partition(":")
        recipe, _, start = rest.partition(":")
        if space not in ("srgb", "raw") or not recipe:
            raise UserError(f"--train {word}: expected SPACE:RECIPE or SPACE:RECIPE:START, where SPACE is srgb or raw")
        if not Path(recipe).is_file():
            raise UserError(f"--train {word}: {recipe} is not there; give the path of a recipe")
        return cls(space, Path(recipe), start)

    def command(self, args: argparse.Namespace) -> list[str]:
        """Returns the words of its command line after Python."""
        words = ["-m", "benchmarks.gpu.training", "--space", self.space, "--recipe", str(self.recipe)]
        words += ["--name", self.name, "--photos", *args.photos, "--work", str(args.work)]
        words += ["--until", str(args.until), "--device", args.device]
        words += ["--start", self.start] if self.start else []
        return words + (["--set", *args.set] if args.set else [])


def run_all(trainings: list[Training], args: argparse.Namespace) -> list[int]:
    """Runs the trainings side by side; returns their exit statuses.

    A request to stop is passed on, and each of them saves and ends.
    """
    # progress bars in a log: a line a quarter of a minute
    surroundings = {**os.environ, "TQDM_MININTERVAL": "15", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, *training.command(args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=surroundings,
            preexec_fn=partial(die_with_parent, os.getpid()),
        )
        for training in trainings
    ]
    threads = [
        threading.Thread(target=_echo, args=(training.name, process), daemon=True)
        for training, process in zip(trainings, processes, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        statuses = [process.wait() for process in processes]
    except KeyboardInterrupt:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        statuses = [process.wait() for process in processes]
    for thread in threads:
        thread.join(5)
    return statuses


def _echo(name: str, process: "subprocess.Popen[str]") -> None:
    """Prints what a process prints, each line behind a name."""
    for line in process.stdout or ():
        print(f"{name}: {line}", end="", flush=True)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that one training has in common with several."""
    add = parser.add_argument
    add("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values that replace those of a recipe")
    add("--photos", nargs="+", required=True, metavar="PATH")
    add("--work", type=Path, required=True, metavar="DIR", help="folder for the runs")
    add("--until", type=float, required=True, help="when to end, in seconds since 1970")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--train", nargs="+", required=True, metavar="SPACE:RECIPE[:START]", help="the trainings, by space and recipe"
    )
    add_run_options(parser)
    args = parser.parse_args()
    trainings = [Training.from_word(word) for word in args.train]
    names = [training.name for training in trainings]
    if len(set(names)) < len(names):
        raise UserError("--train: two recipes have the same name, and would write the same files; rename one")
    statuses = run_all(trainings, args)
    for name, status in zip(names, statuses, strict=True):
        print(f"{name}: status {status}")
    if all(status in (0, EXIT_STOPPED) for status in statuses):
        return EXIT_STOPPED if any(statuses) else 0
    return 1


if __name__ == "__main__":
    run_script(main)
