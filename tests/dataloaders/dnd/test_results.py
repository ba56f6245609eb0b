"""DND through a denoiser: what the denoiser sees, what comes out, and runs that are stopped.

The denoiser must see the true Bayer order, and every pixel must return to its place.
"""

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from cycleisp.dataloaders.dnd.files import DndData, file_name
from cycleisp.dataloaders.dnd.results import DndResults
from cycleisp.dataloaders.dnd.scenes import DndError, Orientation
from cycleisp.dataloaders.dnd.submission import read_bundle, validate_submission
from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from tests.support.dnd import READ_NOISE, SHOT_NOISE, SMALL, TILES, fake_images, write_dnd

PATTERNS = list(TILES)
SETTINGS = {"weights": "identity"}


class Identity:
    """A denoiser that changes nothing and remembers what it was given."""

    def __init__(self) -> None:
        self.noisy: list[Tensor] = []
        self.variance: list[Tensor] = []

    def __call__(self, noisy: Tensor, variance: Tensor | None = None) -> Tensor:
        self.noisy.append(noisy.clone())
        if variance is not None:
            assert variance.shape == noisy.shape
            self.variance.append(variance.clone())
        return noisy


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dnd(tmp_path / "data", fake_images())


def run(
    data: Path,
    folder: Path,
    denoise: Callable[..., Tensor],
    space: Space = "raw",
    batch_size: int = 4,
    pictures: bool = False,
) -> Summary:
    """Denoises data into a folder, as test_dnd.py does."""
    results = DndResults(folder, DndData(data, space, extent=SMALL), SETTINGS)
    summary = results.denoise(denoise, batch_size)
    if pictures:
        results.save_pictures()
    return summary


# ---------------------------------------------------------------- a chart in all Bayer orders


