"""Disturb shards that Ray makes, and compare them with those of an undisturbed run.

    python benchmarks/cluster_faults.py kills --kills 100
    python benchmarks/cluster_faults.py disks --count 20
    python benchmarks/cluster_faults.py damage --photos 3000 --damaged 1000
    python benchmarks/cluster_faults.py drivers --count 10

kills   kills (-9) tasks, networks in actors, raylets and drivers at random moments. Machines are
        played by raylets on this one, with fabricated GPUs whose networks compute on the CPU. A
        raylet that was killed is followed by a new one, and a driver by the same command.
disks   makes shards on a file system that is too small (a tmpfs, which only root may mount), gives
        it room, and gives the same command again; by Ray and by one process in turns.
damage  makes shards of photos of which many are damaged, by Ray and by one process.
drivers starts a second command on a folder that is being filled, which must be refused; by Ray and
        by one process in turns.

Photos and networks are small, so that kills meet starts, ends and disks more often than sums.
Tars, indices and the list of shards must be those of one process that nothing disturbs, and no
process may be left. Exit status 1 if not.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from benchmarks.cluster import recipe_for, same_shards, write_photos
from cycleisp.dataloaders.pairs.shards import planning
from cycleisp.dataloaders.pairs.shards.folder import MAKING
from cycleisp.networks.pretrained import build
from cycleisp.tasks.cluster import engine as ray_engine
from cycleisp.tasks.cluster.networks import FarNetworks
from cycleisp.tasks.generation import generate_pairs
from cycleisp.utils.boundary import run_script
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.weights.files import save_weights

MARK = "CYCLEISP_CLUSTER_FAULTS"  # an environment variable, by which all processes are known
SHARD = 60_000  # bytes that stand for a megabyte here
PHOTOS = 60
MANY_PHOTOS = 200  # so that a round with kills makes shards for some seconds
SIDES = 32, 48  # pixels of a photo
SMALL = {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4}
NETWORKS = {
    "rgb2raw": {**SMALL, "unshuffle": 2, "companded": True},
    "raw2rgb": SMALL,
    "color_correction": {**SMALL, "unshuffle": 2},
}
PATIENCE = 60  # seconds for processes to end
KINDS = {"task": b"ray::make_in_task", "networks": b"ray::Networks"}  # what Ray calls its processes
FORKS = multiprocessing.get_context("forkserver")  # a driver begins at once, since PyTorch is imported there


@dataclass
class Found:
    """What came of the rounds.

    Attributes:
        rounds: how many there were.
        bad: how many ended with other shards, or left a process.
        events: how often what was done or said.
    """

    rounds: int = 0
    bad: int = 0
    events: Counter[str] = field(default_factory=Counter)

    def add(self, is_good: bool) -> None:
        """Counts a round, and prints it."""
        self.rounds, self.bad = self.rounds + 1, self.bad + (not is_good)
        print(f"round {self.rounds}: {'same shards' if is_good else 'DIFFERENT'}; {dict(self.events)}", flush=True)


# ------------------------------------------------------------ drivers


def drive(recipe: str, log: str) -> None:
    """Makes shards as generate_data.py does. Networks of GPUs compute on the CPU."""
    start = FarNetworks.start

    def on_cpu(ray: Any, chosen: GenerationRecipe, *args: Any, **resources: float) -> FarNetworks:
        return start(ray, chosen.model_copy(update={"device": "cpu"}), *args, **resources)

    FarNetworks.start = on_cpu  # type: ignore[method-assign, assignment]
    ray_engine.ACTORS_PER_GPU = 1  # a start imports PyTorch, which takes most of the time of a round
    planning.MEGABYTE = SHARD
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)

    def main() -> int:
        summary = generate_pairs(GenerationRecipe.model_validate_json(recipe)).summary
        return summary.report("pairs made", Path(log))

    sys.argv = sys.argv[:1]
    run_script(main)


@contextlib.contextmanager
def driver(recipe: GenerationRecipe, log: Path) -> Iterator[Any]:
    """Starts a driver and yields its process, which does not outlive the block."""
    process = FORKS.Process(target=drive, args=(recipe.model_dump_json(exclude_unset=True), str(log)))
    process.start()
    try:
        yield process
    finally:
        process.terminate()  # where Ctrl-C has ended the block; a driver that has ended hears nothing of it
        process.join()


def finish(recipe: GenerationRecipe, log: Path, usual: tuple[int, ...] = (0,)) -> int:
    """Runs a driver to its end and returns its exit status. Raises UserError for an unusual one."""
    with driver(recipe, log) as process:
        process.join()
    if process.exitcode not in usual:
        raise unusual(process.exitcode, log)
    return int(process.exitcode)


def unusual(status: int, log: Path) -> UserError:
    """Returns the error of a driver that ended as none should, with its last words."""
    words = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
    return UserError(f"a driver ended with status {status}: {' '.join(words) or 'it said nothing'}")


def prepare(place: Path, photos: int) -> GenerationRecipe:
    """Writes photos and small networks, and returns the recipe of an undisturbed run in `whole`."""
    network = build("CycleISP", NETWORKS)
    save_weights(place / "small.safetensors", network, {"network": "CycleISP", "sizes": NETWORKS})
    written = write_photos(place / "photos", photos, *SIDES)
    return recipe_for(written, place / "whole", weights=str(place / "small.safetensors"))


@contextlib.contextmanager
def undisturbed(what: str, photos: int) -> Iterator[tuple[Path, GenerationRecipe]]:
    """Yields a temporary folder and the recipe of shards that were made in its folder `whole`."""
    with tempfile.TemporaryDirectory(prefix=f"{what}-") as name:
        place = Path(name)
        recipe = prepare(place, photos)
        finish(recipe, place / "whole.log")
        yield place, recipe


def processes(title: bytes) -> list[int]:
    """Returns the processes of this benchmark whose command line begins with a title."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (path / "cmdline").read_bytes().startswith(title) and _is_ours(path):
                found.append(int(path.name))
    return sorted(found)


