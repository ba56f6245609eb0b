"""denoise.py --strength, --luma and --chroma: the very input, the very result, and between."""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from cycleisp.dataloaders.photos import read_photo
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import read_raw
from cycleisp.utils.raw.dng.tags import read_tags
from denoise import main
from tests.support.paths import files_of
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png
from tests.support.scripts import Outcome, call_script, error_line


def denoise(*options: object) -> Outcome:
    return call_script(main, "--device", "cpu", *options)


def forbidden() -> object:
    """Makes a run of any network an error."""
    return mock.patch.object(TiledDenoiser, "__call__", side_effect=AssertionError("the network has run"))


@pytest.mark.parametrize("shares", [("--strength", 0), ("--luma", 0, "--chroma", 0)], ids=str)
def test_nothing_gives_the_input_back_bit_for_bit_without_the_network(
    tmp_path: Path, weights: dict[str, Path], shares: tuple[object, ...]
) -> None:
    pictures = {"a": random_picture(15, 21, np.uint8), "b": random_picture(14, 9, np.uint16)}
    for name, picture in pictures.items():
        write_png(tmp_path / "in" / f"{name}.png", picture)
    with forbidden():  # type: ignore[attr-defined]
        result = denoise(tmp_path / "in", "--output", tmp_path / "out", "--weights", weights["srgb"], *shares)
    assert result.returncode == 0, result.stderr
    for name, picture in pictures.items():
        np.testing.assert_array_equal(read_photo(tmp_path / "out" / f"{name}.png"), picture)


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_nothing_gives_the_mosaic_back_bit_for_bit(tmp_path: Path, weights: dict[str, Path], pattern: str) -> None:
    """Values below black stay, too, which the network never sees."""
    mosaic = random_mosaic(33, 40)
    mosaic[:8] = np.random.default_rng(1).integers(40, 90, (8, 40))  # around black, 64
    path = write_dng(tmp_path / "a.dng", mosaic, pattern, noise_profile=[0.01, 1e-4])
    with forbidden():  # type: ignore[attr-defined]
        result = denoise(path, "--output", tmp_path / "out", "--weights", weights["raw"], "--strength", 0)
    assert result.returncode == 0, result.stderr
    after = read_raw(tmp_path / "out" / "a.dng", clip=False)
    assert after.mosaic.min() < 0
    np.testing.assert_array_equal(after.mosaic, read_raw(path, clip=False).mosaic)


def test_one_is_the_networks_result_and_the_default(tmp_path: Path, weights: dict[str, Path]) -> None:
    write_png(tmp_path / "in" / "a.png", random_picture(15, 21, np.uint16))
    write_dng(tmp_path / "in" / "b.dng", random_mosaic(32, 40), noise_profile=[0.01, 1e-4])
    for name in ("a.png", "b.dng"):
        line = (tmp_path / "in" / name, "--weights", weights["srgb" if name == "a.png" else "raw"])
        for number, shares in enumerate([(), ("--strength", 1), ("--strength", 0.2, "--luma", 1, "--chroma", 1)]):
            assert denoise(*line, "--output", tmp_path / f"out{number}", *shares).returncode == 0
    for name in files_of(tmp_path / "out0") - {"results.jsonl"}:
        expected = (tmp_path / "out0" / name).read_bytes()
        assert all((tmp_path / f"out{number}" / name).read_bytes() == expected for number in (1, 2))


def test_half_lies_in_the_middle_and_parts_add_up(tmp_path: Path, weights: dict[str, Path]) -> None:
    photo = random_picture(24, 32, np.uint16) // 2 + 2**14
    write_png(tmp_path / "a.png", photo)
    found = {}
    for name, shares in {
        "all": (),
        "half": ("--strength", 0.5),
        "luma": ("--chroma", 0),
        "chroma": ("--luma", 0),
    }.items():
        result = denoise(*(tmp_path / "a.png", "--output", tmp_path / name, "--weights", weights["srgb"]), *shares)
        assert result.returncode == 0, result.stderr
        found[name] = read_photo(tmp_path / name / "a.png").astype(float) - photo
    assert np.abs(found["all"]).max() > 100
    np.testing.assert_allclose(found["half"], found["all"] / 2, atol=1)  # of 65535 levels
    np.testing.assert_allclose(found["luma"] + found["chroma"], found["all"], atol=1.5)
    assert np.ptp(found["luma"], axis=-1).max() <= 1  # all channels alike