def chart_cells(seed: int) -> NDArray[np.float32]:
    """Returns camera colours (H/2, W/2, 3) of a chart whose fields are as small as a Bayer tile."""
    return np.random.default_rng(seed).random((SMALL.side, SMALL.side * 3 // 4, 3), dtype=np.float32)


def photographed(cells: NDArray[np.float32], pattern: str) -> NDArray[np.float32]:
    """Returns the mosaic (H, W) that a camera records of the chart, pixel by pixel."""
    mosaic = np.empty((2 * cells.shape[0], 2 * cells.shape[1]), np.float32)
    for row in range(mosaic.shape[0]):
        for column in range(mosaic.shape[1]):
            color = pattern[2 * (row % 2) + column % 2]
            mosaic[row, column] = cells[row // 2, column // 2]["RGB".index(color)]
    return mosaic


def run_charts(tmp_path: Path, orientation: Orientation) -> list[tuple[NDArray, NDArray, NDArray, NDArray]]:
    """Denoises a chart in all patterns.

    Returns for each crop: the cells of the chart in it, the planes that the network was given, the
    crop, and the result.
    """
    fakes = fake_images(PATTERNS)
    charts = [chart_cells(seed) for seed in range(len(PATTERNS))]
    for fake, cells, pattern in zip(fakes, charts, PATTERNS, strict=True):
        fake.raw = photographed(cells, pattern)
    write_dnd(tmp_path / "data", fakes, spaces=["raw"])
    network = Identity()
    data = DndData(tmp_path / "data", "raw", orientation, SMALL)
    DndResults(tmp_path / "out", data, SETTINGS).denoise(network, batch_size=2)
    planes = torch.cat(network.noisy).numpy()
    found = []
    for number, (fake, cells) in enumerate(zip(fakes, charts, strict=True)):
        denoised = read_bundle(tmp_path / "out" / "bundle" / file_name(number + 1))
        for box in range(SMALL.boxes):
            top, left, bottom, right = (int(edge) for edge in fake.boxes[box])
            inside = cells[(top - 1) // 2 : bottom // 2, (left - 1) // 2 : right // 2]
            found.append((inside, planes[number * SMALL.boxes + box], fake.crop(box, "raw"), denoised[box]))
    return found


# How the cells lie after the flips: GBRG needs a vertical one, GRBG a horizontal one, BGGR both.
CORRECTED_FLIPS = {"RGGB": (1, 1), "BGGR": (-1, -1), "GRBG": (1, -1), "GBRG": (-1, 1)}
RELEASED_FLIPS = {**CORRECTED_FLIPS, "GRBG": (-1, 1), "GBRG": (1, -1)}


def test_corrected_gives_the_network_true_rggb_and_the_very_mosaic_back(tmp_path: Path) -> None:
    for index, (cells, planes, crop, denoised) in enumerate(run_charts(tmp_path, "corrected")):
        rows, columns = CORRECTED_FLIPS[PATTERNS[index // SMALL.boxes]]
        seen = cells[::rows, ::columns]
        for plane, channel in zip(planes, (0, 1, 1, 2), strict=True):
            np.testing.assert_array_equal(plane, seen[..., channel])
        np.testing.assert_array_equal(denoised, crop)


def test_released_swaps_red_and_blue_of_grbg_and_gbrg(tmp_path: Path) -> None:
    for index, (cells, planes, crop, denoised) in enumerate(run_charts(tmp_path, "released")):
        pattern = PATTERNS[index // SMALL.boxes]
        rows, columns = RELEASED_FLIPS[pattern]
        seen = cells[::rows, ::columns]
        channels = (2, 1, 1, 0) if pattern in ("GRBG", "GBRG") else (0, 1, 1, 2)
        for plane, channel in zip(planes, channels, strict=True):
            np.testing.assert_array_equal(plane, seen[..., channel])
        np.testing.assert_array_equal(denoised, crop)


# ---------------------------------------------------------------- what goes in, what comes out


@pytest.mark.parametrize("space", ["raw", "srgb"])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_an_identity_gives_back_every_crop_in_its_place(
    tmp_path: Path, data: Path, space: Space, batch_size: int
) -> None:
    network = Identity()
    summary = run(data, tmp_path / "out", network, space, batch_size=batch_size)
    assert (summary.made, summary.kept) == (4, 0)
    assert max(map(len, network.noisy)) == min(batch_size, SMALL.boxes)
    assert sum(map(len, network.noisy)) == SMALL.images * SMALL.boxes
    for number, fake in enumerate(fake_images(), start=1):
        denoised = read_bundle(tmp_path / "out" / "bundle" / file_name(number))
        for box in range(SMALL.boxes):
            np.testing.assert_array_equal(denoised[box], fake.crop(box, space))
    assert validate_submission(tmp_path / "out" / "bundle", space, SMALL) == []


def test_the_network_is_told_each_images_noise(tmp_path: Path, data: Path) -> None:
    network = Identity()
    run(data, tmp_path / "out", network, batch_size=3)
    for number, (noisy, variance) in enumerate(zip(network.noisy, network.variance, strict=True)):
        scale = 1 + number / 100
        torch.testing.assert_close(variance, scale * SHOT_NOISE * noisy + scale * READ_NOISE)


def test_noise_beyond_black_and_white_is_clipped_before_the_network(tmp_path: Path) -> None:
    fakes = fake_images()
    for fake in fakes:
        fake.raw = 1.2 * fake.raw - 0.1
    write_dnd(tmp_path / "data", fakes)
    network = Identity()
    run(tmp_path / "data", tmp_path / "out", network)
    noisy, variance = torch.cat(network.noisy), torch.cat(network.variance)
    assert noisy.min() == 0 and noisy.max() == 1
    assert variance.min() == pytest.approx(READ_NOISE)


def test_results_are_clipped_and_not_rounded(tmp_path: Path, data: Path) -> None:
    run(data, tmp_path / "out", lambda noisy, variance: 3 * noisy - 1)
    for number, fake in enumerate(fake_images(), start=1):
        denoised = read_bundle(tmp_path / "out" / "bundle" / file_name(number))
        for box in range(SMALL.boxes):
            np.testing.assert_array_equal(denoised[box], np.clip(3 * fake.crop(box, "raw") - 1, 0, 1))


@pytest.mark.parametrize("space", ["raw", "srgb"])
def test_a_network_that_gives_nan_stops_and_leaves_no_file(tmp_path: Path, data: Path, space: Space) -> None:
    with pytest.raises(UserError, match="image 0001: the network gave NaN"):
        run(data, tmp_path / "out", lambda noisy, *variance: noisy / 0, space)
    assert not (tmp_path / "out" / "bundle").exists()


def test_too_little_memory_is_told(tmp_path: Path, data: Path) -> None:
    def greedy(noisy: Tensor, variance: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match="too little memory for 3 crops at once; lower --batch-size"):
        run(data, tmp_path / "out", greedy)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, data: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bundle").write_text("a file in the way")
    with pytest.raises(UserError, match=r"out: cannot be written .*; give another --output"):
        run(data, tmp_path / "out", Identity())


# ---------------------------------------------------------------- stopped and started again


def test_whole_files_are_kept_and_bad_ones_made_again(tmp_path: Path, data: Path) -> None:
    bundle = tmp_path / "out" / "bundle"
    run(data, tmp_path / "out", Identity())
    content = {path.name: path.read_bytes() for path in bundle.iterdir()}
    times = {path.name: path.stat().st_mtime_ns for path in bundle.iterdir()}
    (bundle / "0001.mat").write_bytes(content["0001.mat"][:-50])
    (bundle / "0003.mat").unlink()
    network = Identity()
    summary = run(data, tmp_path / "out", network)
    assert (summary.made, summary.kept) == (2, 2)
    assert sum(map(len, network.noisy)) == 2 * SMALL.boxes
    assert validate_submission(bundle, "raw", SMALL) == []
    for number in (2, 4):
        assert (bundle / file_name(number)).stat().st_mtime_ns == times[file_name(number)]
    again = run(data, tmp_path / "out", Identity())
    assert (again.made, again.kept) == (0, 4)


def test_results_of_other_settings_never_mix(tmp_path: Path, data: Path) -> None:
    run(data, tmp_path / "out", Identity())
    with pytest.raises(UserError, match="holds DND results made with weights=identity"):
        DndResults(tmp_path / "out", DndData(data, "raw", extent=SMALL), {"weights": "others"})


def test_a_damaged_image_leaves_those_before_it(tmp_path: Path) -> None:
    fakes = fake_images()
    fakes[2].raw[:] = np.nan
    data = write_dnd(tmp_path / "data", fakes)
    with pytest.raises(DndError, match=r"images_raw/0003\.mat"):
        run(data, tmp_path / "out", Identity())
    assert sorted(path.name for path in (tmp_path / "out" / "bundle").iterdir()) == ["0001.mat", "0002.mat"]


def killed_at_work(data: Path, folder: Path) -> None:
    """Denoises in a process that is killed in the middle of the third image."""
    torch.set_num_threads(1)  # those of the process that was forked are not here
    calls = itertools.count(1)

    def denoise(noisy: Tensor, variance: Tensor) -> Tensor:
        if next(calls) == 2 * SMALL.boxes + 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return noisy

    DndResults(folder, DndData(data, "raw", extent=SMALL), {"weights": "identity"}).denoise(denoise, batch_size=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(tmp_path: Path, data: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = multiprocessing.get_context("fork").Process(target=killed_at_work, args=(data, killed))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert sorted(path.name for path in (killed / "bundle").iterdir()) == ["0001.mat", "0002.mat"]
    summary = run(data, killed, Identity())
    assert (summary.made, summary.kept) == (2, 2)
    run(data, whole, Identity())
    assert validate_submission(killed / "bundle", "raw", SMALL) == []
    for number in SMALL.numbers:
        pairs = (read_bundle(folder / "bundle" / file_name(number)) for folder in (killed, whole))
        for one, other in zip(*pairs, strict=True):
            np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("space", ["raw", "srgb"])
def test_previews_show_noisy_and_denoised_and_are_made_up_for(tmp_path: Path, data: Path, space: Space) -> None:
    folder = tmp_path / "out"
    run(data, folder, Identity(), space)
    assert not (folder / "previews").exists()
    summary = run(data, folder, Identity(), space, pictures=True)
    assert summary.kept == 4
    pictures = sorted((folder / "previews").iterdir())
    assert [path.name for path in pictures] == [f"000{number}.png" for number in range(1, 5)]
    first = pictures[0].stat().st_mtime_ns
    (folder / "bundle" / "0002.mat").unlink()
    second = pictures[1].stat().st_mtime_ns
    run(data, folder, Identity(), space, pictures=True)
    assert pictures[0].stat().st_mtime_ns == first
    assert pictures[1].stat().st_mtime_ns > second  # of new results, a new picture


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_preview_shows_true_colours_whatever_the_orientation(tmp_path: Path, pattern: str) -> None:
    fakes = fake_images([pattern] * 4)
    cells = np.tile(np.array([0.2, 0.1, 0.05], np.float32), (16, 12, 1))  # red, on any device
    for fake in fakes:
        fake.raw = photographed(cells, pattern)
        fake.boxes[:] = [1, 1, 16, 16]
    data = write_dnd(tmp_path / "data", fakes)
    for orientation in ("corrected", "released"):
        folder = tmp_path / orientation
        dnd = DndData(data, "raw", orientation, SMALL)  # type: ignore[arg-type]
        results = DndResults(folder, dnd, SETTINGS)
        results.denoise(lambda noisy, variance: noisy / 2)
        results.save_pictures()
        sheet = read_photo(folder / "previews" / "0001.png").astype(int)
        # Pictures of 16 pixels lie on the sheet at (8, 28) and (32, 28). Their middle is far from
        # demosaicked borders.
        noisy, denoised = sheet[36, 16], sheet[36, 40]
        assert noisy[0] > noisy[1] + 40 and noisy[0] > noisy[2] + 40
        assert denoised[0] < noisy[0] and denoised[0] > denoised[1]
