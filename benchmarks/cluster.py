"""Measure shards made by Ray: against one process, over more machines, and in memory.

    python benchmarks/cluster.py engines --photos PHOTOS --cores 2
    python benchmarks/cluster.py machines --machines 1 4
    python benchmarks/cluster.py memory --count 2000

engines   makes the same pairs by generate_data.py in one process and by --engine ray on as many
          cores, in turns, each started as a user starts it. A second run in the same folder, which
          finds everything finished, tells what start and end take. The shards are compared.
machines  plays machines by raylets on this one. Each has a core and a fabricated GPU, whose
          networks are replaced by a sleep, so that what is measured is how well tasks feed them.
memory    makes many pairs of small photos, in one process and by Ray, and compares the memory
          after 200 pairs with the largest after them.
"""

import argparse
import filecmp
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from cycleisp.dataloaders.pairs.computing import ComputedPair
from cycleisp.dataloaders.pairs.shards import planning
from cycleisp.dataloaders.pairs.store import PairFiles
from cycleisp.tasks import shards
from cycleisp.tasks.cluster import engine as ray_engine
from cycleisp.tasks.cluster import networks as ray_networks
from cycleisp.tasks.generation import generate_pairs
from cycleisp.utils.cli import run_script
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
SETTLED = 200  # pairs after which memory is taken as the usual one
SMALL_SHARD = 400_000  # bytes that stand for a megabyte here, so that small photos fill several shards


def write_photos(folder: Path, count: int, height: int = 64, width: int = 96) -> Path:
    """Writes random photos, and returns their folder."""
    folder.mkdir(parents=True)
    for number in range(count):
        picture = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        (folder / f"{number:06d}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return folder


def recipe_for(photos: Path, output: Path, **more: object) -> GenerationRecipe:
    """Returns the recipe of small shards."""
    places = {"input": [str(photos)], "output": str(output)}
    return GenerationRecipe.model_validate({**places, "shards": True, "shard_size": 1, "device": "cpu", **more})


# ------------------------------------------------------------ engines


def compare_engines(photos: list[str], cores: int, repeats: int, turns: int, shard_size: int) -> dict[str, Any]:
    """Times both engines in turns. Returns medians in seconds, and whether shards are the same."""
    taken: dict[str, list[float]] = {"local": [], "local, finished": [], "ray": [], "ray, finished": []}
    same = True
    with tempfile.TemporaryDirectory(prefix="engines-") as place:
        for turn in range(turns):
            for engine in ("local", "ray"):
                output = Path(place) / f"{engine}{turn}"
                options = ["--input", *photos, "--output", str(output), "--shards", "--shard-size", str(shard_size)]
                options += ["--repeats", str(repeats), "--device", "cpu"]
                options += [] if engine == "local" else ["--engine", "ray"]
                for name in (engine, f"{engine}, finished"):
                    taken[name].append(_seconds([sys.executable, str(ROOT / "generate_data.py"), *options], cores))
                same &= same_shards(output, Path(place) / "local0")
    return {**{name: statistics.median(values) for name, values in taken.items()}, "same": same, "all": taken}


def _seconds(command: list[str], cores: int) -> float:
    """Returns how long a command takes on so many cores."""
    usable = ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[-cores:])
    begun = time.monotonic()
    subprocess.run(["taskset", "-c", usable, *command], check=True, capture_output=True, cwd=ROOT)
    return time.monotonic() - begun


def same_shards(one: Path, other: Path) -> bool:
    """Tells whether two folders have the same tars, indices and list, byte for byte."""
    ours, theirs = (
        sorted(path.name for kind in ("*.tar", "*.index.json", "shards.jsonl") for path in folder.glob(kind))
        for folder in (one, other)
    )
    return bool(ours) and ours == theirs == filecmp.cmpfiles(one, other, ours, shallow=False)[0]


# ------------------------------------------------------------ machines


