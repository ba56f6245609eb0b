"""Kill processes of a training on several machines, and compare how it ends.

    python benchmarks/elastic_training.py --rounds 20
    python benchmarks/elastic_training.py --rounds 3 --torchrun

Two machines are played by two agents of torchrun on this one, with two processes each and a loader
process for each of these. They train a small denoiser on shards, on the CPU, with gloo. In each
round a process of one kind is killed (kill -9) at a random time: one that trains (`worker`), an
agent, or one that loads (`loader`). An agent that ends is started again, as the loop of the guide
does. At the end the checkpoint is compared with that of a run without kills: weights, moving
average, optimizer and random state, bit by bit. No process may be left.

PyTorch is imported once, and agents and workers are forked from this process, which saves most of
the time of a round. With --torchrun they are started by the command that a user types.
"""

import argparse
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.distributed.launcher.api as launcher
import torch.utils.tensorboard  # here, since each worker would import it in every round
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import train_denoiser
from benchmarks.arguments import BEGINS_AGAIN
from cycleisp.tasks import training  # noqa: F401  # for the workers, too
from cycleisp.tasks.generation import generate_pairs
from cycleisp.utils.boundary import run_script
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("worker", "agent", "loader")
MACHINES = 2
MARK = "CYCLEISP_ELASTIC_ROUND"  # an environment variable, by which the processes of a round are known
LONGEST = 900  # seconds for one round
JOIN_SECONDS = 20  # that an agent waits for the others, before it ends and is started again
# Seconds that an agent whose processes have finished waits for the others. In torchrun it is 300,
# which cannot be changed. It counts where a process is killed between its last step and its exit.
EXIT_SECONDS = 5
PAUSE = 0.5  # seconds before an agent that has ended is started again
Start = Callable[[int], int]  # starts the agent of a machine, and returns its process


@dataclass(frozen=True)
class Round:
    """What came of one round.

    Attributes:
        kind: of the process that was killed.
        killed_after: seconds after the start; None if the training had ended before.
        starts: how many agents were started.
        seconds: how long the round took.
        same: whether the checkpoint is that of the run without kills.
        left: processes that stayed.
    """

    kind: str
    killed_after: float | None
    starts: int
    seconds: float
    same: bool
    left: list[int]


