"""The parts of benchmarks/cluster.py and cluster_faults.py that need no cluster."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import cluster_faults
from benchmarks.cluster import Sampler, same_shards


def test_growth_counts_from_two_hundred_pairs_on() -> None:
    sizes = iter(range(10_000_000, 100_000_000, 1_000_000))
    sampler = Sampler(lambda: {"driver": next(sizes), "task": 5})
    for _ in range(400):
        sampler.update()
    assert sampler.growth() == {"driver": 10.0, "task": 0.0}


def test_shards_are_the_same_if_every_byte_of_all_is(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        for file in ("a.tar", "a.index.json", "shards.jsonl"):
            (tmp_path / name / file).write_bytes(file.encode())
        (tmp_path / name / "a.done.json").write_bytes(name.encode())  # tells of the machine
    assert same_shards(tmp_path / "one", tmp_path / "other")
    (tmp_path / "one" / "b.tar").write_bytes(b"")
    assert not same_shards(tmp_path / "one", tmp_path / "other")
    (tmp_path / "one" / "b.tar").unlink()
    (tmp_path / "one" / "a.tar").write_bytes(b"b.tar")
    assert not same_shards(tmp_path / "one", tmp_path / "other")
    assert not same_shards(tmp_path, tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_processes_of_others_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cluster_faults.MARK, str(tmp_path))
    with (
        subprocess.Popen(["sleep", "60"], env={**os.environ}) as ours,
        subprocess.Popen(["sleep", "60"], env={}) as other,
    ):
        try:
            for path in (Path("/proc", str(ours.pid), name) for name in ("cmdline", "environ")):
                while not path.read_bytes():  # the system fills them after the start
                    time.sleep(0.01)
            assert cluster_faults.processes(b"sleep\0") == [ours.pid]
        finally:
            ours.kill()
            other.kill()
    monkeypatch.setattr(cluster_faults, "PATIENCE", 0)
    assert cluster_faults.stayed((b"sleep\0",)) == []
