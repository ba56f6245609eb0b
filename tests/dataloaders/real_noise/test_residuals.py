"""Real noise from scenes of SIDD and from frames arrives on images as it was put into the files."""

import errno
import io
import itertools
import logging
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from cycleisp.dataloaders.real_noise.finding import find_residual_sources
from cycleisp.dataloaders.real_noise.residuals import ResidualNoise, open_noise
from cycleisp.dataloaders.real_noise.sidd_pairs import PairSource
from cycleisp.dataloaders.real_noise.sources import ResidualError
from cycleisp.dataloaders.sidd.scenes import SiddError
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw.noise import FixedNoise, NoisyRaw
from tests.support.dnd import create_matlab_file, write_array
from tests.support.dng_layouts import NOISE_PROFILE, Value, write_tagged_dng
from tests.support.real_noise import (
    READ_NOISE,
    SCENES,
    SHOT_NOISE,
    add_noise,
    clean_mosaic,
    planes_of,
    red_at,
    window_of,
    write_frame,
    write_known_cameras,
    write_levels,
    write_scene,
)

RGGB, BGGR, GRBG, GBRG = (SCENES[pattern] for pattern in ("RGGB", "BGGR", "GRBG", "GBRG"))


def noise_from(folder: Path, match: int = 1) -> ResidualNoise:
    return ResidualNoise(folder, find_residual_sources(folder)[0], match)


def grey(height: int, width: int, level: float = 0.5) -> Tensor:
    """Returns a flat image (4, height, width) of packed RAW."""
    return torch.full((4, height, width), level)


def place_of(noisy: NoisyRaw) -> dict[str, Any]:
    place = noisy.origin["residual"]
    assert isinstance(place, dict)
    return place


def packed(mosaic: NDArray) -> NDArray:
    """Returns an RGGB mosaic as planes (4, H/2, W/2)."""
    return np.stack(planes_of(mosaic, "RGGB"))


def one_scene(folder: Path, pattern: str, height: int, width: int, **noise: Any) -> tuple[NDArray, NDArray]:
    """Writes a scene of known noise, and returns noisy and clean (H, W) as they are stored."""
    write_known_cameras(folder)
    even = clean_mosaic(height + height % 2, width + width % 2)
    noisy = add_noise(even, pattern, **noise)[:height, :width]
    clean = even[:height, :width]
    write_scene(folder / "Data", SCENES[pattern], noisy, clean)
    return noisy.astype(np.float32), clean.astype(np.float32)


# ---------------------------------------------------------------- where the noise comes from


@pytest.mark.parametrize("pattern", SCENES)
@pytest.mark.parametrize(
    ("source", "image"),
    [
        ((40, 56), (8, 12)),  # cropped
        ((40, 56), (20, 28)),  # as large as an RGGB mosaic is, larger than what is left of others
        ((37, 51), (10, 10)),  # odd
        ((37, 51), (18, 25)),
        ((12, 60), (17, 9)),  # higher than the source
        ((14, 9), (40, 30)),  # many times larger
        ((3, 3), (5, 4)),  # one tile
    ],
)
def test_the_noise_is_noisy_minus_clean_at_the_place_told_with_its_bayer_phase(
    tmp_path: Path, pattern: str, source: tuple[int, int], image: tuple[int, int]
) -> None:
    noisy, clean = one_scene(tmp_path, pattern, *source)
    image_raw = torch.rand(4, *image, generator=torch.Generator().manual_seed(3))
    for seed in range(5):
        drawn = noise_from(tmp_path).add(image_raw, seed)
        place = place_of(drawn)
        assert (place["top"] % 2, place["left"] % 2) == red_at(pattern)  # a red pixel
        rows, columns = window_of(place)
        residual = (noisy - clean)[rows, columns]
        missing = 2 * image[0] - residual.shape[0], 2 * image[1] - residual.shape[1]
        assert missing == (place["reflected_rows"], place["reflected_columns"])
        assert min(missing) >= 0
        expected = packed(np.pad(residual, [(0, missing[0]), (0, missing[1])], mode="reflect"))
        torch.testing.assert_close(drawn.image, image_raw + torch.from_numpy(expected))
        name = SCENES[pattern]
        assert place["source"] == f"Data/{name}/{name[:4]}_010"
        assert place["file"] == f"Data/{name}/{name[:4]}_NOISY_RAW_010.MAT"
        assert place["pattern"] == pattern


