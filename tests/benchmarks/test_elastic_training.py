"""Kills in a training on two machines: it ends with the weights of a training without kills."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import elastic_training
from benchmarks.elastic_training import Rounds, differences

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rounds]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elastic_training, "PAUSE", 0.0)
        yield Rounds(tmp_path_factory.mktemp("elastic"), steps=8, processes=1)


def test_a_kill_after_the_first_checkpoint_changes_no_bit(rounds: Rounds) -> None:
    """Each machine has one process here, and one that loads shards.

    An agent's death is noticed by timeouts, on a busy machine after minutes. The benchmark has it.
    """
    one = rounds.run("worker", lambda run_dir, _: (run_dir / "checkpoint.ckpt").exists(), random.Random(0))
    assert one.killed_after is not None and one.starts >= 2
    assert one.same and not one.left


def test_differences_name_what_differs(tmp_path: Path) -> None:
    state = {"step": 3, "network": {"a": torch.zeros(2)}, "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}}}
    changed = {**state, "network": {"a": torch.tensor([0.0, 1e-7])}, "version": "2"}
    for name, content in {"one": state, "same": {**state, "version": "1"}, "other": changed}.items():
        (tmp_path / name).mkdir()
        torch.save(content, tmp_path / name / "checkpoint.ckpt")
    assert differences(tmp_path / "one", tmp_path / "same") == []
    assert differences(tmp_path / "one", tmp_path / "other") == ["/network/a"]
