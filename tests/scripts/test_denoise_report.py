"""denoise.py --report: one page with pictures, noise, time and reasons, also of stopped runs."""

import re
from pathlib import Path
from unittest import mock

import pytest

from cycleisp.dataloaders.results.denoised_files import DenoisedFiles
from denoise import main
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png
from tests.support.reports import read_page
from tests.support.scripts import Outcome, call_script, error_line


def denoise(*options: object) -> Outcome:
    return call_script(main, "--device", "cpu", *options)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "<in> & out"
    write_png(folder / "a<b>.png", random_picture(40, 50, seed=1))
    write_png(folder / "c.png", random_picture(140, 180, seed=2))
    (folder / "damaged.png").write_bytes(b"no picture")
    return folder


def test_a_report_shows_what_was_done_and_what_was_not(tmp_path: Path, photos: Path, weights: dict[str, Path]) -> None:
    report = tmp_path / "report.html"
    line = (photos, "--output", tmp_path / "out", "--weights", weights["srgb"], "--report", report)
    assert denoise(*line).returncode == 1
    page = read_page(report)
    assert "2 denoised, 0 kept from before, 1 skipped" in page.text
    assert "a<b>.png" in page.text and "damaged.png" in page.text and "or damaged" in page.text
    assert f"python script.py --device cpu '{photos}' --output" in page.text  # the command, as a shell takes it
    assert len(page.images) == 2 * 4 and page.charts >= 3
    assert "The run has ended by itself" in page.text
    assert denoise(*line).returncode == 1  # the same command again replaces its own report
    assert "0 denoised, 2 kept from before, 1 skipped" in read_page(report).text


def test_camera_files_are_shown_with_their_noise(tmp_path: Path, weights: dict[str, Path]) -> None:
    for name in ("a", "b"):
        write_dng(tmp_path / "in" / f"{name}.dng", random_mosaic(65, 80), "GRBG", noise_profile=[0.01, 1e-4])
    report = tmp_path / "report.html"
    common = ("--output", tmp_path / "out", "--weights", weights["raw"], "--report", report)
    assert denoise(tmp_path / "in", *common).returncode == 0
    page = read_page(report)
    assert "the file's NoiseProfile" in page.text and re.search(r"0\.01\s+0\.0001", page.text)
    assert len(page.images) == 2 * 4
    assert "lines are the noise that the denoiser was told" in page.text
    assert denoise(tmp_path / "in" / "a.dng", *common, "--crop", "9,10,30,20").returncode == 0
    page = read_page(report)
    assert len(page.images) == 4 and max(page.images[0].shape) < 40  # the piece, not the picture


def test_a_run_that_is_stopped_reports_what_it_has_done(tmp_path: Path, photos: Path, weights: dict[str, Path]) -> None:
    made = DenoisedFiles._make

    def stop_at_the_second(self: DenoisedFiles, results: object, result: object) -> bool:
        if self.summary.made:
            raise KeyboardInterrupt
        return made(self, results, result)  # type: ignore[arg-type]

    report = tmp_path / "report.html"
    with mock.patch.object(DenoisedFiles, "_make", stop_at_the_second):
        result = denoise(
            photos, "--output", tmp_path / "out", "--weights", weights["srgb-identity"], "--report", report
        )
    assert result.returncode == 130
    page = read_page(report)
    assert "1 denoised" in page.text and "ended early" in page.text and len(page.images) == 4


def test_a_report_replaces_reports_alone(tmp_path: Path, photos: Path, weights: dict[str, Path]) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("<p>my own page</p>")
    line = (photos, "--output", tmp_path / "out", "--weights", weights["srgb"], "--report")
    assert "exists, and is no report of this program" in error_line(denoise(*line, mine))
    assert mine.read_text() == "<p>my own page</p>"
    assert "ends in .html" in error_line(denoise(*line, tmp_path / "report.txt"))
    assert "there is no folder" in error_line(denoise(*line, tmp_path / "none" / "report.html"))
    assert not (tmp_path / "out").exists()