def test_places_are_drawn_from_the_whole_source(tmp_path: Path) -> None:
    one_scene(tmp_path, "BGGR", 14, 20)
    noise = noise_from(tmp_path)
    places = [place_of(noise.add(grey(3, 4), seed)) for seed in range(200)]
    assert {place["top"] for place in places} == {
        1,
        3,
        5,
        7,
    }  # 12 rows of whole tiles from the first on, 6 of them used
    assert {place["left"] for place in places} == {1, 3, 5, 7, 9, 11}


def test_every_source_and_every_frame_is_drawn_about_equally_often(tmp_path: Path) -> None:
    write_scene(tmp_path, RGGB, clean_mosaic(16, 16, 2), clean_mosaic(16, 16))
    write_scene(tmp_path, GRBG, clean_mosaic(16, 16, 3), clean_mosaic(16, 16))
    for number in range(3):
        write_frame(tmp_path / "burst" / f"{number}.dng", add_noise(clean_mosaic(40, 40), seed=number))
    noise = noise_from(tmp_path)
    places = [place_of(noise.add(grey(4, 4), seed)) for seed in range(600)]
    shares = {name: sum(place["source"] == name for place in places) / 600 for name in {p["source"] for p in places}}
    assert set(shares) == {f"{RGGB}/0031_010", f"{GRBG}/0009_010", "burst/frames"}
    assert all(abs(share - 1 / 3) < 5 * math.sqrt(2 / 9 / 600) for share in shares.values())
    frames = [place["file"] for place in places if place["source"] == "burst/frames"]
    assert set(frames) == {f"burst/{number}.dng" for number in range(3)}


def test_noise_depends_on_image_and_seed_alone(tmp_path: Path) -> None:
    one_scene(tmp_path, "RGGB", 64, 64)
    write_scene(tmp_path / "Data", BGGR, clean_mosaic(64, 64, 2), clean_mosaic(64, 64))
    noise, again = (noise_from(tmp_path, match=4) for _ in range(2))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = [noise.add(grey(8, 8), seed) for seed in (0, 5, 2**63 - 1)]
    assert torch.equal(torch.get_rng_state(), state)
    for seed, expected in zip((2**63 - 1, 5, 0), first[::-1], strict=True):
        drawn = again.add(grey(8, 8), seed)
        assert torch.equal(drawn.image, expected.image)
        assert drawn.origin == expected.origin
    assert not torch.equal(first[0].image, first[1].image)


# ---------------------------------------------------------------- its physics


@pytest.mark.parametrize("pattern", SCENES)
def test_the_variance_against_intensity_is_what_was_put_in(tmp_path: Path, pattern: str) -> None:
    clean = one_scene(tmp_path, pattern, 640, 800)[1]
    noise, image = noise_from(tmp_path), grey(150, 200)
    signals, drawn = [], []
    for seed in range(6):
        noisy = noise.add(image, seed)
        rows, columns = window_of(place_of(noisy))
        signals.append(packed(clean[rows, columns]))
        drawn.append((noisy.image - image).numpy())
    signal, values = np.stack(signals).ravel().astype(np.float64), np.stack(drawn).ravel().astype(np.float64)
    levels = np.quantile(signal, np.linspace(0, 1, 9))
    for low, high in itertools.pairwise(levels):
        inside = (signal >= low) & (signal <= high)
        assert inside.sum() > 50_000
        expected = SHOT_NOISE * signal[inside].mean() + READ_NOISE
        assert values[inside].var() == pytest.approx(expected, rel=0.05)
        assert abs(values[inside].mean()) < 5 * math.sqrt(expected / inside.sum())


FACTORS = (1.0, 2.0, 3.0, 0.5)


