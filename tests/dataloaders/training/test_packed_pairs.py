"""Pairs in shards: what unpacked pairs give, bit for bit, and no damage that passes in silence."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from cycleisp.dataloaders.pairs.shards import anywhere
from cycleisp.dataloaders.pairs.shards.conversion import pack
from cycleisp.dataloaders.pairs.shards.local_copies import LocalCopies
from cycleisp.dataloaders.pairs.store import PairFiles
from cycleisp.dataloaders.photo_check import check_photos, choose_photos, write_record
from cycleisp.dataloaders.sources import Source
from cycleisp.dataloaders.training.denoising_data import open_denoising_data
from cycleisp.dataloaders.training.packed_pairs import PackedPairs
from cycleisp.dataloaders.training.pair_sources import find_training_pairs
from cycleisp.dataloaders.training.stored_pairs import StoredPairs
from cycleisp.utils.config import DenoiserRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.processes.apart import SWITCH
from tests.support.pairs import store_pair
from tests.support.pictures import random_picture
from tests.support.tar_shards import pack_by_tarfile

DATA = {"patch_size": 16, "validation_patches": 6, "holdout_share": 0.3}
RECIPE = DenoiserRecipe.model_validate({"data": DATA, "train": {"steps": 10, "batch_size": 4}})


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pairs of two sizes, two of which have one photo, in sRGB and RAW."""
    folder, rng = tmp_path_factory.mktemp("made"), np.random.default_rng(1)
    for number, name in enumerate(("a", "a.r2", "deep/b", "c d", "e")):
        height = 24 if number < 3 else 20
        clean, noisy = rng.integers(0, 65536, (2, 4, height // 2, 14)).astype(np.uint16)
        pictures = (random_picture(height, 28, seed=2 * number + extra) for extra in (0, 1))
        store_pair(folder / "pairs", name, PairFiles(clean, noisy, None, *pictures), height, 28, shot=0.01 + number)
    pack_by_tarfile(folder / "pairs", folder / "shards")
    return folder / "pairs"


@pytest.fixture
def shards(pairs: Path, tmp_path: Path) -> Path:
    """The same pairs in three shards: e and deep/b, c d and a.r2, a."""
    return shutil.copytree(pairs.with_name("shards"), tmp_path / "shards")


@pytest.fixture
def remote(shards: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of the shards in memory, with no pauses between two tries."""
    memory = pytest.importorskip("fsspec", reason="URLs of shards need fsspec").filesystem("memory")
    memory.put(str(shards), "/shards", recursive=True)
    monkeypatch.setattr(anywhere, "PAUSES", (0.0,))
    yield "memory://shards"
    memory.rm("/shards", recursive=True)


def items(place: Path | str, space: Space, copies: LocalCopies | None = None) -> list[dict[str, torch.Tensor]]:
    """Returns what a training on some pairs gets: patches to train on, and to validate on."""
    training, held = open_denoising_data(RECIPE, space, [], [place], [], copies=copies)
    return [training[number] for number in range(40)] + [held[number] for number in range(6)]


def assert_equal(first: list[dict[str, torch.Tensor]], second: list[dict[str, torch.Tensor]]) -> None:
    for ours, theirs in zip(first, second, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("space", ["srgb", "raw"])
def test_packed_and_unpacked_pairs_give_the_same_patches(pairs: Path, shards: Path, space: Space) -> None:
    expected = items(pairs, space)
    assert_equal(items(shards, space), expected)
    assert_equal(items(shards / "shards.jsonl", space), expected)


@pytest.mark.parametrize("space", ["srgb", "raw"])
def test_so_do_pairs_that_the_project_has_packed(pairs: Path, tmp_path: Path, space: Space) -> None:
    pack(pairs, tmp_path / "packed", size=1)
    assert_equal(items(tmp_path / "packed", space), items(pairs, space))


def test_names_and_scenes_are_those_of_the_folder(pairs: Path, shards: Path) -> None:
    packed, unpacked = (find_training_pairs(place, "raw") for place in (shards, pairs))
    assert isinstance(packed, PackedPairs)
    for ours, theirs in zip(packed, unpacked, strict=True):
        assert (ours.name, ours.scene, ours.side) == (theirs.name, theirs.scene, theirs.side)
        assert ours.shot_noise == [theirs.shot_noise] * 4


def test_a_pair_is_read_without_the_rest_of_its_shard(shards: Path) -> None:
    packed = find_training_pairs(shards, "srgb")
    (pair,) = [pair for pair in packed if pair.name == "e"]
    with mock.patch.object(anywhere, "read_range", wraps=anywhere.read_range) as read:
        pair.read()
    ((_, _, size),) = [call.args for call in read.call_args_list]
    assert size < (shards / "pairs-000000.tar").stat().st_size / 2


# ---------------------------------------------------------------- remote shards


@pytest.mark.parametrize("space", ["srgb", "raw"])
def test_remote_shards_give_the_same_patches_through_copies(
    pairs: Path, remote: str, tmp_path: Path, space: Space
) -> None:
    expected, copies = items(pairs, space), LocalCopies(tmp_path / "copies", 1 << 20)
    assert_equal(items(remote, space, copies), expected)
    with (
        mock.patch.object(anywhere, "read_range", side_effect=UserError("no network")),
        mock.patch.object(anywhere, "read_bytes", side_effect=UserError("no network")),
    ):
        assert_equal(items(remote, space, copies), expected)


def test_a_remote_shard_that_is_gone_is_named(remote: str, shards: Path, caplog: pytest.LogCaptureFixture) -> None:
    fsspec = pytest.importorskip("fsspec")
    packed = find_training_pairs(remote, "srgb")
    fsspec.filesystem("memory").rm("/shards/pairs-000001.tar")
    with pytest.raises(UserError, match=r"memory://shards/pairs-000001\.tar: "):
        [pair.read() for pair in packed]
    fsspec.filesystem("memory").rm("/shards/pairs-000001.index.json")
    assert len(find_training_pairs(remote, "srgb")) == 3
    assert "left out memory://shards/pairs-000001.index.json" in caplog.text


def test_a_remote_pair_that_was_repaired_is_fetched_again(remote: str, tmp_path: Path) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    copies = LocalCopies(tmp_path / "copies", 1 << 20)
    packed = find_training_pairs(remote, "srgb", copies)
    whole = memory.cat_file("/shards/pairs-000000.tar")
    pair = next(pair for pair in packed if pair.shard.name == "pairs-000000.tar")
    place = pair.members.start + pair.members.size // 4
    memory.pipe_file("/shards/pairs-000000.tar", whole[:place] + b"damage" + whole[place + 6 :])
    with pytest.raises(UserError, match=rf"pairs-000000\.tar: pair {pair.name}"):
        pair.read()
    memory.pipe_file("/shards/pairs-000000.tar", whole)
    pair.read()


# ---------------------------------------------------------------- damage


class Run:
    """What a training does with its files before it begins: it checks and remembers them."""

    def __init__(self, folder: Path) -> None:
        self.record, self.goes_on = folder / "photos.jsonl", False
        folder.mkdir()

    def usable(self, sources: list[Source], check: Any) -> list[Source]:
        checked = check_photos(sources, self.record, self.goes_on, check=check)
        chosen = choose_photos(sources, checked, self.record, self.goes_on)
        write_record(self.record, sources, checked, self.goes_on)
        self.goes_on = True
        return chosen

    def pairs(self, place: Path | str) -> list[str]:
        """Returns the names of the pairs that a training on some shards uses."""
        recipe = RECIPE.model_copy(update={"data": RECIPE.data.model_copy(update={"holdout_share": 0.0})})
        training, _ = open_denoising_data(recipe, "srgb", [], [place], [], self.usable)
        assert isinstance(training, StoredPairs)
        return [pair.name for group in training.groups for pair in group]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv(SWITCH, "0")  # readers in this process, which saves starting others
    return Run(tmp_path / "run")


def damage(shards: Path, name: str, part: float = 0.25) -> None:
    """Overwrites a few bytes of a pair, in the middle of its first member."""
    pair = next(pair for pair in find_training_pairs(shards, "srgb") if pair.name == name)
    assert hasattr(pair, "members")
    with (shards / pair.shard.name).open("r+b") as file:
        file.seek(pair.members.start + int(part * pair.members.size))
        file.write(b"damage")


def test_a_damaged_pair_is_named_and_left_out_and_so_it_stays(
    shards: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    whole = {path: path.read_bytes() for path in shards.iterdir()}
    damage(shards, "c d")
    assert run.pairs(shards) == ["a", "a.r2", "deep/b", "e"]
    assert "pairs-000001.tar: pair c d" in caplog.text and "1 of its 2 pairs are damaged" in caplog.text
    assert run.pairs(shards) == ["a", "a.r2", "deep/b", "e"]
    for path, content in whole.items():
        path.write_bytes(content)
    assert run.pairs(shards) == ["a", "a.r2", "deep/b", "e"]  # as the run has begun


def test_a_truncated_shard_loses_the_pairs_behind_its_end(shards: Path, run: Run) -> None:
    tar = shards / "pairs-000001.tar"
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    assert run.pairs(shards) == ["a", "c d", "deep/b", "e"]


def test_a_shard_without_a_whole_pair_is_left_out(shards: Path, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    tar = shards / "pairs-000000.tar"
    tar.write_bytes(b"\0" * tar.stat().st_size)
    assert run.pairs(shards) == ["a", "a.r2", "c d"]
    assert f"left out {tar}: its SHA-256 is not that of the list of shards, and none of its 2 pairs" in caplog.text


def test_a_shard_that_is_added_later_is_not_trained_on(shards: Path, run: Run) -> None:
    listed = (shards / "shards.jsonl").read_text()
    (shards / "shards.jsonl").write_text("".join(listed.splitlines(keepends=True)[:2]))
    begun = run.pairs(shards)
    (shards / "shards.jsonl").write_text(listed)
    assert run.pairs(shards) == begun
    shutil.move(shards / "pairs-000000.tar", shards / "elsewhere")
    with pytest.raises(UserError, match=r"pairs-000000\.tar"):
        run.pairs(shards)


@pytest.mark.parametrize(
    "change", [{"members": {"clean.png": [0, 10**9], "noisy.png": [0, 5]}}, {"height": "x"}, {"members": 3}]
)
def test_an_index_that_cannot_be_true_costs_its_shard(
    shards: Path, caplog: pytest.LogCaptureFixture, change: dict[str, object]
) -> None:
    path = shards / "pairs-000002.index.json"
    index = json.loads(path.read_text())
    next(iter(index["pairs"].values())).update(change)
    path.write_text(json.dumps(index))
    assert len(find_training_pairs(shards, "srgb")) == 4
    assert f"left out {path}" in caplog.text


def test_raw_of_pairs_without_noise_level_is_refused(shards: Path) -> None:
    path = shards / "pairs-000002.index.json"
    index = json.loads(path.read_text())
    next(iter(index["pairs"].values()))["shot_noise"] = None
    path.write_text(json.dumps(index))
    with pytest.raises(UserError, match="real noise without noise level"):
        find_training_pairs(shards, "raw")


def test_shards_of_the_other_space_are_refused(tmp_path: Path) -> None:
    store_pair(tmp_path / "only", "a", PairFiles(None, None, None, *[random_picture(20, 24)] * 2), 20, 24)
    pack_by_tarfile(tmp_path / "only", tmp_path / "shards")
    with pytest.raises(UserError, match="no pair of its 1 shards has a usable raw part"):
        find_training_pairs(tmp_path / "shards", "raw")
