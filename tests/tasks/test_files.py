"""Denoising, matching and making pairs from Python: plain arguments in, a summary back, the
scripts' files written.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.pairs.preview import write_preview
from cycleisp.dataloaders.photos import read_photo
from cycleisp.tasks.denoising import denoise_files
from cycleisp.tasks.generation import Process, generate_pairs
from cycleisp.tasks.matching import match_files
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError
from tests.support.paths import files_of
from tests.support.pictures import random_picture, write_png


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos and a file that is none."""
    for seed, name in enumerate("abc"):
        write_png(tmp_path / "in" / f"{name}.png", random_picture(24, 32, seed=seed))
    (tmp_path / "in" / "text.png").write_bytes(b"this is no picture")
    return tmp_path / "in"


def test_files_are_denoised_with_words_for_paths(tmp_path: Path, photos: Path, weights: dict[str, Path]) -> None:
    summary = denoise_files([str(photos)], str(tmp_path / "out"), weights=str(weights["srgb-identity"]), device="cpu")
    assert (summary.made, summary.kept) == (3, 0)
    ((path, reason),) = summary.skipped
    assert path == photos / "text.png" and "not a JPEG, PNG" in reason
    assert files_of(tmp_path / "out") == {"a.png", "b.png", "c.png"}
    np.testing.assert_array_equal(read_photo(tmp_path / "out" / "a.png"), read_photo(photos / "a.png"))
    again = denoise_files([photos], tmp_path / "out", weights=str(weights["srgb-identity"]), device="cpu")
    assert (again.made, again.kept) == (0, 3)


def test_colours_are_matched_with_words_for_paths(tmp_path: Path, photos: Path, tiny_weights: Path) -> None:
    target = write_png(tmp_path / "t.png", random_picture(30, 40, seed=9))
    summary = match_files(
        str(photos), str(target), str(tmp_path / "out"), weights=tiny_weights, working_size=64, luts=True, device="cpu"
    )
    assert (summary.made, len(summary.skipped)) == (3, 1)
    assert files_of(tmp_path / "out") == {f"{name}.{suffix}" for name in "abc" for suffix in ("png", "cube")}


def recipe(photos: Path, output: Path, weights: Path) -> GenerationRecipe:
    return GenerationRecipe(input=[str(photos)], output=str(output), weights=str(weights), device="cpu", workers=1)


def test_processes_share_the_photos(tmp_path: Path, photos: Path, tiny_weights: Path) -> None:
    alone = generate_pairs(recipe(photos, tmp_path / "alone", tiny_weights))
    assert (alone.summary.made, len(alone.summary.skipped)) == (3, 1)
    assert [record["name"] for record in alone.records] == ["a", "b", "c"]
    shared = [
        generate_pairs(recipe(photos, tmp_path / "shared", tiny_weights), Process(rank, world_size=2))
        for rank in range(2)
    ]
    assert [made.summary.made for made in shared] == [2, 1]
    assert shared[1].records == alone.records
    for name in files_of(tmp_path / "alone") - {".lock"}:
        assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert write_preview(alone.folder, alone.records) == tmp_path / "alone" / "preview.png"


def test_torchrun_tells_a_process_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert Process.from_environment() == Process(0, 1, 0)
    assert Process().is_first
    monkeypatch.setattr(os, "environ", {**os.environ, "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"})
    assert Process.from_environment() == Process(5, 8, 1)
    assert not Process.from_environment().is_first


def test_impossible_options_are_one_error_that_a_user_can_mend(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(UserError, match="--tile 0: expected the side of a tile"):
        denoise_files([photos], tmp_path / "out", tile=0)
    with pytest.raises(UserError, match="--noise dnd: expected auto or the file's own level"):
        denoise_files([photos], tmp_path / "out", noise="dnd")
    with pytest.raises(UserError, match="--working-size 63: expected pixels, at least 64"):
        match_files(photos, photos / "a.png", tmp_path / "out", working_size=63)
    assert not (tmp_path / "out").exists()