def _is_ours(process: Path) -> bool:
    return f"{MARK}={os.environ[MARK]}".encode() in (process / "environ").read_bytes().split(b"\0")


def stayed(titles: tuple[bytes, ...]) -> list[int]:
    """Returns the processes with these titles that have not ended in time."""
    end = time.monotonic() + PATIENCE
    while (left := [number for title in titles for number in processes(title)]) and time.monotonic() < end:
        time.sleep(0.2)
    return left


# ------------------------------------------------------------ kills


@contextlib.contextmanager
def own_handler() -> Iterator[None]:
    """Keeps what SIGTERM does, since Ray puts a handler of its own in its place, which goes on."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


class Raylets:
    """A cluster on this machine: a head without cores, and raylets with a core and a GPU each."""

    def __init__(self, machines: int) -> None:
        ray_engine.import_ray()
        from ray.cluster_utils import Cluster

        with own_handler():
            self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self._machines = [self._add() for _ in range(machines)]
        self.address = self._cluster.address

    def _add(self) -> Any:
        with own_handler():
            return self._cluster.add_node(num_cpus=1, num_gpus=1)

    def kill_one(self, choice: random.Random) -> None:
        """Kills a raylet, and lets a new machine join."""
        machine = self._machines.pop(choice.randrange(len(self._machines)))
        machine.kill_raylet(check_alive=False)
        self._cluster.remove_node(machine, allow_graceful=False)
        self._machines.append(self._add())

    def end(self) -> None:
        """Ends all of them."""
        self._cluster.shutdown()


def kills(count: int, a_round: int, pause: float, seed: int) -> Found:
    """Kills so many processes in each round, after random pauses of so many seconds on average."""
    choice, found = random.Random(seed), Found()
    with undisturbed("kills", MANY_PHOTOS) as (place, whole):
        raylets = Raylets(2)
        try:
            while found.events["kills"] < count:
                output, log = place / f"round{found.rounds}", place / f"round{found.rounds}.log"
                far = {"engine": "ray", "address": raylets.address, "device": "cuda", "workers": 2}
                recipe = whole.model_copy(update={"output": str(output), **far})
                _one_round(recipe, log, raylets, min(a_round, count - found.events["kills"]), pause, choice, found)
                left = stayed(tuple(KINDS.values()))
                found.events["left"] += len(left)
                found.add(same_shards(output, place / "whole") and not left)
        finally:
            raylets.end()
    return found


def _one_round(
    recipe: GenerationRecipe, log: Path, raylets: Raylets, most: int, pause: float, choice: random.Random, found: Found
) -> None:
    """Runs the same command until it has made all shards, and kills something now and then."""
    killed, status = 0, None
    while status != 0:
        with driver(recipe, log) as process:
            while process.exitcode is None:
                process.join(choice.expovariate(1 / pause) if killed < most else None)
                kind = choice.choice((*KINDS, "raylet", "driver"))
                if process.exitcode is None and _kill(kind, raylets, process, choice):
                    killed += 1
                    found.events.update(("kills", kind))
        status = process.exitcode
        if status != 0:
            found.events[f"driver ended with {status}"] += 1
        if status not in (0, 1, -signal.SIGKILL) or found.events["driver ended with 1"] > found.events["kills"]:
            raise unusual(status, log)  # 1: a task was lost four times, which takes as many kills


def _kill(kind: str, raylets: Raylets, process: Any, choice: random.Random) -> bool:
    """Kills a process of a kind, and returns whether there was one."""
    if kind == "raylet":
        raylets.kill_one(choice)
    elif kind == "driver":
        process.kill()
        process.join()
    elif victims := processes(KINDS[kind]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(choice.choice(victims), signal.SIGKILL)
    else:
        return False
    return True


# ------------------------------------------------------------ disks


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """Mounts a file system of so many bytes on a folder."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def disks(count: int, engines: list[str], seed: int) -> Found:
    """Fills disks, gives them room, and lets the same command go on."""
    choice, found = random.Random(seed), Found()
    with undisturbed("disks", PHOTOS) as (place, whole):
        needed = sum(path.stat().st_size for path in (place / "whole").rglob("*") if path.is_file())
        for number in range(count):
            folder, engine = place / f"disk{number}", engines[number % len(engines)]
            with small_disk(folder, int(needed * (0.1 + 0.8 * choice.random()))):
                recipe = whole.model_copy(update={"output": str(folder / "out"), "engine": engine})
                log = place / f"disk{number}.log"
                status = finish(recipe, log, usual=(0, 2))
                found.events[f"{engine}: full, status {status}"] += 1
                is_whole = all((folder / "out" / f"{path.name.split('.')[0]}.tar").is_file()
                            for path in (folder / "out").glob("*.done.json"))  # fmt: skip
                subprocess.run(["mount", "-o", f"remount,size={8 * needed}", str(folder)], check=True)
                finish(recipe, log)
                left = stayed((b"ray::",))
                found.add(is_whole and same_shards(folder / "out", place / "whole") and not left)
    return found