@pytest.mark.parametrize("pattern", SCENES)
@pytest.mark.parametrize("image", [(120, 150), (400, 420)], ids=["smaller", "larger"])
def test_the_noise_of_each_plane_arrives_in_its_plane(tmp_path: Path, pattern: str, image: tuple[int, int]) -> None:
    one_scene(tmp_path, pattern, 402, 500, factors=FACTORS, shot=0, read=1e-4)
    drawn = noise_from(tmp_path).add(grey(*image), 0).image - 0.5
    for plane, factor in zip(drawn.double(), FACTORS, strict=True):
        assert float(plane.var()) == pytest.approx(1e-4 * factor, rel=0.05)


def box_filtered(rng: np.random.Generator, height: int, width: int) -> NDArray:
    """Draws noise of variance 1 that is correlated 3 values down and 5 across.

    The covariances are 2/3, 1/3 downwards, and 4/5, 3/5, ... across.
    """
    fine = rng.standard_normal((height + 2, width + 4))
    shifted = [fine[r : r + height, c : c + width] for r in range(3) for c in range(5)]
    return np.sum(shifted, axis=0) / math.sqrt(15)


@pytest.mark.parametrize("pattern", SCENES)
def test_the_spatial_covariance_of_each_plane_is_what_was_put_in(tmp_path: Path, pattern: str) -> None:
    one_scene(tmp_path, pattern, 1202, 1202, shot=0, read=4e-4, source=box_filtered)
    drawn = (noise_from(tmp_path).add(grey(590, 590), 0).image - 0.5).double().numpy()
    expected = {(1, 0): 2 / 3, (2, 0): 1 / 3, (0, 1): 4 / 5, (0, 2): 3 / 5, (1, 1): 8 / 15}
    for plane in drawn:
        height, width = plane.shape
        for (down, right), share in expected.items():
            covariance = (plane[: height - down, : width - right] * plane[down:, right:]).mean()
            assert covariance == pytest.approx(4e-4 * share, rel=0.05)
    planes = np.corrcoef(drawn.reshape(4, -1)) - np.eye(4)
    assert np.abs(planes).max() < 0.03  # none comes between the planes


# ---------------------------------------------------------------- frames


def write_frames(folder: Path, clean: NDArray, count: int, pattern: str = "RGGB", **noise: Any) -> None:
    for number in range(count):
        write_frame(folder / f"{number}.dng", add_noise(clean, pattern, seed=number, **noise), pattern)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_frames_give_residuals_of_one_frames_variance(tmp_path: Path, count: int) -> None:
    clean = clean_mosaic(360, 402)
    write_frames(tmp_path, clean, count, "GRBG", factors=FACTORS)
    drawn = noise_from(tmp_path).add(grey(180, 200), 0)
    rows, columns = window_of(place_of(drawn))
    signal = packed(clean[rows, columns])
    values = (drawn.image - 0.5).double().numpy()
    for plane, expected, factor in zip(values, signal, FACTORS, strict=True):
        whitened = plane / np.sqrt(factor * (SHOT_NOISE * expected + READ_NOISE))
        assert whitened.var() == pytest.approx(1, rel=0.05)
    assert place_of(drawn)["file"].endswith(".dng")


def test_dark_frames_keep_both_halves_of_their_noise(tmp_path: Path) -> None:
    write_frames(tmp_path / "dark", np.zeros((300, 300)), 4, shot=0, read=4e-6)
    drawn = noise_from(tmp_path).add(grey(150, 150), 0).image.double() - 0.5
    assert float(drawn.var()) == pytest.approx(4e-6, rel=0.05)
    assert abs(float(drawn.mean())) < 1e-4
    assert float((drawn > 0).double().mean()) == pytest.approx(0.5, abs=0.02)