def fabricate(folder: Path) -> Path:
    """Makes six pairs of small random photos, in shards, and returns their folder."""
    (folder / "photos").mkdir(parents=True)
    for number in range(6):
        picture = np.random.default_rng(number).integers(0, 256, (48, 56, 3), dtype=np.uint8)
        (folder / "photos" / f"{number}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    places = {"input": [str(folder / "photos")], "output": str(folder / "shards"), "space": "srgb"}
    generate_pairs(GenerationRecipe.model_validate({**places, "shards": True, "device": "cpu", "workers": 1}))
    return folder / "shards"


def options_of(shards: Path, run_dir: Path, steps: int) -> list[str]:
    """Returns the command line of the training, without the script."""
    changes = [f"train.steps={steps}", "train.batch_size=4", "train.workers=1", "train.log_every=2"]
    changes += ["train.checkpoint_every=4", f"train.validate_every={steps}", "data.holdout_share=0"]
    config = str(ROOT / "configs" / "denoiser_smoke.yaml")
    places = ["--pairs", str(shards), "--run-dir", str(run_dir)]
    return ["--space", "srgb", "--config", config, "--device", "cpu", *places, "--set", *changes]


# ------------------------------------------------------------ agents


def forked_agents(options: list[str], processes: int, port: int, log: Path) -> Start:
    """Returns what forks an agent of torchrun from this process; its workers are forks as well."""

    def start(machine: int) -> int:
        if (child := os.fork()) > 0:
            return child
        status = 1
        try:
            os.setsid()
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            _be_agent(options, processes, port)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    return start


def _be_agent(options: list[str], processes: int, port: int) -> None:
    torch.set_num_threads(1)  # the threads of the process that was forked are not here
    launcher.LocalElasticAgent = partial(launcher.LocalElasticAgent, exit_barrier_timeout=EXIT_SECONDS)
    config = launcher.LaunchConfig(
        min_nodes=MACHINES,
        max_nodes=MACHINES,
        nproc_per_node=processes,
        run_id="elastic",
        rdzv_backend="c10d",
        rdzv_endpoint=f"127.0.0.1:{port}",
        rdzv_configs={"join_timeout": JOIN_SECONDS},
        max_restarts=10,
        start_method="fork",
        local_addr="127.0.0.1",
        logs_specs=DefaultLogsSpecs(),
    )
    launcher.elastic_launch(config, _be_worker)(options)


def _be_worker(options: list[str]) -> None:
    sys.argv = ["train_denoiser.py", *options]
    try:
        run_script(train_denoiser.main)
    except SystemExit as ended:
        if ended.code:
            raise


def torchrun_agents(options: list[str], processes: int, port: int, log: Path) -> Start:
    """Returns what starts torchrun as a user does."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(MACHINES)]
    torchrun += ["--nproc-per-node", str(processes), "--max-restarts", "10", "--rdzv-backend", "c10d"]
    torchrun += ["--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "elastic", "--local-addr", "127.0.0.1"]
    torchrun += ["--rdzv-conf", f"join_timeout={JOIN_SECONDS}"]
    command = [*torchrun, str(ROOT / "train_denoiser.py"), *options]

    def start(machine: int) -> int:
        with log.open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, start_new_session=True).pid

    return start


# ------------------------------------------------------------ a round


@contextlib.contextmanager
def _marked(word: str) -> Iterator[None]:
    """Sets the environment of all processes that are started in the block."""
    ours = {MARK: word, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}  # as the guide says
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def train(start: Start, kill: Callable[[list[int], float], None]) -> int:
    """Lets agents train to the end, and starts those again that end too early.

    Args:
        start: starts the agent of a machine.
        kill: is called every few milliseconds with the agents and the seconds since the beginning.

    Returns:
        How many agents were started.

    Raises:
        UserError: the training has not ended in time.
    """
    begun, starts = time.monotonic(), 0
    agents: dict[int, int | None] = dict.fromkeys(range(MACHINES))
    again = dict.fromkeys(agents, 0.0)  # when to start it
    done: set[int] = set()
    while len(done) < MACHINES:
        now = time.monotonic() - begun
        if now > LONGEST:
            for agent in filter(None, agents.values()):
                os.kill(agent, signal.SIGTERM)
            raise UserError(f"the training has not ended after {LONGEST} s; its output tells why")
        for machine, agent in agents.items():
            if agent is None and machine not in done and now >= again[machine]:
                agents[machine], starts = start(machine), starts + 1
            elif agent is not None and (ended := os.waitpid(agent, os.WNOHANG))[0]:
                agents[machine], again[machine] = None, now + PAUSE
                if os.waitstatus_to_exitcode(ended[1]) == 0:
                    done.add(machine)
                else:  # a machine that was done has to join again, for an end that all of them see
                    done.clear()
        kill([agent for agent in agents.values() if agent is not None], now)
        time.sleep(0.01)
    return starts


def children(parent: int) -> list[int]:
    """Returns the processes that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return sorted(found)


def victims(agents: list[int], kind: str) -> list[int]:
    """Returns the processes of a kind."""
    if kind == "agent":
        return agents
    workers = [worker for agent in agents for worker in children(agent) if _is_like(worker, b"train_denoiser", agent)]
    if kind == "worker":
        return workers
    return [child for worker in workers for child in children(worker) if _command(child) == _command(worker)]


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def _is_like(process: int, script: bytes, agent: int) -> bool:
    """Tells whether a child of an agent trains: a fork of it, or an interpreter with the script."""
    command = _command(process)
    return bool(command) and (command == _command(agent) or script in command)


def left_over(word: str, patience: float = 20) -> list[int]:
    """Returns the processes of a round that are still there after a while."""
    end = time.monotonic() + patience
    while True:
        left = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if f"{MARK}={word}".encode() in path.read_bytes().split(b"\0"):
                    left.append(int(path.parent.name))
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def differences(first: Path, second: Path) -> list[str]:
    """Returns what differs between the checkpoints of two runs."""
    ours, theirs = (_flat(torch.load(run / "checkpoint.ckpt", weights_only=True)) for run in (first, second))
    compared = (ours.keys() | theirs.keys()) - {"/version", "/recipe"}
    return sorted(key for key in compared if not _equal(ours, theirs, key))


def _flat(nested: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(nested, dict):
        return {prefix: nested}
    return {name: value for key, inner in nested.items() for name, value in _flat(inner, f"{prefix}/{key}").items()}


def _equal(ours: dict[str, object], theirs: dict[str, object], key: str) -> bool:
    one, other = ours.get(key), theirs.get(key)
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and one == other


class Rounds:
    """Rounds of one training.

    Args:
        folder: an empty folder.
        steps: of the training.
        processes: of each machine.
        torchrun: whether agents are started by their command.

    Attributes:
        folder: the folder.
        seconds: from the start of a run without kills to its last checkpoint. A kill after that
            would meet processes on their way out. A fork then may take a lock with it for which
            the other one waits for ever, as processes of torchrun do not.
    """

    def __init__(self, folder: Path, steps: int, processes: int = 2, torchrun: bool = False) -> None:
        self.folder, self._steps, self._processes = folder, steps, processes
        self._agents = torchrun_agents if torchrun else forked_agents
        self._shards = fabricate(folder)
        self._number = 0
        begun = time.time()
        train(self._start_in(folder / "whole"), lambda agents, now: None)
        self.seconds = (folder / "whole" / "checkpoint.ckpt").stat().st_mtime - begun

    def _start_in(self, run_dir: Path) -> Start:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        start = self._agents(
            options_of(self._shards, run_dir, self._steps), self._processes, port, self.folder / f"{run_dir.name}.log"
        )

        def marked(machine: int) -> int:
            with _marked(run_dir.name):
                return start(machine)

        return marked

    def run(self, kind: str, is_time: Callable[[Path, float], bool], choice: random.Random) -> Round:
        """Kills a process of a kind, and lets the training end.

        Args:
            kind: one of KINDS.
            is_time: tells whether to kill now, from the run folder and the seconds since the start.
            choice: chooses the process.
        """
        self._number += 1
        run_dir = self.folder / f"round{self._number}"
        killed_after: float | None = None

        def kill(agents: list[int], now: float) -> None:
            nonlocal killed_after
            if killed_after is None and is_time(run_dir, now) and (found := victims(agents, kind)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(choice.choice(found), signal.SIGKILL)
                    killed_after = now

        begun = time.monotonic()
        starts = train(self._start_in(run_dir), kill)
        seconds = time.monotonic() - begun
        differing = differences(run_dir, self.folder / "whole")
        return Round(kind, killed_after, starts, seconds, not differing, left_over(run_dir.name))


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="rounds, one kill each (default: 20)")
    parser.add_argument("--steps", type=int, default=24, metavar="N", help="steps of a training (default: 24)")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="processes a machine (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of victims and times (default: 0)")
    parser.add_argument("--torchrun", action="store_true", help="start agents by their command (default: fork them)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="new folder to keep (default: a temporary one)")
    return parser.parse_args()


def main() -> int:
    """Prints a line for each round, and returns 1 if one ended differently or left a process."""
    args = parse_args()
    torch.set_num_threads(1)
    choice = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="elastic-") as temporary:
        rounds = Rounds(args.folder or Path(temporary), args.steps, args.processes, args.torchrun)
        print(f"without kills: {rounds.seconds:.1f} s, {args.steps} steps", flush=True)
        bad = 0
        for number in range(args.rounds):
            kind = KINDS[number % len(KINDS)]
            after = rounds.seconds * choice.random()
            one = rounds.run(kind, lambda _, now, after=after: now >= after, choice)  # type: ignore[misc]
            bad += not one.same or bool(one.left)
            said = "bit-equal" if one.same else "DIFFERENT WEIGHTS"
            said += f", left: {one.left}" if one.left else ""
            what = "ended before" if one.killed_after is None else f"{kind} killed after {one.killed_after:.1f} s"
            print(f"{number + 1}: {what}; {one.starts} agents started, {one.seconds:.1f} s: {said}", flush=True)
    print(f"{args.rounds - bad} of {args.rounds} rounds ended as the run without kills, with no process left")
    return int(bad > 0)


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