# ------------------------------------------------------------ damage


def damage(count: int, damaged: int, seed: int) -> Found:
    """Makes shards of photos of which many are empty, no pictures, or cut off."""
    choice, found = random.Random(seed), Found()
    with tempfile.TemporaryDirectory(prefix="damage-") as name:
        place = Path(name)
        whole = prepare(place, count)
        for number in choice.sample(range(count), damaged):
            path = place / "photos" / f"{number:06d}.png"
            content = path.read_bytes()
            path.write_bytes((b"", choice.randbytes(len(content)), content[: len(content) // 2])[number % 3])
        for engine in ("local", "ray"):
            begun = time.monotonic()
            recipe = whole.model_copy(update={"output": str(place / engine), "engine": engine})
            finish(recipe, place / f"{engine}.log", usual=(1,))
            done = [json.loads(path.read_bytes()) for path in (place / engine).glob("*.done.json")]
            found.events[f"{engine}: left out"] += sum(len(one["skipped"]) for one in done)
            found.events[f"{engine}: pairs"] += sum(one["pairs"] for one in done)
            found.events[f"{engine}: seconds"] += round(time.monotonic() - begun)
        left = stayed((b"ray::",))
        is_good = found.events["ray: left out"] == damaged and found.events["ray: pairs"] == count - damaged
        found.add(is_good and same_shards(place / "ray", place / "local") and not left)
    return found


# ------------------------------------------------------------ drivers on one folder


def two_drivers(count: int, engines: list[str], seed: int) -> Found:
    """Starts a second driver in a folder that a first one is filling."""
    choice, found = random.Random(seed), Found()
    with undisturbed("drivers", PHOTOS) as (place, whole):
        for number in range(count):
            output, engine = place / f"both{number}", engines[number % len(engines)]
            recipe = whole.model_copy(update={"output": str(output), "engine": engine})
            log, second = place / f"first{number}.log", place / f"second{number}.log"
            with driver(recipe, log) as first:
                while first.exitcode is None and not (output / MAKING).exists():
                    time.sleep(0.01)
                time.sleep(choice.random() / 5)
                status = finish(recipe, second, usual=(0, 2))
                first.join()
            refused = status == 2 and "another run" in second.read_text()
            found.events[f"{engine}: second one {'refused' if refused else f'ended with {status}'}"] += 1
            left = stayed((b"ray::",))
            found.add(refused and first.exitcode == 0 and same_shards(output, place / "whole") and not left)
    return found


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="seed of victims and moments (default: 0)")
    commands = parser.add_subparsers(required=True, dest="command", metavar="kills|disks|damage|drivers")
    killing = commands.add_parser("kills", help="kill processes of Ray and of the driver")
    killing.add_argument("--kills", type=int, default=100, metavar="N", help="kills (default: 100)")
    killing.add_argument("--a-round", type=int, default=5, metavar="N", help="kills in one set of shards (default: 5)")
    killing.add_argument("--pause", type=float, default=3, metavar="S", help="seconds between kills (default: 3)")
    filling = commands.add_parser("disks", help="fill disks")
    filling.add_argument("--count", type=int, default=20, metavar="N", help="disks (default: 20)")
    driving = commands.add_parser("drivers", help="two drivers on one folder")
    driving.add_argument("--count", type=int, default=10, metavar="N", help="folders (default: 10)")
    for command in (filling, driving):
        command.add_argument("--engine", nargs="+", default=["local", "ray"], choices=("local", "ray"), help="(both)")
    damaging = commands.add_parser("damage", help="damage photos")
    damaging.add_argument("--photos", type=int, default=3000, metavar="N", help="photos (default: 3000)")
    damaging.add_argument("--damaged", type=int, default=1000, metavar="N", help="damaged ones (default: 1000)")
    return parser.parse_args()


def main() -> int:
    """Disturbs what the command line asks for, and returns 1 if that changed anything."""
    args = parse_args()
    os.environ[MARK] = os.urandom(8).hex()
    os.environ["OMP_NUM_THREADS"] = "1"
    FORKS.set_forkserver_preload(["benchmarks.cluster_faults", "ray"])
    if args.command == "kills":
        found = kills(args.kills, args.a_round, args.pause, args.seed)
    elif args.command == "disks":
        found = disks(args.count, args.engine, args.seed)
    elif args.command == "drivers":
        found = two_drivers(args.count, args.engine, args.seed)
    else:
        found = damage(args.photos, args.damaged, args.seed)
    print(f"{found.rounds - found.bad} of {found.rounds} rounds ended with the shards of an undisturbed run")
    return int(found.bad > 0)


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