def test_another_strength_is_another_result(tmp_path: Path, weights: dict[str, Path]) -> None:
    write_png(tmp_path / "a.png", random_picture(8, 8))
    line = (tmp_path / "a.png", "--output", tmp_path / "out", "--weights", weights["srgb"])
    assert "1 denoised" in denoise(*line, "--strength", 0.5).stdout
    assert "1 kept" in denoise(*line, "--luma", 0.5, "--chroma", 0.5).stdout  # which is the same
    words = error_line(denoise(*line, "--strength", 0.6))
    assert "made with chroma=0.5, luma=0.5; give --overwrite, another --output" in words
    assert "made with chroma=0.5, luma=0.5" in error_line(denoise(*line))


def test_the_dng_says_how_strongly_it_was_denoised(tmp_path: Path, weights: dict[str, Path]) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(32, 40), noise_profile=[0.01, 1e-4])
    line = (path, "--output", tmp_path / "out", "--weights", weights["raw"], "--luma", 0.25)
    assert denoise(*line).returncode == 0
    assert b"read=0.0001, luma 0.25, chroma 1" in (tmp_path / "out" / "a.dng").read_bytes()


@pytest.mark.parametrize("option", ["--strength", "--luma", "--chroma"])
def test_a_share_that_is_none_is_one_line(tmp_path: Path, weights: dict[str, Path], option: str) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(8, 8))
    for share in ("1.5", "-0.5", "nan"):
        line = (photo, "--output", tmp_path / "out", "--weights", weights["srgb"], f"{option}={share}")
        assert f"{option} {share}: expected a number from 0 (the input)" in error_line(denoise(*line))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shares", [("--strength", 0.5), ("--luma", 0.9, "--chroma", 0.4), ("--strength", 0)], ids=str)
def test_a_file_denoised_in_part_says_how_much_noise_is_left(
    tmp_path: Path, weights: dict[str, Path], shares: tuple[object, ...]
) -> None:
    """A denoiser whose own result has no noise leaves (1 - strength)^2 of the variance."""
    signal, shot, read = 0.3, 1e-3, 1e-5
    rng = np.random.default_rng(0)
    neutral = np.tile([[signal, 2 * signal], [2 * signal, 1.25 * signal]], (128, 128))  # grey by the white balance
    noisy = neutral + np.sqrt(shot * neutral + read) * rng.standard_normal(neutral.shape)
    levels = np.rint(1024 + noisy * (16383 - 1024)).astype(np.uint16)
    path = write_dng(tmp_path / "a.dng", levels, black=1024, white=16383, noise_profile=[shot, read])
    perfect = bayer.pack(torch.from_numpy(neutral).float()[None])[None]
    with mock.patch.object(TiledDenoiser, "__call__", return_value=perfect):
        result = denoise(path, "--output", tmp_path / "out", "--weights", weights["raw"], *shares)
    assert result.returncode == 0, result.stderr
    after, tags = read_raw(tmp_path / "out" / "a.dng", clip=False), read_tags(tmp_path / "out" / "a.dng")
    assert tags is not None and tags.ifd0[50935].numbers == (min(map(float, shares[1::2])),)  # type: ignore[call-overload]
    assert after.plane_noise is not None
    for plane, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        found = after.mosaic[row::2, column::2].var()
        stated = after.plane_noise[0][plane] * neutral[row, column] + after.plane_noise[1][plane]
        assert found == pytest.approx(stated, rel=5 * 0.011)  # of 16384 values


def test_a_file_denoised_in_full_has_no_profile(tmp_path: Path, weights: dict[str, Path]) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(32, 40), noise_profile=[0.01, 1e-4])
    assert denoise(path, "--output", tmp_path / "out", "--weights", weights["raw"]).returncode == 0
    tags = read_tags(tmp_path / "out" / "a.dng")
    assert tags is not None and tags.ifd0[50935].numbers == (1,) and tags.find(51041) is None