def test_frames_of_a_folder_must_be_of_one_scene(tmp_path: Path) -> None:
    clean = clean_mosaic(200, 200)
    write_frames(tmp_path / "good", clean, 2)
    write_frames(tmp_path / "single", clean, 1)
    write_frames(tmp_path / "sizes", clean, 2)
    write_frame(tmp_path / "sizes" / "9.dng", clean[:100])
    write_frames(tmp_path / "patterns", clean, 2)
    write_frame(tmp_path / "patterns" / "9.dng", clean, "BGGR")
    write_frames(tmp_path / "moved", clean, 1)
    write_frame(tmp_path / "moved" / "1.dng", add_noise(np.roll(clean, 8, axis=1), seed=1))
    for number in range(2):
        write_frame(tmp_path / "copies" / f"{number}.dng", add_noise(clean))
    write_frames(tmp_path / "broken", clean, 1)
    (tmp_path / "broken" / "1.dng").write_bytes(b"garbage" * 100)
    sources, problems = find_residual_sources(tmp_path)
    assert [source.name for source in sources] == ["good/frames"]
    reasons = {
        "broken/1.dng": "LibRaw cannot read it",
        "copies/0.dng": "copies of one",
        "moved/0.dng": "by more than noise",
        "patterns/9.dng": "Bayer pattern BGGR, 0.dng has RGGB",
        "single/0.dng": "two or more frames",
        "sizes/9.dng": "pixels 200x100, 0.dng has 200x200",
    }
    assert len(problems) == len(reasons)
    for problem, (name, reason) in zip(problems, reasons.items(), strict=True):
        assert problem.startswith(f"{tmp_path / name}: ")
        assert reason in problem