class SleepingNetworks(ray_networks.Networks):
    """Networks that take their time, and return the photo as its own pair."""

    def facts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns settings as of a PairMaker."""
        return {"seed": 0, "weights_sha256": "none"}, {"version": "none"}

    def compute(
        self, photos: Sequence[NDArray], seeds: Sequence[int], known: Sequence[NDArray[np.float32]]
    ) -> list[ComputedPair]:
        """Sleeps for each photo."""
        time.sleep(float(self._recipe.weights) * len(photos))
        return [ComputedPair(PairFiles(None, None, None, photo, photo), 0.01, 0.0005, {}) for photo in photos]


@contextmanager
def raylets(machines: int) -> Iterator[str]:
    """Starts raylets with a core and a GPU each, and yields the address of their cluster."""
    ray_engine.import_ray()
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(machines):
            cluster.add_node(num_cpus=1, num_gpus=1)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


def compare_machines(machines: Sequence[int], count: int, seconds: float) -> dict[int, float]:
    """Returns how many pairs a second so many machines make, once their actors are there.

    Args:
        machines: numbers of machines.
        count: photos for each machine.
        seconds: that an actor sleeps for each photo.
    """
    rates = {}
    for number in machines:
        with tempfile.TemporaryDirectory(prefix="machines-") as place, raylets(number) as address:
            photos = write_photos(Path(place) / "photos", count * number)
            recipe = recipe_for(
                photos, Path(place) / "out", space="srgb", engine="ray", address=address, device="cuda",
                weights=str(seconds), workers=2,
            )  # fmt: skip
            begun: list[float] = []
            results = ray_engine._results

            def timed(*args: Any, results: Callable[..., Any] = results, begun: list[float] = begun) -> Any:
                begun.append(time.monotonic())
                return results(*args)

            with (
                mock.patch.object(ray_networks, "Networks", SleepingNetworks),
                mock.patch.object(planning, "MEGABYTE", SMALL_SHARD),
                mock.patch.object(ray_engine, "_results", timed),
            ):
                summary = generate_pairs(recipe).summary
            if summary.made != count * number:
                raise UserError(f"{summary.made} pairs of {count * number} were made; {summary.skipped[:1]}")
            rates[number] = summary.made / (time.monotonic() - begun[0])
    return rates


# ------------------------------------------------------------ memory


class Sampler:
    """A bar that measures memory as pairs are finished."""

    def __init__(self, measure: Callable[[], dict[str, int]]) -> None:
        self._measure, self._done = measure, 0
        self.samples: list[tuple[int, dict[str, int]]] = []

    def __enter__(self) -> "Sampler":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, count: int = 1) -> None:
        before, self._done = self._done, self._done + count
        if self._done // 20 > before // 20:
            self.samples.append((self._done, self._measure()))

    def set_postfix(self, **_: object) -> None:
        pass

    def growth(self) -> dict[str, float]:
        """Returns by how many MB each process has grown after the first pairs."""
        grown: dict[str, float] = {}
        for name in {name for _, sample in self.samples for name in sample}:
            usual = [sample[name] for done, sample in self.samples if done >= SETTLED and name in sample]
            if len(usual) > 1:
                grown[name] = (max(usual) - usual[0]) / 1e6
        return grown


def measure_memory(count: int, engine: str, weights: str) -> dict[str, float]:
    """Returns by how many MB the memory of each process grows after the first 200 pairs.

    Args:
        count: of pairs.
        engine: "local" or "ray".
        weights: of the networks.
    """
    measured = _this_process if engine == "local" else _this_and_tasks
    sampler = Sampler(measured)
    with tempfile.TemporaryDirectory(prefix="memory-") as place:
        photos = write_photos(Path(place) / "photos", count)
        owner = shards if engine == "local" else ray_engine
        with (
            mock.patch.object(owner, "pair_bar", lambda *_, **__: sampler),
            mock.patch.object(planning, "MEGABYTE", SMALL_SHARD),
        ):
            generate_pairs(recipe_for(photos, Path(place) / "out", engine=engine, weights=weights))
    return sampler.growth()


def _this_process() -> dict[str, int]:
    return {"process": _resident(os.getpid())}


def _this_and_tasks() -> dict[str, int]:
    sizes = {"driver": _resident(os.getpid())}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith((b"ray::make_in_task", b"ray::IDLE")):
                sizes[f"worker {path.parent.name}"] = _resident(int(path.parent.name))
        except OSError:
            continue
    return sizes


def _resident(process: int) -> int:
    """Returns the resident memory of a process, in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command", metavar="engines|machines|memory")
    engines = commands.add_parser("engines", help="Ray against one process")
    engines.add_argument("--photos", nargs="+", required=True, metavar="PATH", help="photos or folders of them")
    engines.add_argument("--cores", type=int, default=2, metavar="N", help="cores of both (default: 2)")
    engines.add_argument("--repeats", type=int, default=1, metavar="N", help="pairs of each photo (default: 1)")
    engines.add_argument("--turns", type=int, default=3, metavar="N", help="turns (default: 3)")
    engines.add_argument("--shard-size", type=int, default=4, metavar="MB", help="size of a shard (default: 4)")
    machines = commands.add_parser("machines", help="more machines, with sleeping networks")
    machines.add_argument("--machines", type=int, nargs="+", default=[1, 4], metavar="N", help="(default: 1 4)")
    machines.add_argument("--count", type=int, default=120, metavar="N", help="photos a machine (default: 120)")
    machines.add_argument("--seconds", type=float, default=0.5, metavar="S", help="sleep for a photo (default: 0.5)")
    memory = commands.add_parser("memory", help="growth over many pairs")
    memory.add_argument("--count", type=int, default=2000, metavar="N", help="pairs (default: 2000)")
    memory.add_argument("--engine", nargs="+", default=["local", "ray"], choices=("local", "ray"), help="(both)")
    memory.add_argument("--weights", default="compact_isp", metavar="W", help="networks (default: compact_isp)")
    return parser.parse_args()


def main() -> None:
    """Measures what the command line asks for, and prints it as JSON."""
    args = parse_args()
    if args.command == "engines":
        found: Any = compare_engines(args.photos, args.cores, args.repeats, args.turns, args.shard_size)
    elif args.command == "machines":
        found = compare_machines(args.machines, args.count, args.seconds)
    else:
        found = {engine: measure_memory(args.count, engine, args.weights) for engine in args.engine}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
