"""Shards made by Ray: what the driver does, with a stand-in for Ray, and a run with Ray itself."""

import os
import pickle
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

import generate_data
from benchmarks import cluster_faults
from cycleisp.dataloaders.pairs.shards import planning
from cycleisp.dataloaders.pairs.shards.folder import MAKING
from cycleisp.tasks.cluster import calls
from cycleisp.tasks.cluster import engine as ray_engine
from cycleisp.tasks.cluster import networks as ray_networks
from cycleisp.tasks.cluster.networks import FarNetworks
from cycleisp.tasks.generation import Process, generate_pairs
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.apart import SWITCH
from tests.support.scripts import call_script, error_line
from tests.support.shards import contents, write_photos


class RayError(Exception):
    pass


class RayActorError(RayError):
    def __init__(self, error_msg: str) -> None:
        super().__init__(error_msg)


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class FakeActor:
    """An actor in this process, with a handle that can be sent to tasks.

    Attributes:
        calls: how often `compute` was called, of each actor.
        lost: the numbers of the actors whose next call is lost.
        silent: the numbers of the actors that never answer.
        busy: the numbers of the actors that do not answer for a while, but show life.
    """

    calls: ClassVar[list[int]] = []
    lost: ClassVar[set[int]] = set()
    silent: ClassVar[set[int]] = set()
    busy: ClassVar[dict[int, int]] = {}
    _all: ClassVar[list[Any]] = []

    def __init__(self, inner: Any) -> None:
        self.number = len(FakeActor.calls)
        FakeActor.calls.append(0)
        FakeActor._all.append(inner)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        method = SimpleNamespace(remote=lambda *args: (partial(self._call, name), pickle.dumps(args)))
        method.options = lambda **_: method
        return method

    def answers(self, name: str) -> bool:
        """Tells whether a call is answered in time."""
        left = FakeActor.busy.get(self.number, 0) if name == "compute" else 0
        if left:
            FakeActor.busy[self.number] = left - 1
        return self.number not in FakeActor.silent and left == 0

    def _call(self, name: str, *args: Any) -> Any:
        FakeActor.calls[self.number] += name == "compute"
        if self.number in FakeActor.lost:
            FakeActor.lost.remove(self.number)
            raise RayActorError("the actor died")
        return getattr(FakeActor._all[self.number], name)(*args)


class FakeRay:
    """Runs tasks in this process, the last that was handed in first.

    Attributes:
        lost: the numbers of shards whose tasks are lost.
        said: what was asked of it, in order.
    """

    exceptions = SimpleNamespace(
        RayTaskError=RayTaskError, RayError=RayError, RayActorError=RayActorError, ObjectLostError=RayActorError,
    )  # fmt: skip

    def __init__(self, lost: tuple[int, ...] = (), resources: dict[str, float] | None = None) -> None:
        self.lost, self.said = lost, []  # type: tuple[int, ...], list[Any]
        self._resources = resources or {"CPU": 2.0}
        self.most_running = 0

    def init(self, **options: Any) -> None:
        self.said.append(("init", options["address"]))

    def shutdown(self) -> None:
        self.said.append("shutdown")

    def cluster_resources(self) -> dict[str, float]:
        return self._resources

    def remote(self, **options: Any) -> Callable[[Any], Any]:
        self.said.append(options)

        def remote(target: Any) -> Any:
            if isinstance(target, type):
                return SimpleNamespace(remote=lambda *args: FakeActor(target(*args)))
            return SimpleNamespace(remote=lambda *args: (target, pickle.dumps(args)))

        return remote

    def wait(self, running: list[Any], num_returns: int, timeout: float | None = None) -> tuple[list[Any], list[Any]]:
        answered = [one for one in running if self._answers(one[0])]
        if answered and answered[-1][0] is ray_engine.make_in_task:
            self.most_running = max(self.most_running, len(running))
        assert answered or timeout is not None, "nobody would ever answer"
        return answered[-1:], [one for one in running if one is not (answered or [None])[-1]]

    @staticmethod
    def _answers(function: Any) -> bool:
        called = isinstance(function, partial)
        return not called or function.func.__self__.answers(*function.args)

    def get(self, task: Any) -> Any:
        function, args = task[0], pickle.loads(task[1])
        if function is ray_engine.make_in_task and args[1].number in self.lost:
            raise RayError("The worker died unexpectedly")
        try:
            return pickle.loads(pickle.dumps(function(*args)))
        except RayActorError:
            raise
        except Exception as error:
            raise RayTaskError(error) from None


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(planning, "MEGABYTE", 4000)
    monkeypatch.setenv(SWITCH, "0")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "no-repository"))


