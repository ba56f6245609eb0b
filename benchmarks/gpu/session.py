"""Run the steps of benchmarks/gpu.sh in their order, each within its time; keep what they find.

    python -m benchmarks.gpu.session --minutes 9
    python -m benchmarks.gpu.session --minutes 1 --device cpu --tiny        # a rehearsal

A step that fails or is cut off leaves the others alone. The same line, given again, skips the steps
that are done and goes on with the others. What is found lies in --output, in a few small files:
steps.json and log.txt, speed.json, the weights and the plan of each training, and evaluation.md.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.gpu.side_by_side import Training
from cycleisp.utils.cli import run_script
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.processes.lifetimes import die_with_parent
from cycleisp.utils.weights.conversion import halve

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 15 << 20  # bytes of a weight file that is kept in float32; larger ones are halved
COPY_SECONDS = 5.0  # between looks at what a step has written
GRACE = 12.0  # seconds in which a step may end by itself, once it is told to
TRAININGS = [
    f"{space}:{ROOT / 'configs' / 'gpu' / recipe}.yaml:{start}"
    for space, recipe, start in (
        ("srgb", "base_srgb", "base_srgb"),
        ("srgb", "fast_srgb", "fast_srgb"),
        ("raw", "base_raw", "base_raw"),
        ("raw", "fast_raw", ""),
    )
]
LEAST = 20.0  # seconds for which no step is begun


@dataclass(frozen=True)
class Step:
    """One step of the session.

    Attributes:
        name: of the step.
        seconds: its time limit; 0 for a step that takes what the others leave.
        command: the words of its command line after Python, given its time in seconds.
        kept: files that it writes, and the names under which they are kept.
    """

    name: str
    command: Callable[[float], list[str]]
    seconds: float = 0.0
    kept: tuple[tuple[Path, str], ...] = ()


def _end(seconds: float) -> str:
    """Returns when a step that begins now is to end by itself, in seconds since 1970.

    The time is absolute, so that the time to load its code counts.
    """
    return f"{time.time() + seconds - GRACE:.0f}"


def steps(args: argparse.Namespace) -> list[Step]:
    """Returns the steps by worth."""
    data, work, device = args.output / "input", args.output / "work", ["--device", args.device]
    tests = ["-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", "-p", "benchmarks.gpu.first_failure"]
    tests += ["-n", "4"] if args.device != "cpu" else ["-k", "gradients and float32"]
    speed = ["-m", "benchmarks.gpu.speed_rows", "--json", str(args.output / "speed.json"), *device]
    trainings = [Training.from_word(word) for word in args.train]
    training = ["-m", "benchmarks.gpu.side_by_side", "--photos", str(data / "photos"), "--work", str(work), *device]
    # tiny networks cannot start from weights of other sizes
    words = [f"{each.space}:{each.recipe}" for each in trainings] if args.tiny else args.train
    training += ["--train", *words, *(["--set", *TINY] if args.tiny else [])]
    srgb = [work / each.name / "weights.safetensors" for each in trainings if each.space == "srgb"]
    pairs = sorted(str(folder) for folder in (data / "pairs").glob("*"))
    evaluation = ["-m", "benchmarks.gpu.evaluation", "--pairs", *pairs, "--work", str(work), *device]
    evaluation += ["--weights", *map(str, srgb)]
    evaluation += ["--table", str(args.output / "evaluation.md"), *(["--crop", "32"] if args.tiny else [])]
    kept = [
        pair
        for each in trainings
        for pair in (
            (work / each.name / "weights.safetensors", f"{each.name}.safetensors"),
            (work / f"{each.name}.json", f"{each.name}.json"),
        )
    ]
    return [
        Step("tests", lambda _: [*tests, "tests/networks/fast/test_cuda.py"], seconds=90),
        Step(
            "speed",
            lambda seconds: [*speed, "--until", _end(seconds), *["--tiny"] * args.tiny],
            seconds=75,
        ),
        Step("training", lambda seconds: [*training, "--until", _end(seconds)], kept=tuple(kept)),
        Step("evaluation", lambda _: evaluation, seconds=45),
    ]


TINY = [
    "network.gated.width=8",
    "network.gated.encoder=[1,1]",
    "network.gated.decoder=[1]",
    "data.patch_size=32",
    "data.validation_size=32",
    "data.validation_patches=1",
    "train.batch_size=2",
    "train.workers=0",
    "train.precision=auto",
]


def limit(step: Step, later: Sequence[Step], left: float) -> float:
    """Returns how many seconds a step may take.

    Args:
        step: the step.
        later: the steps that are still to come after it.
        left: seconds until the end of the session.
    """
    if step.seconds:
        return min(step.seconds, left)
    return max(0.0, left - sum(other.seconds for other in later))


class Session:
    """What is done, and what is kept of it.

    Args:
        output: the folder of the results.
        mirror: a further folder, to which the results are copied as they come; None for none.
    """

    def __init__(self, output: Path, mirror: Path | None) -> None:
        self.output, self.mirror = output, mirror
        self._file = output / "steps.json"
        output.mkdir(parents=True, exist_ok=True)
        self.done: dict[str, dict[str, object]] = json.loads(self._file.read_bytes()) if self._file.is_file() else {}

    def is_done(self, step: Step) -> bool:
        return self.done.get(step.name, {}).get("state") == "done"

    def run(self, step: Step, seconds: float) -> str:
        """Runs a step within its time; returns `done`, `failed` or `cut off`."""
        began = time.monotonic()
        self._note(step, {"state": "begun"})
        process = subprocess.Popen(
            [sys.executable, *step.command(seconds)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid()),  # else its run folder would stay claimed
        )
        with _ended_after(process, seconds) as over, (self.output / "log.txt").open("a", encoding="utf-8") as log:
            looked = began
            for line in process.stdout or ():
                print(line, end="", flush=True)
                log.write(line)
                log.flush()
                if time.monotonic() - looked > COPY_SECONDS:
                    self.keep(step)
                    looked = time.monotonic()
            status = process.wait()
        state = "done" if status == 0 else "cut off" if over.is_set() or status == 3 else "failed"
        self._note(step, {"state": state, "status": status, "seconds": round(time.monotonic() - began, 1)})
        self.keep(step)
        return state

    def keep(self, step: Step) -> None:
        """Copies what a step has written to the results, and all results to the mirror."""
        for source, name in step.kept:
            with contextlib.suppress(OSError):
                _copy(source, self.output / name)
        if self.mirror is not None:
            self.mirror.mkdir(parents=True, exist_ok=True)
            for path in self.output.iterdir():
                if path.is_file() and path.suffix in (".json", ".md", ".safetensors", ".txt"):
                    with contextlib.suppress(OSError):
                        _copy(path, self.mirror / path.name)

    def _note(self, step: Step, state: dict[str, object]) -> None:
        self.done[step.name] = state
        write_bytes(self._file, json.dumps(self.done, indent=1).encode())


def _copy(source: Path, target: Path) -> None:
    """Copies a file that is newer than its copy; large weights are stored in float16."""
    if not source.is_file() or (target.is_file() and target.stat().st_mtime >= source.stat().st_mtime):
        return
    aside = target.with_name(f".{target.name}")
    aside.unlink(missing_ok=True)
    if source.suffix == ".safetensors" and source.stat().st_size > LARGEST:
        halve(source, aside)
    else:
        shutil.copyfile(source, aside)
    aside.replace(target)


@contextlib.contextmanager
def _ended_after(process: "subprocess.Popen[str]", seconds: float) -> Iterator[threading.Event]:
    """Asks a process to end when its time is over, and kills it and its children if it does not."""
    over = threading.Event()

    def end(number: int) -> None:
        over.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    def ask() -> None:
        over.set()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)

    timers = [threading.Timer(max(1.0, seconds - GRACE), ask), threading.Timer(seconds, end, [signal.SIGKILL])]
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield over
    finally:
        for timer in timers:
            timer.cancel()
        if process.poll() is None:
            end(signal.SIGKILL)


def unpack(output: Path) -> None:
    """Unpacks the input, once.

    Raises:
        UserError: there is none.
    """
    packed, folder = output / "input.tar", output / "input"
    if folder.is_dir():
        return
    if not packed.is_file():
        raise UserError(f"{packed}: no such file; pack the photos first (python -m benchmarks.gpu.prepare --help)")
    aside = output / ".input"
    shutil.rmtree(aside, ignore_errors=True)
    with tarfile.open(packed) as archive:
        archive.extractall(aside, filter="data")
    aside.rename(folder)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    names = ("tests", "speed", "training", "evaluation")
    add("--minutes", type=float, default=9.0, help="time for all steps (default: 9)")
    add("--steps", nargs="+", choices=names, default=list(names), help="only these steps (default: all)")
    add(
        "--train",
        nargs="+",
        default=TRAININGS,
        metavar="SPACE:RECIPE[:START]",
        help="what to train, all at the same time (default: the four recipes of configs/gpu)",
    )
    add("--output", type=Path, default=Path("results/gpu"), metavar="DIR", help="default: results/gpu")
    mirror = os.environ.get("OUT")
    add(
        "--mirror",
        type=Path,
        default=Path(mirror) if mirror else None,
        metavar="DIR",
        help="also copy the results to this folder as they come (default: the environment variable OUT)",
    )
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--tiny", action="store_true", help="tiny networks and pictures, to rehearse")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    ends = time.monotonic() + 60 * args.minutes
    args.output = args.output.resolve()
    session = Session(args.output, args.mirror)
    unpack(args.output)
    coming = [step for step in steps(args) if step.name in args.steps and not session.is_done(step)]
    for number, step in enumerate(coming):
        seconds = limit(step, coming[number + 1 :], ends - time.monotonic())
        if seconds < LEAST:
            print(f"== {step.name}: {seconds:.0f} s are too few, left out", flush=True)
            continue
        print(f"== {step.name}: at most {seconds:.0f} s", flush=True)
        print(f"== {step.name}: {session.run(step, seconds)}", flush=True)
    for name, state in session.done.items():
        print(f"{name}: {state}")
    return 0 if all(session.is_done(step) for step in steps(args) if step.name in args.steps) else 1


if __name__ == "__main__":
    run_script(main, after_stop="what is done is kept, and the same command goes on")