@pytest.mark.parametrize("broken", ["0.dng", "1.dng", "9.dng"])
def test_a_broken_frame_is_left_out_by_name_and_the_others_are_used(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_frames(tmp_path, clean_mosaic(60, 60), 3)
    whole = (tmp_path / "0.dng").read_bytes()
    (tmp_path / broken).write_bytes(whole[:-500])
    (source,), problems = find_residual_sources(tmp_path)
    assert not problems
    assert [path.name for path in source.files] == [n for n in ("0.dng", "1.dng", "2.dng") if n != broken]
    assert f"a frame is left out: {tmp_path / broken}: LibRaw cannot read it as a whole (500 bytes" in caplog.text


@pytest.mark.parametrize("preview", [False, True])
def test_frames_tell_their_noise_level_in_either_layout_and_by_content(tmp_path: Path, preview: bool) -> None:
    for number, name in enumerate(("a.dng", "b.TIF", "c")):
        mosaic = (64 + 959 * add_noise(clean_mosaic(40, 40), seed=number).clip(0, 1)).round().astype(np.uint16)
        profile: dict[int, Value | None] = {NOISE_PROFILE: ("d", 2, (SHOT_NOISE, READ_NOISE))}
        write_tagged_dng(tmp_path / name, mosaic, profile, preview)
    (source,), problems = find_residual_sources(tmp_path)
    assert not problems and len(source.files) == 3
    assert source.noise_levels == ((SHOT_NOISE,) * 4, (READ_NOISE,) * 4)


@pytest.mark.parametrize("profile", [(-0.01, 1e-4), (math.nan, 1e-4), (0.0, 0.0)], ids=str)
def test_frames_with_an_impossible_level_have_none(tmp_path: Path, profile: tuple[float, float]) -> None:
    for number in range(2):
        mosaic = (64 + 959 * add_noise(clean_mosaic(40, 40), seed=number).clip(0, 1)).round().astype(np.uint16)
        write_tagged_dng(tmp_path / f"{number}.dng", mosaic, {NOISE_PROFILE: ("d", 2, profile)})
    (source,), _ = find_residual_sources(tmp_path)
    assert source.noise_levels is None and "has no NoiseProfile that can be used" in source.levels_problem


def test_a_full_temporary_folder_stops_the_run_and_is_no_fault_of_the_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(tmp_path, clean_mosaic(40, 40), 2)

    class FullDisk(io.BytesIO):
        def write(self, content: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", FullDisk)
    with pytest.raises(UserError, match=r"cannot be unpacked there \(No space left on device\).*set TMPDIR"):
        find_residual_sources(tmp_path)


def test_a_place_is_read_once_however_often_it_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_scene(tmp_path, "RGGB", 20, 20)
    noise, reads = noise_from(tmp_path, match=8), []
    read = PairSource.read_clean
    monkeypatch.setattr(PairSource, "read_clean", lambda self, window: reads.append(window) or read(self, window))
    noise.add(grey(10, 10), 0)
    assert len(reads) == 1


def test_frames_with_row_noise_are_not_taken_for_moved_ones(tmp_path: Path) -> None:
    clean = clean_mosaic(256, 256)
    for number in range(3):
        noisy = add_noise(clean, seed=number, shot=0, read=1e-4)
        # noise of whole rows, as strong as the other noise
        noisy += 0.01 * np.random.default_rng(50 + number).standard_normal((256, 1))
        write_frame(tmp_path / f"{number}.dng", noisy)
    assert len(find_residual_sources(tmp_path)[0]) == 1


# ---------------------------------------------------------------- signal


def flat_scenes(folder: Path, levels: Mapping[str, float]) -> None:
    """Writes scenes of one level each."""
    write_known_cameras(folder)
    for number, (scene, level) in enumerate(levels.items()):
        clean = np.full((64, 64), level)
        write_scene(folder, scene, add_noise(clean, seed=number), clean)


def test_of_several_places_the_one_nearest_in_signal_is_taken(tmp_path: Path) -> None:
    levels = {RGGB: 0.05, BGGR: 0.2, GRBG: 0.45, GBRG: 0.8}
    flat_scenes(tmp_path, levels)
    noise = noise_from(tmp_path, match=40)  # all scenes are among so many
    for scene, level in levels.items():
        for seed in range(5):
            assert place_of(noise.add(grey(8, 8, level * 1.05), seed))["source"].startswith(scene)
    unmatched = noise_from(tmp_path, match=1)
    sources = {place_of(unmatched.add(grey(8, 8, 0.05), seed))["source"] for seed in range(60)}
    assert len(sources) == 4


def test_signals_are_compared_plane_by_plane(tmp_path: Path) -> None:
    """Two scenes of the same mean, one red, one blue, in mosaics of different patterns."""
    write_known_cameras(tmp_path)
    for scene, pattern, red, blue in ((BGGR, "BGGR", 0.6, 0.1), (GRBG, "GRBG", 0.1, 0.6)):
        clean = np.full((64, 64), 0.3)
        planes_of(clean, pattern)[0][:] = red
        planes_of(clean, pattern)[3][:] = blue
        write_scene(tmp_path, scene, add_noise(clean), clean)
    noise = noise_from(tmp_path, match=20)
    reddish = torch.tensor([0.5, 0.3, 0.3, 0.2]).view(4, 1, 1).expand(4, 8, 8)
    for seed in range(5):
        assert place_of(noise.add(reddish, seed))["pattern"] == "BGGR"
        assert place_of(noise.add(reddish.flip(0), seed))["pattern"] == "GRBG"


# ---------------------------------------------------------------- layouts


def test_scenes_are_found_at_any_depth_with_all_their_shots(tmp_path: Path) -> None:
    clean = clean_mosaic(16, 16)
    for number in ("010", "011"):
        write_scene(tmp_path / "SIDD" / "Data", RGGB, add_noise(clean), clean, number)
    write_scene(tmp_path / "SIDD", BGGR, add_noise(clean), clean)
    (tmp_path / "SIDD" / "Data" / RGGB / "._0031_NOISY_RAW_010.MAT").write_bytes(b"of another system")
    (tmp_path / "SIDD" / "Data" / RGGB / "0031_METADATA_RAW_010.MAT").write_bytes(b"not read")

    def names(folder: Path) -> list[str]:
        sources, problems = find_residual_sources(folder)
        assert problems == []
        return [source.name for source in sources]

    both = [f"{RGGB}/0031_010", f"{RGGB}/0031_011"]
    assert names(tmp_path / "SIDD") == [f"{BGGR}/0021_010", *(f"Data/{name}" for name in both)]
    assert names(tmp_path / "SIDD" / "Data") == both
    assert names(tmp_path / "SIDD" / "Data" / RGGB) == ["0031_010", "0031_011"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def other_key(path: Path) -> None:
    path.unlink()
    write_array(path, "y", np.zeros((16, 16), np.float32))


def integers(path: Path) -> None:
    path.unlink()
    write_array(path, "x", np.zeros((16, 16), np.uint16))


def three_planes(path: Path) -> None:
    path.unlink()
    write_array(path, "x", np.zeros((16, 16, 3), np.float32))


def group(path: Path) -> None:
    path.unlink()
    with create_matlab_file(path) as file:
        file.create_group("x")


def smaller(path: Path) -> None:
    path.unlink()
    write_array(path, "x", np.full((14, 16), 0.5, np.float32))


def sensor_units(path: Path) -> None:
    path.unlink()
    write_array(path, "x", np.full((16, 16), 700, np.float32))


def not_a_number(path: Path) -> None:
    path.unlink()
    write_array(path, "x", np.full((16, 16), np.nan, np.float32))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "beside it"),
    "truncated": (cut, "not a whole RAW file of SIDD-Medium"),
    "empty": (lambda path: path.write_bytes(b""), "not a whole RAW file"),
    "another key": (other_key, "'x' doesn't exist"),
    "integers": (integers, "floats, got uint16"),
    "colours": (three_planes, "got float32 (3, 16, 16)"),
    "a group": (group, "not a whole RAW file"),
    "another size": (smaller, "16x14"),
    "sensor units": (sensor_units, "expected values in [0, 1], got 700..700"),
    "NaN": (not_a_number, "expected values in [0, 1], got nan..nan"),
}


@pytest.mark.parametrize("kind", ["NOISY", "GT"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_scene_is_left_out_with_the_reason(tmp_path: Path, damage: str, kind: str) -> None:
    clean = clean_mosaic(16, 16)
    write_scene(tmp_path, RGGB, add_noise(clean), clean)
    bad = write_scene(tmp_path, BGGR, add_noise(clean), clean) / f"0021_{kind}_RAW_010.MAT"
    spoil, reason = DAMAGES[damage]
    spoil(bad)
    sources, problems = find_residual_sources(tmp_path)
    assert [source.name for source in sources] == [f"{RGGB}/0031_010"]
    (problem,) = problems
    assert bad.name in problem
    assert str(bad.parent) in problem
    assert reason in problem


@pytest.mark.parametrize(
    ("scene", "reason"),
    [("my_scene", "no scene of SIDD"), ("0009_001_ZZ_00800_00350_3200_L", "camera ZZ has no known Bayer pattern")],
)
def test_a_scene_of_unknown_pattern_is_not_guessed(tmp_path: Path, scene: str, reason: str) -> None:
    clean = clean_mosaic(16, 16)
    write_scene(tmp_path, RGGB, add_noise(clean), clean)
    place = tmp_path / scene
    write_array(place / "0009_NOISY_RAW_010.MAT", "x", clean.astype(np.float32))
    write_array(place / "0009_GT_RAW_010.MAT", "x", clean.astype(np.float32))
    (problem,) = find_residual_sources(tmp_path)[1]
    assert reason in problem
    assert str(place) in problem


def test_a_mosaic_without_a_whole_tile_is_left_out(tmp_path: Path) -> None:
    write_scene(tmp_path, RGGB, clean_mosaic(16, 16, 1), clean_mosaic(16, 16))
    write_scene(tmp_path, BGGR, np.full((2, 2), 0.5), np.full((2, 2), 0.5))
    (problem,) = find_residual_sources(tmp_path)[1]
    assert "no whole RGGB tile" in problem


def test_a_folder_without_any_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResidualError, match="nowhere: no such folder"):
        find_residual_sources(tmp_path / "nowhere")
    with pytest.raises(ResidualError, match=r"no source of real noise; looked for SIDD's .* found neither"):
        find_residual_sources(tmp_path)
    write_scene(tmp_path, RGGB, None, clean_mosaic(16, 16))
    with pytest.raises(
        ResidualError, match=r"left out: .*0031_GT_RAW_010.MAT: has no 0031_NOISY_RAW_010.MAT beside it"
    ):
        find_residual_sources(tmp_path)


def test_a_damaged_table_of_patterns_is_refused(tmp_path: Path) -> None:
    write_scene(tmp_path, RGGB, clean_mosaic(16, 16, 1), clean_mosaic(16, 16))
    (tmp_path / "bayer_patterns.csv").write_text("camera_id,bayer_pattern\nIP,RGBG\n")
    with pytest.raises(SiddError, match="unknown Bayer pattern 'RGBG'"):
        find_residual_sources(tmp_path)


# ---------------------------------------------------------------- damage inside a file


def spoil_pixels(path: Path) -> None:
    """Damages all of an array but its middle chunk, so that the file opens well and reads badly."""
    with h5py.File(path) as file:
        stored = file["x"]
        chunks = [stored.id.get_chunk_info(number) for number in range(stored.id.get_num_chunks())]
        middle = tuple(side // 2 // chunk * chunk for side, chunk in zip(stored.shape, stored.chunks, strict=True))
        ranges = [(chunk.byte_offset, chunk.size) for chunk in chunks if chunk.chunk_offset != middle]
    assert ranges
    content = bytearray(path.read_bytes())
    for start, size in ranges:
        content[start : start + size] = bytes(size)
    path.write_bytes(content)


def large_scene(folder: Path, scene: str) -> Path:
    """Writes a scene of many chunks, the middle one of which is all that is read on opening it."""
    place = folder / scene
    clean = np.full((384, 384), 0.5, np.float32)
    for kind, mosaic in (("NOISY", add_noise(clean)), ("GT", clean)):
        path = place / f"{scene[:4]}_{kind}_RAW_010.MAT"
        place.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:  # without MATLAB's header, which would shift offsets
            file.create_dataset("x", data=mosaic.T.astype(np.float32), chunks=(128, 128), compression="gzip")
    return place


@pytest.mark.parametrize("kind", ["NOISY", "GT"])
@pytest.mark.parametrize("match", [1, 8])
def test_damage_inside_a_file_passes_the_draw_to_another_source(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, match: int
) -> None:
    large_scene(tmp_path, RGGB)
    spoil_pixels(large_scene(tmp_path, BGGR) / f"0021_{kind}_RAW_010.MAT")
    noise = noise_from(tmp_path, match)
    assert len(noise.sources) == 2
    with caplog.at_level(logging.WARNING):
        names = {place_of(noise.add(grey(180, 180), seed))["source"] for seed in range(10)}
    assert names == {f"{RGGB}/0031_010"}
    assert len(caplog.messages) == 1  # told once
    assert "0021" in caplog.messages[0] and "get it again" in caplog.messages[0]


def test_when_no_source_can_be_read_any_more_it_says_so(tmp_path: Path) -> None:
    place = large_scene(tmp_path, RGGB)
    noise = noise_from(tmp_path)
    spoil_pixels(place / "0031_GT_RAW_010.MAT")
    with pytest.raises(ResidualError, match="no source of noise can be read any more"):
        noise.add(grey(180, 180), 0)


def test_of_a_file_only_the_crop_is_read(tmp_path: Path) -> None:
    spoil_pixels(large_scene(tmp_path, RGGB) / "0031_GT_RAW_010.MAT")
    noise = noise_from(tmp_path)
    source = noise.sources[0]
    assert source.read_residual((slice(128, 256), slice(128, 256)), 0).shape == (128, 128)
    with pytest.raises(ResidualError, match="get it again"):
        source.read_residual((slice(128, 257), slice(128, 256)), 0)


# ---------------------------------------------------------------- noise levels


def recipe(**values: Any) -> GenerationRecipe:
    return GenerationRecipe(input=["photos"], output="pairs", **values)


def test_the_noise_levels_of_a_scene_come_with_its_noise(tmp_path: Path) -> None:
    one_scene(tmp_path, "GRBG", 32, 32)
    write_levels(tmp_path, [GRBG])
    drawn = noise_from(tmp_path).add(grey(8, 8), 0)
    assert drawn.shot_noise == pytest.approx((SHOT_NOISE, 2 * SHOT_NOISE, 2 * SHOT_NOISE, SHOT_NOISE))
    assert drawn.read_noise == pytest.approx((READ_NOISE, 2 * READ_NOISE, 2 * READ_NOISE, READ_NOISE))


@pytest.mark.parametrize(
    ("profile", "shots"),
    [
        ([1e-3, 1e-5], (1e-3, 1e-3, 1e-3, 1e-3)),
        ([1e-3, 1e-5, 2e-3, 2e-5, 3e-3, 3e-5], (1e-3, 2e-3, 2e-3, 3e-3)),
        ([1e-3, 1e-5, 2e-3, 2e-5], None),
    ],
)
def test_frames_have_the_levels_of_their_noise_profile(
    tmp_path: Path, profile: list[float], shots: tuple[float, ...] | None
) -> None:
    for number in range(2):
        write_frame(
            tmp_path / f"{number}.dng", add_noise(clean_mosaic(32, 32), seed=number), "BGGR", noise_profile=profile
        )
    drawn = noise_from(tmp_path).add(grey(8, 8), 0)
    if shots is None:
        assert drawn.shot_noise is drawn.read_noise is None
        return
    assert drawn.shot_noise == pytest.approx(shots)
    assert drawn.read_noise == pytest.approx([shot / 100 for shot in shots])


def test_variance_maps_need_the_levels_of_all_sources(tmp_path: Path) -> None:
    one_scene(tmp_path, "RGGB", 32, 32)
    write_scene(tmp_path, BGGR, clean_mosaic(32, 32, 1), clean_mosaic(32, 32))
    options = {"noise": "residual", "residual_source": str(tmp_path), "variance": True}
    with pytest.raises(UserError, match=r"2 of 2 sources .* first 0021.*noise_level_functions.csv: no such file"):
        open_noise(recipe(**options))
    write_levels(tmp_path, [RGGB])
    with pytest.raises(UserError, match=r"1 of 2 sources .* first 0021.*has no noise level for 1 of 1 scenes"):
        open_noise(recipe(**options))
    write_levels(tmp_path, [RGGB, BGGR])
    assert isinstance(open_noise(recipe(**options)), ResidualNoise)


# ---------------------------------------------------------------- options and settings


def test_other_noise_is_opened_as_before() -> None:
    assert open_noise(recipe(noise="shot=0.01,read=0.0005")) == FixedNoise(0.01, 0.0005)
    assert open_noise(recipe(noise="dnd")).settings == {}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"noise": "residual"}, "needs --residual-source"),
        ({"noise": "dnd", "residual_source": "SIDD"}, "is for --noise residual, got --noise dnd"),
        ({"noise": "residue"}, "unknown noise 'residue'.*or residual with a --residual-source"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        open_noise(recipe(**options))


def test_settings_change_with_all_that_noise_depends_on_and_not_with_the_place(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "noise"
    one_scene(folder, "RGGB", 32, 32)
    write_frames(folder / "burst", clean_mosaic(32, 32), 2)
    before = dict(noise_from(folder, 8).settings)
    assert before["residual_source"] == "noise"
    assert before["residual_match"] == 8
    assert noise_from(folder, 2).settings == {**before, "residual_match": 2}
    folder = folder.parent.rename(tmp_path / "b") / "noise"
    assert noise_from(folder, 8).settings == before
    digests = {before["residual_sha256"]}
    write_levels(folder, [RGGB])
    digests.add(noise_from(folder).settings["residual_sha256"])
    (folder / "bayer_patterns.csv").write_text("camera_id,bayer_pattern\nIP,GRBG\n")
    digests.add(noise_from(folder).settings["residual_sha256"])
    write_frames(folder / "burst", clean_mosaic(32, 32), 3)
    digests.add(noise_from(folder).settings["residual_sha256"])
    assert len(digests) == 4