@pytest.fixture
def recipe(tmp_path: Path, tiny_weights: Path) -> Callable[..., GenerationRecipe]:
    write_photos(tmp_path / "photos", 7)

    def make(output: str, **more: object) -> GenerationRecipe:
        places = {"input": [str(tmp_path / "photos")], "output": str(tmp_path / output), "weights": str(tiny_weights)}
        return GenerationRecipe.model_validate({**places, "shards": True, "shard_size": 1, "device": "cpu", **more})

    return make


Recipe = Callable[..., GenerationRecipe]


def use(monkeypatch: pytest.MonkeyPatch, ray: FakeRay) -> FakeRay:
    monkeypatch.setattr(ray_engine, "import_ray", lambda: ray)
    ray_engine._maker.cache_clear()
    return ray


def test_tasks_make_the_bytes_of_one_process(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos" / "3 of a.holiday.png").write_bytes(b"no picture")
    generate_pairs(recipe("local"))
    ray = use(monkeypatch, FakeRay())
    made = generate_pairs(recipe("ray", engine="ray", address="head:6379"))
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert (made.summary.made, made.summary.kept, len(made.summary.skipped)) == (6, 0, 1)
    assert ray.said == [("init", "head:6379"), {"max_retries": 3, "num_cpus": 1}, "shutdown"]
    assert ray.most_running <= 4
    assert not list((tmp_path / "ray" / MAKING).rglob("*.tar"))
    again = generate_pairs(recipe("ray", engine="ray")).summary
    assert (again.made, again.kept, len(again.skipped)) == (0, 6, 1)


def test_a_lost_task_costs_its_shard_and_the_next_run_makes_it(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate_pairs(recipe("local"))
    use(monkeypatch, FakeRay(lost=(1,)))
    summary = generate_pairs(recipe("ray", engine="ray")).summary
    ((path, words),) = summary.skipped
    assert path == tmp_path / "ray" / "pairs-000001.tar"
    assert "its task was lost 4 times (The worker died unexpectedly)" in words
    assert 0 < summary.made < 7
    use(monkeypatch, FakeRay())
    assert generate_pairs(recipe("ray", engine="ray")).summary.made == 7 - summary.made
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def test_an_error_for_the_user_ends_the_run_and_the_cluster(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = use(monkeypatch, FakeRay())
    with pytest.raises(UserError, match=r"none\.safetensors"):
        generate_pairs(recipe("ray", engine="ray", weights=str(tmp_path / "none.safetensors")))
    assert ray.said[-1] == "shutdown"


@pytest.fixture
def on_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets networks of GPUs compute on the CPU of this machine."""
    start = FarNetworks.start

    def started(ray: Any, recipe: GenerationRecipe, *args: Any, **resources: float) -> FarNetworks:
        return start(ray, recipe.model_copy(update={"device": "cpu"}), *args, **resources)

    monkeypatch.setattr(FarNetworks, "start", started)
    monkeypatch.setattr(calls, "FIRST_SIGN", 0.0)
    for kept in (FakeActor.calls, FakeActor.lost, FakeActor.silent, FakeActor.busy, FakeActor._all):
        kept.clear()


def test_tasks_send_photos_to_networks_on_gpus_where_the_cluster_has_some(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, on_cpus: None
) -> None:
    """Every batch is computed by the next actor, and a lost one by the actor after it."""
    options = {"variance": True, "batch_size": 2}
    generate_pairs(recipe("local", **options))
    ray = use(monkeypatch, FakeRay(resources={"CPU": 16.0, "GPU": 1.0}))
    FakeActor.lost.add(1)
    assert generate_pairs(recipe("ray", engine="ray", device="auto", **options)).summary.made == 7
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    resources = {"max_restarts": -1, "max_task_retries": 0, "concurrency_groups": {"signs": 1}}
    resources |= {"allow_out_of_order_execution": True, "num_gpus": 0.5, "num_cpus": 0}
    assert ray.said[1:3] == [resources, {"max_retries": 3, "num_cpus": 1}]
    assert len(FakeActor.calls) == 2 and min(FakeActor.calls) >= 2 and not FakeActor.lost


def test_networks_that_stay_lost_cost_the_shards_that_need_them(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, on_cpus: None
) -> None:
    def lost(*_: object) -> None:
        raise RayActorError("the node died")

    use(monkeypatch, FakeRay(resources={"CPU": 2.0, "GPU": 1.0}))
    monkeypatch.setattr(calls, "PATIENCE", 0.0)
    monkeypatch.setattr(ray_networks.Networks, "compute", lost)
    summary = generate_pairs(recipe("ray", engine="ray", device="cuda")).summary
    assert summary.made == 0 and len(summary.skipped) == 3
    assert all("lost" in words and "the node died" in words for _, words in summary.skipped)


def test_networks_that_never_get_a_gpu_cost_nothing(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, on_cpus: None
) -> None:
    """A machine that had just ended was counted: networks there never start, and calls wait."""
    generate_pairs(recipe("local"))
    use(monkeypatch, FakeRay(resources={"CPU": 2.0, "GPU": 1.0}))
    FakeActor.silent.add(0)
    assert generate_pairs(recipe("ray", engine="ray", device="cuda")).summary.made == 7
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert FakeActor.calls[0] == 0 and FakeActor.calls[1] == 7


def test_networks_that_start_nowhere_are_an_error_for_the_user(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, on_cpus: None
) -> None:
    use(monkeypatch, FakeRay(resources={"CPU": 2.0, "GPU": 1.0}))
    FakeActor.lost.update((0, 1))
    with pytest.raises(UserError, match=r"could not start on any machine of the cluster: the actor died"):
        generate_pairs(recipe("ray", engine="ray", device="cuda"))


def test_networks_that_have_much_to_do_are_waited_for(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, on_cpus: None
) -> None:
    """They are silent for longer than lost ones are waited for, but show life."""
    use(monkeypatch, FakeRay(resources={"CPU": 2.0, "GPU": 1.0}))
    monkeypatch.setattr(calls, "PATIENCE", 0.0)
    monkeypatch.setattr(ray_engine, "ACTORS_PER_GPU", 1)
    FakeActor.busy[0] = 5
    assert generate_pairs(recipe("ray", engine="ray", device="cuda")).summary.made == 7
    assert FakeActor.calls == [7]


def test_networks_without_any_life_cost_the_shards_that_need_them(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, on_cpus: None
) -> None:
    use(monkeypatch, FakeRay(resources={"CPU": 2.0, "GPU": 1.0}))
    monkeypatch.setattr(calls, "PATIENCE", 0.0)
    start = ray_networks.FarNetworks.maker

    def silenced(*args: Any) -> Any:
        FakeActor.silent.update((0, 1))
        return start(*args)

    monkeypatch.setattr(ray_networks.FarNetworks, "maker", silenced)
    summary = generate_pairs(recipe("ray", engine="ray", device="cuda")).summary
    assert summary.made == 0 and len(summary.skipped) == 3
    assert all("lost" in words and "sign of life" in words for _, words in summary.skipped)


def test_a_gpu_that_the_cluster_lacks_is_an_error(recipe: Recipe) -> None:
    with pytest.raises(UserError, match=r"--device cuda: the cluster has no GPU"):
        ray_engine._networks_for(FakeRay(), recipe("ray", device="cuda"))
    assert ray_engine._networks_for(FakeRay(), recipe("ray", device="auto"))[0].device == "cpu"


def test_options_that_mean_nothing_together_are_refused(recipe: Recipe) -> None:
    for more, words in [
        ({"engine": "ray", "shards": False}, r"--engine ray makes shards"),
        ({"address": "head:6379"}, r"--address head:6379 is for --engine ray"),
    ]:
        with pytest.raises(UserError, match=words):
            generate_pairs(recipe("ray", **more))
    with pytest.raises(UserError, match=r"not with torchrun"):
        generate_pairs(recipe("ray", engine="ray"), Process(0, 2))


def test_without_ray_the_message_says_how_to_install_it(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    options = ("--input", tmp_path / "photos", "--output", tmp_path / "out", "--shards", "--engine", "ray")
    assert "pip install cycleisp[cluster]" in error_line(call_script(generate_data.main, *options))


def test_ray_itself_makes_the_bytes_of_one_process_whatever_is_killed(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, on_cpus: None
) -> None:
    """A machine with a fabricated GPU, of which a task and networks are killed at their work."""
    ray = pytest.importorskip("ray", reason="Ray is not installed (pip install cycleisp[cluster])")
    generate_pairs(recipe("local"))
    out = tmp_path / "ray"
    out.mkdir()
    (out / "plan.json").write_bytes((tmp_path / "local" / "plan.json").read_bytes())
    monkeypatch.setenv(cluster_faults.MARK, str(tmp_path))
    monkeypatch.setattr(ray, "init", partial(ray.init, num_cpus=2, num_gpus=1))
    monkeypatch.setattr(ray_engine, "ACTORS_PER_GPU", 1)
    monkeypatch.setattr(calls, "PATIENCE", 60)
    killed: list[str] = []
    over = threading.Event()

    def kill() -> None:
        for kind, title in cluster_faults.KINDS.items():
            while not (found := cluster_faults.processes(title)):
                if over.wait(0.01):
                    return
            os.kill(found[0], signal.SIGKILL)
            killed.append(kind)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        made = generate_pairs(recipe("ray", engine="ray", device="auto"))
    finally:
        over.set()
        killer.join()
    assert killed == ["task", "networks"]
    assert made.summary.made == 7 and not made.summary.skipped
    assert contents(out) == contents(tmp_path / "local")
    assert not cluster_faults.stayed((b"ray::",))
