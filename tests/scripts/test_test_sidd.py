"""test_sidd.py as users call it, on small blocks in the true layout: scores by hand, RAW as RGGB,
resumed runs.
"""

import itertools
import json
import math
import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import test_sidd
from cycleisp.dataloaders import protocols
from cycleisp.dataloaders.sidd.scenes import PATTERNS, VALIDATION_SCENES, parse_scene
from cycleisp.dataloaders.sidd.submission import validate_submission
from cycleisp.networks.pretrained import load_denoiser
from cycleisp.tasks import benchmarks
from cycleisp.utils.images import Space
from cycleisp.utils.metrics import ssim_8bit, ssim_luma_8bit, ssim_raw
from cycleisp.utils.raw.bayer import flip_to_rggb, pack
from tests.support.scripts import Outcome, call_script, error_line
from tests.support.sidd import (
    SIDE,
    noise_levels,
    some_blocks,
    with_noise,
    write_blocks,
    write_noise_levels,
    write_validation,
)

Weights = dict[str, Path]
SPACES = pytest.mark.parametrize("space", ["raw", "srgb"])
EQUAL = (3, 5)  # scene and block that are without noise
CAMERAS = [parse_scene(name).camera for name in VALIDATION_SCENES]


@dataclass(frozen=True)
class FakeSidd:
    """Where the files lie, and what is in them."""

    folder: Path
    noisy: NDArray
    clean: NDArray


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "SIDD_SIDE", SIDE)


@pytest.fixture(scope="module")
def sidd(tmp_path_factory: pytest.TempPathFactory) -> dict[Space, FakeSidd]:
    """Both validation sets; the benchmark's are the same noisy blocks. Never written to."""
    folder, sets = tmp_path_factory.mktemp("SIDD"), {}
    spaces: tuple[Space, ...] = ("raw", "srgb")
    for space in spaces:
        clean = some_blocks(space)
        noisy = with_noise(clean)
        noisy[EQUAL] = clean[EQUAL]
        write_validation(folder, noisy, clean)
        write_blocks(folder / f"BenchmarkNoisyBlocks{space.capitalize()}.mat", noisy)
        sets[space] = FakeSidd(folder, noisy, clean)
    (folder / "scenes.txt").write_text("\n".join(VALIDATION_SCENES))
    return sets


