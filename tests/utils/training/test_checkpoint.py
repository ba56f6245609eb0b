"""Checkpoints: whole or refused with a name, whatever has happened to the file; no code from it."""

import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from cycleisp.utils.training.checkpoint import CheckedCheckpoints, check_whole
from cycleisp.utils.training.errors import TrainingError
from tests.support.training import Patches, checkpoint, recipe, trainer

STATE = {"step": 3, "network": {"weight": torch.arange(300.0)}, "recipe": "seed: 0\n"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    CheckedCheckpoints().save_checkpoint(STATE, tmp_path / "checkpoint.ckpt")
    return tmp_path / "checkpoint.ckpt"


def test_what_was_saved_is_loaded_and_torch_reads_it_too(path: Path) -> None:
    for loaded in (CheckedCheckpoints().load_checkpoint(path), torch.load(path, weights_only=True)):
        assert loaded["step"] == 3 and loaded["recipe"] == "seed: 0\n"
        assert torch.equal(loaded["network"]["weight"], STATE["network"]["weight"])  # type: ignore[index]


def test_every_flipped_bit_is_found(path: Path) -> None:
    whole, choose = path.read_bytes(), random.Random(0)
    places = {*choose.sample(range(len(whole)), 200), *range(len(whole) - 110, len(whole)), *range(40)}
    for place in sorted(places):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << choose.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"checksum differs|does not end as a checkpoint"):
            check_whole(path)


@pytest.mark.parametrize("size", [0, 1, 21, 22, 101, 102, 103, 1000, -1, -80, -103])
def test_truncated_files_are_found(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"empty|does not end"):
        check_whole(path)


def test_checkpoints_of_earlier_versions_load_and_their_members_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "old.ckpt"
    torch.save(STATE, path)
    assert CheckedCheckpoints().load_checkpoint(path)["step"] == 3
    content = path.read_bytes()
    place = content.index(torch.arange(300.0).numpy().tobytes()) + 100
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(ValueError, match="the checksum of its member"):
        check_whole(path)


# ---------------------------------------------------------------- in a run folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    assert not trainer(tmp_path / "run", recipe()).fit(Patches(24), Patches(1), stop_after=0)
    return tmp_path / "run"


class Hostile:
    def __reduce__(self) -> Any:
        return os.mkdir, ("hostile",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"PK\3\4 no archive", "truncated, or no checkpoint"),
        (b"x" * 5000, "truncated, or no checkpoint"),
        (Hostile(), "holds other objects than tensors"),
        ({"step": 1}, "is damaged, or of another kind"),
        ([1, 2], "is damaged, or of another kind"),
        ("step", "its step is 'none'"),
        ("network", "is damaged, or of another kind"),
        ("rng", "is damaged, or of another kind"),
        ("recipe", r"of a run with another recipe \(differs in seed: 6 there, 5 here"),
    ],
)
def test_what_is_no_checkpoint_of_the_run_is_one_line(
    run: Path, content: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, state = run / "checkpoint.ckpt", checkpoint(run)
    changes: dict[str, object] = {
        "step": "none",
        "network": {"weight": torch.zeros(3)},
        "rng": torch.zeros(3),
        "recipe": state["recipe"].replace("seed: 5", "seed: 6"),
    }
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        changed = {**state, content: changes[content]} if isinstance(content, str) else content
        CheckedCheckpoints().save_checkpoint(changed, path)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=message) as error:
        trainer(run, recipe()).fit(Patches(24), Patches(1))
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert "remove it to begin anew" in str(error.value)
    assert not (tmp_path / "hostile").exists()


def test_a_run_goes_on_from_a_checkpoint_of_an_earlier_version(run: Path) -> None:
    state = checkpoint(run)
    del state["threads"]
    torch.save(state, run / "checkpoint.ckpt")
    assert trainer(run, recipe()).fit(Patches(24), Patches(1))
