"""SIDD's files: named, hashed, found missing, and read one block at a time."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torch import Tensor

from cycleisp.dataloaders import protocols
from cycleisp.dataloaders.matlab.v5 import MatlabError
from cycleisp.dataloaders.sidd.files import (
    SiddBlocks,
    SiddData,
    Split,
    block_name,
    check_files,
    file_hashes,
    file_names,
)
from cycleisp.dataloaders.sidd.scenes import PATTERNS, VALIDATION_SCENES, SiddError, parse_scene
from cycleisp.utils.images import Space
from tests.support.sidd import SIDE, some_blocks, with_noise, write_blocks, write_validation

SPACES = pytest.mark.parametrize("space", ["raw", "srgb"])
KIND = {"raw": "Raw", "srgb": "Srgb"}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "SIDD_SIDE", SIDE)


# ---------------------------------------------------------------- files


def test_names_of_the_files() -> None:
    assert file_names("validation", "raw") == {
        "noisy": "ValidationNoisyBlocksRaw.mat",
        "clean": "ValidationGtBlocksRaw.mat",
    }
    assert file_names("validation", "srgb") == {
        "noisy": "ValidationNoisyBlocksSrgb.mat",
        "clean": "ValidationGtBlocksSrgb.mat",
    }
    assert file_names("benchmark", "raw") == {"noisy": "BenchmarkNoisyBlocksRaw.mat"}
    assert file_names("benchmark", "srgb") == {"noisy": "BenchmarkNoisyBlocksSrgb.mat"}


@SPACES
@pytest.mark.parametrize("split", ["validation", "benchmark"])
def test_missing_files_are_listed_with_where_to_get_them(tmp_path: Path, split: Split, space: Space) -> None:
    needed = [*file_names(split, space).values()] + ["noise_level_functions.csv"] * (space == "raw")
    for have in range(len(needed)):
        with pytest.raises(SiddError) as refused:
            check_files(tmp_path, split, space)
        said = str(refused.value)
        assert f"SIDD's {split} set ({space}) is not complete in {tmp_path}" in said
        for number, name in enumerate(needed):
            assert re.search(rf"{'found' if number < have else 'missing'} +{re.escape(str(tmp_path / name))}\n", said)
        assert "Get them from https://" in said and "put them there" in said
        (tmp_path / needed[have]).write_bytes(b"")
    check_files(tmp_path, split, space)


def test_a_folder_that_is_not_there_lacks_everything(tmp_path: Path) -> None:
    with pytest.raises(SiddError, match="missing"):
        check_files(tmp_path / "nowhere", "validation", "srgb")


def test_hashes_name_every_file_that_results_depend_on(tmp_path: Path) -> None:
    blocks = some_blocks("raw")
    write_validation(tmp_path, blocks, blocks)
    scenes = tmp_path / "scenes.txt"
    scenes.write_text("\n".join(VALIDATION_SCENES))
    before = file_hashes(tmp_path, "validation", "raw", None)
    assert set(before) == {
        "ValidationNoisyBlocksRaw.mat",
        "ValidationGtBlocksRaw.mat",
        "noise_level_functions.csv",
        "bayer_patterns.csv",
    }
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in before.values())
    with_scenes = file_hashes(tmp_path, "validation", "raw", scenes)
    assert {**before, "scenes": with_scenes["scenes"]} == with_scenes
    for name in before:
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content + b" ")
        after = file_hashes(tmp_path, "validation", "raw", None)
        assert [key for key in before if before[key] != after[key]] == [name]
        (tmp_path / name).write_bytes(content)
    (tmp_path / "bayer_patterns.csv").unlink()
    assert "bayer_patterns.csv" not in file_hashes(tmp_path, "validation", "raw", None)
    with pytest.raises(SiddError, match=r"ValidationNoisyBlocksSrgb\.mat: cannot be read"):
        file_hashes(tmp_path, "validation", "srgb", None)


# ---------------------------------------------------------------- blocks


def test_blocks_are_counted_scene_by_scene() -> None:
    assert [block_name(index) for index in (0, 1, 31, 32, 33, 1279)] == [
        (0, 0),
        (0, 1),
        (0, 31),
        (1, 0),
        (1, 1),
        (39, 31),
    ]


@SPACES
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_blocks_one_at_a_time(tmp_path: Path, space: Space, compressed: bool) -> None:
    values = with_noise(some_blocks(space))
    path = write_blocks(tmp_path / f"ValidationNoisyBlocks{KIND[space]}.mat", values, compressed)
    blocks = SiddBlocks(path, space, tmp_path / "unpacked")
    assert len(blocks) == 1280
    for index in (0, 1, 31, 32, 700, 1279):
        block = blocks[index]
        assert (block.shape, block.dtype) == (block_shape_of(space), values.dtype)
        assert type(block) is np.ndarray and block.flags.c_contiguous and block.flags.writeable
        np.testing.assert_array_equal(block, values[index // 32, index % 32])
    assert (tmp_path / "unpacked" / f"{path.stem}.bin").exists() == compressed


def block_shape_of(space: Space) -> tuple[int, ...]:
    return (SIDE, SIDE, 3) if space == "srgb" else (SIDE, SIDE)


@SPACES
def test_other_shapes_and_types_are_refused(tmp_path: Path, space: Space) -> None:
    values = some_blocks(space)
    path = tmp_path / "Blocks.mat"
    for wrong in (
        values[:39],
        values[:, :31],
        values[:, :, :-2],
        values[..., None],
        values.astype(np.float64),
        values.astype(np.uint16),
        some_blocks("srgb" if space == "raw" else "raw"),
        np.swapaxes(values, 0, 1),
    ):
        write_blocks(path, wrong, compressed=False)
        with pytest.raises(SiddError) as refused:
            SiddBlocks(path, space, tmp_path / "unpacked")
        assert f"{path}: Blocks is {wrong.shape} of {wrong.dtype}, SIDD's is {values.shape}" in str(refused.value)


def test_big_endian_blocks_come_out_as_this_machine_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = some_blocks("raw")
    monkeypatch.setattr("cycleisp.dataloaders.sidd.files.open_array", lambda *_: values.astype(">f4"))
    block = SiddBlocks(tmp_path / "a.mat", "raw", tmp_path)[33]
    assert block.dtype == np.float32 and block.dtype.isnative
    np.testing.assert_array_equal(block, values[1, 1])


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
def test_raw_outside_the_unit_interval_is_told_with_its_block(tmp_path: Path, value: float) -> None:
    values = some_blocks("raw")
    values[2, 5, 3, 4] = value
    blocks = SiddBlocks(write_blocks(tmp_path / "Blocks.mat", values), "raw", tmp_path / "unpacked")
    assert blocks[68].max() <= 1
    with pytest.raises(SiddError, match=r"Blocks\.mat: block \(2, 5\) leaves \[0, 1\]"):
        blocks[69]


def test_a_variable_of_another_name_and_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "ValidationNoisyBlocksRaw.mat"
    savemat(path, {"x": np.ones((3, 4))})
    with pytest.raises(MatlabError, match="holds no array ValidationNoisyBlocksRaw of real numbers; it has x"):
        SiddBlocks(path, "raw", tmp_path / "unpacked")
    write_blocks(path, some_blocks("raw"))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(MatlabError, match="not a whole MATLAB 5 file"):
        SiddBlocks(path, "raw", tmp_path / "unpacked")


# ---------------------------------------------------------------- a split


def test_a_split_of_srgb_needs_no_tables(tmp_path: Path) -> None:
    clean = some_blocks("srgb")
    data = SiddData(write_validation(tmp_path, with_noise(clean), clean), "validation", "srgb")
    assert [scene.name for scene in data.scenes] == list(VALIDATION_SCENES)
    assert data.patterns == []
    files = data.open_blocks(tmp_path / "unpacked")
    np.testing.assert_array_equal(files["clean"][33], clean[1, 1])
    assert data.hashes() == file_hashes(tmp_path, "validation", "srgb", None)


def test_a_split_of_raw_knows_the_patterns_of_its_own_scenes(tmp_path: Path) -> None:
    blocks = some_blocks("raw")
    write_validation(tmp_path, blocks, blocks)
    write_blocks(tmp_path / "BenchmarkNoisyBlocksRaw.mat", blocks)
    scenes = tmp_path / "scenes.txt"
    scenes.write_text("\n".join(reversed(VALIDATION_SCENES)))
    data = SiddData(tmp_path, "benchmark", "raw", scenes)
    assert data.patterns == [PATTERNS[parse_scene(name).camera] for name in reversed(VALIDATION_SCENES)]
    assert data.open_blocks(tmp_path / "unpacked").keys() == {"noisy"}
    assert "scenes" in data.hashes()


def test_a_split_that_lacks_files_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(SiddError, match="is not complete"):
        SiddData(tmp_path, "validation", "srgb")


@SPACES
def test_a_denoiser_sees_batches_and_its_result_comes_back_as_blocks(tmp_path: Path, space: Space) -> None:
    blocks = some_blocks(space)
    data = SiddData(write_validation(tmp_path, blocks, blocks), "validation", space)
    seen: list[tuple[int, ...]] = []

    def halve(noisy: Tensor, variance: Tensor | None = None) -> Tensor:
        seen.append(tuple(noisy.shape))
        assert noisy.dtype == torch.float32 and (variance is None) == (space == "srgb")
        return noisy / 2

    indices = [0, 33, 1279]
    noisy = [blocks[block_name(index)] for index in indices]
    denoised = data.denoise(halve, noisy, indices)
    assert seen == [(3, 4, SIDE // 2, SIDE // 2) if space == "raw" else (3, 3, SIDE, SIDE)]
    for block, result in zip(noisy, denoised, strict=True):
        np.testing.assert_allclose(result, block / (255 if space == "srgb" else 1) / 2, rtol=1e-6)