@pytest.fixture
def squared(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of networks, which take a while for 1280 blocks: every value times itself."""
    monkeypatch.setattr(benchmarks, "BatchDenoiser", lambda *_: lambda noisy, _variance=None: noisy * noisy)


@pytest.fixture
def psnr_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """SSIM of 1280 blocks takes a while, too."""
    for space, protocol in protocols.SIDD.items():
        measures = {"psnr": protocol.measures["psnr"]}
        monkeypatch.setitem(protocols.SIDD, space, replace(protocol, measures=measures))  # type: ignore[misc]


def run(space: Space, data: Path, output: Path, *options: object, split: str = "validation") -> Outcome:
    common = ("--space", space, "--split", split, "--data", data, "--output", output, "--device", "cpu")
    scenes = ("--scenes", data / "scenes.txt") if (space, split) == ("raw", "benchmark") else ()
    return call_script(test_sidd.main, *common, "--batch-size", 32, *scenes, *options)


def succeeded(result: Outcome) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


def metrics(output: Path) -> dict[str, Any]:
    """Strict JSON: no NaN or Infinity that only Python would read."""

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    return json.loads((output / "metrics.json").read_text(), parse_constant=refuse)


def psnr(first: NDArray, second: NDArray) -> float:
    peak = 255 if first.dtype == np.uint8 else 1
    error = np.mean((first.astype(np.float64) - second.astype(np.float64)) ** 2)
    return 10 * math.log10(peak**2 / error) if error else math.inf


def table(said: str, heading: str) -> dict[str, list[str]]:
    """A table of the report: the first cell of each row, and the others."""
    lines = said.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name] = cells
    return rows


# ---------------------------------------------------------------- scores


@SPACES
def test_a_denoiser_that_does_nothing_has_the_noisy_blocks_scores(
    tmp_path: Path,
    sidd: dict[Space, FakeSidd],
    weights: Weights,
    space: Space,
) -> None:
    data, out = sidd[space], tmp_path / "deep" / "out"
    said = succeeded(run(space, data.folder, out, "--weights", weights[f"{space}-identity"]))
    results = np.load(out / "blocks.npy").reshape(data.noisy.shape)
    np.testing.assert_array_equal(results, data.noisy)
    noisy, clean = (values.reshape(1280, -1) for values in (data.noisy, data.clean))
    expected = np.array([psnr(*pair) for pair in zip(noisy, clean, strict=True)])
    assert np.isinf(expected).sum() == 1 and math.isinf(expected[EQUAL[0] * 32 + EQUAL[1]])
    finite = np.isfinite(expected)
    stored = metrics(out)
    assert [float(value) for value in stored["blocks"]["psnr"]] == pytest.approx(expected.tolist(), abs=1e-5)
    assert stored["blocks"]["psnr"][EQUAL[0] * 32 + EQUAL[1]] == "inf"
    assert stored["mean"]["psnr"] == pytest.approx(expected[finite].mean())
    assert (stored["mean"]["infinite"], stored["mean"]["blocks"]) == (1, 1280)
    measures = {"ssim": ssim_raw} if space == "raw" else {"ssim": ssim_8bit, "ssim_luma": ssim_luma_8bit}
    for name, measure in measures.items():
        values = stored["blocks"][name]
        for scene, block in ((0, 0), EQUAL, (39, 31)):
            by_hand = measure(data.noisy[scene, block], data.clean[scene, block])
            assert values[scene * 32 + block] == pytest.approx(by_hand, abs=1e-6)
        assert stored["mean"][name] == pytest.approx(np.mean(values), abs=1e-6)
    # by camera and by ISO
    scenes = [parse_scene(name) for name in VALIDATION_SCENES]
    groups = {
        "camera": [scene.camera for scene in scenes],
        "iso": [f"{scene.iso:05}" for scene in scenes],
    }
    by_scene = expected.reshape(40, 32)
    for kind, labels in groups.items():
        assert list(stored[f"by_{kind}"]) == sorted(set(labels))
        for label, row in stored[f"by_{kind}"].items():
            members = by_scene[[index for index, other in enumerate(labels) if other == label]]
            assert row["psnr"] == pytest.approx(members[np.isfinite(members)].mean())
            assert row["blocks"] == members.size and row["infinite"] == np.isinf(members).sum()
    # what is printed
    mean = stored["mean"]
    names = ("ssim",) if space == "raw" else ("ssim", "ssim_luma")
    assert table(said, "all") == {"": [f"{mean['psnr']:.2f}", *(f"{mean[name]:.4f}" for name in names), "1280"]}
    assert list(table(said, "camera")) == ["G4", "GP", "IP", "N6", "S6"]
    assert list(table(said, "iso")) == ["400", "800", "1000", "1250", "1600", "2000", "3200", "6400", "10000"]
    assert table(said, "camera")["S6"][0] == f"{stored['by_camera']['S6']['psnr']:.2f}"
    assert f"SIDD validation, {space}, 40 x 32 blocks" in said and "1 blocks equal their clean ones" in said
    assert "PSNR: dB" in said and stored["definitions"][0] in said
    assert stored["benchmark"] == "SIDD" and stored["space"] == space and stored["split"] == "validation"
    assert re.fullmatch("[0-9a-f]{64}", stored["weights"]) and stored["version"]
    assert Image.open(out / "worst.png").size[0] > 900
    assert not list(out.rglob("*.part"))


@pytest.mark.usefixtures("psnr_alone")
def test_a_real_network_and_all_its_pictures(
    tmp_path: Path,
    sidd: dict[Space, FakeSidd],
    weights: Weights,
) -> None:
    data, out = sidd["srgb"], tmp_path / "out"
    succeeded(run("srgb", data.folder, out, "--weights", weights["srgb"], "--save-images"))
    results = np.load(out / "blocks.npy")
    network = load_denoiser(weights["srgb"], "srgb")[0]
    for index in (0, 33, 1279):
        noisy = data.noisy[divmod(index, 32)]
        tensor = torch.from_numpy(noisy).permute(2, 0, 1)[None].float() / 255
        by_hand = (network(tensor)[0].clamp(0, 1) * 255).permute(1, 2, 0).numpy()
        assert np.abs(results[index] - by_hand).max() <= 0.501
        assert not np.array_equal(results[index], noisy)
        picture = np.asarray(Image.open(out / "images" / f"{index // 32:02}_{index % 32:02}.png"))
        strip = np.concatenate([noisy, results[index], data.clean[divmod(index, 32)]], axis=1)
        np.testing.assert_array_equal(picture, strip)
    assert len(list((out / "images").iterdir())) == 1280
    stored = metrics(out)
    assert stored["mean"]["infinite"] == 0 and "inf" not in stored["blocks"]["psnr"]
    assert stored["mean"]["psnr"] == pytest.approx(
        np.mean([psnr(*pair) for pair in zip(results, data.clean.reshape(results.shape), strict=True)])
    )


@pytest.mark.usefixtures("psnr_alone")
def test_the_contact_sheet_shows_the_blocks_with_the_lowest_psnr(
    tmp_path: Path,
    sidd: dict[Space, FakeSidd],
    weights: Weights,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[Sequence[Sequence[tuple[str, NDArray]]]] = []

    def record(rows: Sequence[Sequence[tuple[str, NDArray]]]) -> NDArray:
        shown.append(rows)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr("cycleisp.dataloaders.sidd.results.contact_sheet", record)
    monkeypatch.setattr(benchmarks, "BatchDenoiser", lambda *_: Spy(lambda noisy: noisy))
    data = sidd["raw"]
    succeeded(run("raw", data.folder, tmp_path / "out", "--weights", weights["raw"], "--save-images"))
    scores = [psnr(*pair) for pair in zip(data.noisy.reshape(1280, -1), data.clean.reshape(1280, -1), strict=True)]
    (rows,) = shown
    for row, index in zip(rows, np.argsort(scores)[:8], strict=True):
        scene, block = divmod(int(index), 32)
        captions = [caption for caption, _ in row]
        assert captions == [f"{VALIDATION_SCENES[scene]}, block {block}", f"{scores[index]:.2f} dB", "clean"]
        noisy, result, clean = (picture for _, picture in row)
        assert noisy.shape == (SIDE, SIDE, 3) and np.array_equal(noisy, result) and not np.array_equal(noisy, clean)
    sizes = [Image.open(path).size for path in (tmp_path / "out" / "images").iterdir()]
    assert len(sizes) == 1280 and set(sizes) == {(3 * SIDE, SIDE)}


# ---------------------------------------------------------------- RAW


class Spy:
    """In place of a BatchDenoiser: keeps what it is given and answers with `answer`."""

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        self.answer = answer
        self.seen: list[tuple[Tensor, Tensor]] = []

    def __call__(self, noisy: Tensor, variance: Tensor) -> Tensor:
        self.seen.append((noisy, variance))
        return self.answer(noisy)


def colored_mosaics() -> NDArray[np.float32]:
    """Red 0.2, green 0.4 in red lines and 0.6 in blue ones, blue 0.8; the first pixel of a block is
    brighter.
    """
    blocks = np.zeros((40, 32, SIDE, SIDE), np.float32)
    levels = {"R": 0.2, "r": 0.4, "b": 0.6, "B": 0.8}
    sites = {"RGGB": "RrbB", "BGGR": "BbrR", "GRBG": "rRBb", "GBRG": "bBRr"}
    for scene, camera in enumerate(CAMERAS):
        for place, site in enumerate(sites[PATTERNS[camera]]):
            blocks[scene, :, place // 2 :: 2, place % 2 :: 2] = levels[site]
        blocks[scene, :, 0, 0] += 0.1
    return blocks


@pytest.mark.usefixtures("psnr_alone")
def test_the_network_sees_true_rggb_of_every_camera_and_its_noise(
    tmp_path: Path,
    weights: Weights,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Answers are marked in the first of the red pixels, so that blocks not turned back would show
    it elsewhere.
    """
    mosaics = colored_mosaics()
    data = write_validation(tmp_path / "SIDD", mosaics, mosaics)
    write_noise_levels(data / "noise_level_functions.csv", VALIDATION_SCENES)

    def mark(noisy: Tensor) -> Tensor:
        answer = noisy.clone()
        answer[:, 0, 0, 0] = 0.99
        return answer

    spy = Spy(mark)
    monkeypatch.setattr(benchmarks, "BatchDenoiser", lambda *_: spy)
    succeeded(run("raw", data, tmp_path / "out", "--weights", weights["raw"]))
    noisy, variance = (torch.cat(part) for part in zip(*spy.seen, strict=True))
    assert noisy.shape == variance.shape == (1280, 4, SIDE // 2, SIDE // 2) and noisy.dtype == torch.float32
    flips = {"RGGB": (0, 0), "BGGR": (1, 1), "GRBG": (0, 1), "GBRG": (1, 0)}
    results = np.load(tmp_path / "out" / "blocks.npy")
    for index in (*range(0, 1280, 32), 31, 1279):
        scene = index // 32
        levels, known = noise_levels(scene), PATTERNS[CAMERAS[scene]]
        down, right = flips[known]
        for plane, level in enumerate((0.2, 0.4, 0.6, 0.8)):
            median = noisy[index, plane].median().item()
            assert median == pytest.approx(level), (known, plane)
            color = "rggb"[plane]
            expected = levels[f"beta1_{color}"] * noisy[index, plane] + levels[f"beta2_{color}"]
            torch.testing.assert_close(variance[index, plane], expected, rtol=1e-5, atol=0)
        # the bright first pixel of the block lies in the corner that the block was mirrored to
        corner = (-1 if down else 0, -1 if right else 0)
        site = 2 * down + right
        assert noisy[index, site][corner].item() > noisy[index, site].median() + 0.09
        # the answer's first red pixel lies where the camera's red is, in that corner
        different = np.argwhere(results[index] != mosaics[scene, index % 32])
        expected_at = (SIDE - 1 if down else 0, SIDE - 1 if right else 0)
        assert different.tolist() == [list(expected_at)], known
        assert results[index][expected_at] == np.float32(0.99)


def test_results_of_raw_are_clipped_and_not_rounded(
    tmp_path: Path,
    sidd: dict[Space, FakeSidd],
    weights: Weights,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spy = Spy(lambda noisy: 2.5 * noisy - 0.7)
    monkeypatch.setattr(benchmarks, "BatchDenoiser", lambda *_: spy)
    data = sidd["raw"]
    succeeded(run("raw", data.folder, tmp_path / "out", "--weights", weights["raw"], split="benchmark"))
    results = np.load(tmp_path / "out" / "blocks.npy").reshape(data.noisy.shape)
    assert results.dtype == np.float32 and results.min() == 0 and results.max() == 1
    np.testing.assert_allclose(results, np.clip(2.5 * data.noisy - 0.7, 0, 1), atol=1e-6)
    scene = CAMERAS.index("S6")
    first = pack(flip_to_rggb(torch.from_numpy(data.noisy[scene, :1]), PATTERNS["S6"])[:, None])
    torch.testing.assert_close(torch.cat([noisy for noisy, _ in spy.seen])[32 * scene][None], first)


@SPACES
def test_a_network_without_a_result_is_told(
    tmp_path: Path,
    sidd: dict[Space, FakeSidd],
    weights: Weights,
    monkeypatch: pytest.MonkeyPatch,
    space: Space,
) -> None:
    """Clipped and rounded, NaN would be black."""
    network, digest = load_denoiser(weights[space], space)
    torch.nn.init.constant_(network.tail.bias, float("nan"))  # type: ignore[arg-type]
    monkeypatch.setattr(benchmarks, "load_denoiser", lambda *_: (network, digest))
    said = error_line(run(space, sidd[space].folder, tmp_path / "out"))
    assert "the network's result holds NaN or infinity" in said
    assert np.isnan(np.load(tmp_path / "out" / "seconds.npy")).all()


# ---------------------------------------------------------------- submissions


@SPACES
@pytest.mark.usefixtures("squared")
def test_the_benchmark_becomes_a_submission_in_both_forms(
    tmp_path: Path,
    sidd: dict[Space, FakeSidd],
    weights: Weights,
    space: Space,
) -> None:
    data, out = sidd[space], tmp_path / "out"
    said = succeeded(run(space, data.folder, out, "--weights", weights[space], split="benchmark"))
    blocks = squares(data.noisy).reshape(1280, *data.noisy.shape[2:])
    for name in (f"Submit{space.capitalize()}.mat", f"Submit{space.capitalize()}.csv"):
        assert f"{out / name}: 1280 blocks of " in said
        validate_submission(out / name, blocks.__getitem__)
        checked = call_script(test_sidd.main, "--validate", out / name)
        assert checked.returncode == 0 and f"{out / name}: 1280 blocks of " in checked.stdout
    assert not (out / "metrics.json").exists() and not list(out.rglob("*.part"))
    table_file = out / f"Submit{space.capitalize()}.csv"
    table_file.write_bytes(table_file.read_bytes()[:-200])
    assert "would not be taken" in error_line(call_script(test_sidd.main, "--validate", table_file))
    succeeded(run(space, data.folder, out, "--weights", weights[space], split="benchmark"))
    validate_submission(table_file, blocks.__getitem__)  # written anew


# ---------------------------------------------------------------- resuming


def squares(noisy: NDArray) -> NDArray:
    """What `squared` makes of blocks."""
    if noisy.dtype == np.float32:
        return noisy * noisy
    unit = noisy.astype(np.float32) / 255
    return np.round((unit * unit).astype(np.float64) * 255).astype(np.uint8)


def counted(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[int]:
    """The size of every batch from here on; the batch `stop_at` is interrupted."""
    sizes: list[int] = []

    def square(noisy: Tensor, _variance: Tensor | None = None) -> Tensor:
        if len(sizes) == stop_at:
            raise KeyboardInterrupt
        sizes.append(len(noisy))
        return noisy * noisy

    monkeypatch.setattr(benchmarks, "BatchDenoiser", lambda *_: square)
    return sizes


def results_of(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (*output.glob("*.csv"), output / "blocks.npy")}


@SPACES
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    tmp_path: Path,
    sidd: dict[Space, FakeSidd],
    weights: Weights,
    monkeypatch: pytest.MonkeyPatch,
    space: Space,
) -> None:
    def start(name: str, *options: object) -> Outcome:
        options = ("--weights", weights[space], *options)
        return run(space, sidd[space].folder, tmp_path / name, *options, split="benchmark")

    with monkeypatch.context() as patch:
        whole = counted(patch)
        succeeded(start("whole"))
    assert whole == [32] * 40
    expected = squares(sidd[space].noisy).reshape(1280, *sidd[space].noisy.shape[2:])
    np.testing.assert_array_equal(np.load(tmp_path / "whole" / "blocks.npy"), expected)
    for stop_at in (0, 17):
        with monkeypatch.context() as patch:
            counted(patch, stop_at)
            assert start("parts").returncode == 130
        assert np.isfinite(np.load(tmp_path / "parts" / "seconds.npy")).sum() == 32 * stop_at
    rest = counted(monkeypatch)
    succeeded(start("parts"))
    assert rest == [32] * 23  # nothing is done twice
    succeeded(start("parts", "--batch-size", 7))
    assert len(rest) == 23
    succeeded(start("others", "--batch-size", 50))
    assert rest[23:] == [50] * 25 + [30]
    assert results_of(tmp_path / "parts") == results_of(tmp_path / "whole") == results_of(tmp_path / "others")


def killed_at_work(folder: Path, output: Path, *options: object) -> None:
    """Runs the script in a process that is killed before its fourth batch is squared."""
    torch.set_num_threads(1)  # those of the process that was forked are not here
    batches = itertools.count(1)

    def square(noisy: Tensor, _variance: Tensor | None = None) -> Tensor:
        if next(batches) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return noisy * noisy

    benchmarks.BatchDenoiser = lambda *_: square  # type: ignore[assignment, misc]
    run("srgb", folder, output, *options, split="benchmark")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_a_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path,
    sidd: dict[Space, FakeSidd],
    weights: Weights,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = sidd["srgb"].folder
    common = ("--weights", weights["srgb"], "--batch-size", 100)
    arguments = (folder, tmp_path / "killed", *common)
    killed = multiprocessing.get_context("fork").Process(target=killed_at_work, args=arguments)
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert np.isfinite(np.load(tmp_path / "killed" / "seconds.npy")).sum() == 300
    sizes = counted(monkeypatch)
    for name in ("killed", "whole"):
        succeeded(run("srgb", folder, tmp_path / name, *common, split="benchmark"))
    assert sizes == [100] * 9 + [80] + [100] * 12 + [80]
    assert results_of(tmp_path / "killed") == results_of(tmp_path / "whole")


@pytest.mark.usefixtures("squared")
def test_results_of_other_weights_files_or_settings_never_mix(
    tmp_path: Path,
    sidd: dict[Space, FakeSidd],
    weights: Weights,
) -> None:
    data, out = sidd["raw"], tmp_path / "out"
    folder = write_validation(tmp_path / "SIDD", data.noisy, data.clean)
    write_blocks(folder / "BenchmarkNoisyBlocksRaw.mat", data.noisy)
    (folder / "scenes.txt").write_text("\n".join(VALIDATION_SCENES))
    common = ("--weights", weights["raw-identity"])
    succeeded(run("raw", folder, out, *common, split="benchmark"))
    before = results_of(out)

    def refused(*options: object, space: Space = "raw", split: str = "benchmark") -> str:
        said = error_line(run(space, folder, out, *options, split=split))
        assert f"{out}: holds blocks made with " in said and "give another --output" in said
        assert not (out / "unpacked" / "ValidationNoisyBlocksRaw.bin").exists()
        return said

    assert "weights=" in refused("--weights", weights["raw"])
    assert "split=benchmark" in refused(*common, split="validation")
    other = tmp_path / "others.txt"
    other.write_text("\n".join(reversed(VALIDATION_SCENES)))
    assert "scenes=" in refused(*common, "--scenes", other)
    for name in ("noise_level_functions.csv", "bayer_patterns.csv"):
        content = (folder / name).read_text()
        (folder / name).write_text(content + "\n")
        assert f"{name}=" in refused(*common)
        (folder / name).write_text(content)
    write_blocks(folder / "BenchmarkNoisyBlocksRaw.mat", data.clean)
    assert "BenchmarkNoisyBlocksRaw.mat=" in refused(*common)
    assert results_of(out) == before


# ---------------------------------------------------------------- what users can mend


def test_missing_data_are_listed(tmp_path: Path, weights: Weights) -> None:
    said = run("raw", tmp_path / "nowhere", tmp_path / "out", "--weights", weights["raw"])
    assert said.returncode == 2 and "Traceback" not in said.stderr
    for name in ("ValidationNoisyBlocksRaw.mat", "ValidationGtBlocksRaw.mat", "noise_level_functions.csv"):
        assert re.search(rf"^ +missing +{re.escape(str(tmp_path / 'nowhere' / name))}$", said.stderr, re.MULTILINE)
    assert "Get them from https://" in said.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("squared")
def test_a_damaged_file_may_be_replaced_and_the_same_line_given_again(
    tmp_path: Path,
    sidd: dict[Space, FakeSidd],
    weights: Weights,
) -> None:
    path = write_blocks(tmp_path / "SIDD" / "BenchmarkNoisyBlocksSrgb.mat", sidd["srgb"].noisy)
    whole = path.read_bytes()

    def start() -> Outcome:
        return run("srgb", tmp_path / "SIDD", tmp_path / "out", "--weights", weights["srgb"], split="benchmark")

    path.write_bytes(whole[:-500])
    assert f"{path}: not a whole MATLAB 5 file" in error_line(start())
    write_blocks(path, sidd["srgb"].noisy[:, :, :8])
    assert "SIDD's is (40, 32, 16, 16, 3) of uint8" in error_line(start())
    path.write_bytes(whole)
    succeeded(start())
    expected = squares(sidd["srgb"].noisy).reshape(1280, SIDE, SIDE, 3)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "blocks.npy"), expected)


def test_bad_choices_are_one_line(
    tmp_path: Path,
    sidd: dict[Space, FakeSidd],
    weights: Weights,
) -> None:
    data, out = sidd["raw"].folder, tmp_path / "out"
    whole = ("--data", data, "--output", out, "--device", "cpu")
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "scenes.txt").write_text("garden\n")
    for options, words in (
        ((), "--data and --output are needed, or --validate"),
        (("--data", data), "--data and --output are needed, or --validate"),
        (("--output", out), "--data and --output are needed, or --validate"),
        ((*whole, "--batch-size", 0), "--batch-size 0: expected at least 1"),
        ((*whole, "--batch-size", -3), "--batch-size -3: expected at least 1"),
        ((*whole, "--batch-size", "two"), "invalid int value: 'two'"),
        ((*whole, "--space", "raw", "--split", "benchmark"), "RAW benchmark blocks need --scenes"),
        ((*whole, "--space", "yuv"), "invalid choice: 'yuv'"),
        ((*whole, "--weights", "nowhere"), "nowhere: neither a file nor shipped weights"),
        ((*whole, "--weights", weights["raw"]), "holds a RawDenoiser, a SrgbDenoiser or SrgbGatedDenoiser is needed"),
        ((*whole, "--space", "raw", "--weights", weights["raw"], "--scenes", tmp_path / "scenes.txt"), "got 1"),
        ((*whole[:2], "--output", tmp_path / "file", "--weights", weights["srgb"]), "file"),
        (("--validate", tmp_path / "none.mat"), "none.mat: no such file"),
    ):
        result = call_script(test_sidd.main, *options)
        assert result.returncode == 2 and "Traceback" not in result.stderr
        assert words in result.stderr, result.stderr
        assert sum("error: " in line for line in result.stderr.splitlines()) == 1
    assert not out.exists()
