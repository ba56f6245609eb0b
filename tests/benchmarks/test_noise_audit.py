"""benchmarks/noise_audit.py: statistics of noise whose law is known, bands, the page, bad input."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.audit.comparison import Compared
from benchmarks.audit.crops import MARGIN, Crops, square_places
from benchmarks.audit.results import Audit, audit
from benchmarks.noise_audit import main
from tests.support.pairs import store_raw, write_pair
from tests.support.scripts import Outcome, call_script, error_line

SIDE, PICTURES, SQUARES = 32, 6, 8  # of a fabricated set
RECIPE = "configs/compact/denoiser_srgb_base.yaml"
Noise = NDArray[np.float64]


def clean_squares(seed: int = 0) -> NDArray[np.float32]:
    """Returns (N, 3, S + 2 MARGIN, S + 2 MARGIN): squares of one grey each, dark and bright."""
    greys = np.random.default_rng(seed).uniform(20, 235, (PICTURES * SQUARES, 3, 1, 1))
    return np.broadcast_to(greys, (*greys.shape[:2], *(SIDE + 2 * MARGIN,) * 2)).astype(np.float32)


def white(seed: int, deviation: float = 10.0) -> Noise:
    return deviation * np.random.default_rng(seed).standard_normal((PICTURES * SQUARES, 3, SIDE, SIDE))


def fabricated(noise: Noise, names: str = "abcdef") -> Crops:
    surroundings = clean_squares()
    noisy = surroundings[..., MARGIN:-MARGIN, MARGIN:-MARGIN] + noise.astype(np.float32)
    return Crops(noisy, surroundings, np.repeat(np.arange(PICTURES), SQUARES), tuple(names), ("R", "G", "B"))


def compared(real: Noise, synthetic: Noise, seed: int = 0) -> dict[str, Compared]:
    result = audit(fabricated(real), fabricated(synthetic), draws=60, seed=seed)
    return {each.statistic.key: each for each in result.compared}


def spread(result: Audit, title: str) -> float:
    """Returns the median over the real pictures of a number."""
    (found,) = (each for each in result.spreads if each.title == title)
    return float(found.inner_real[1])


def blurred(noise: Noise) -> Noise:
    """Returns the mean of each value and its right neighbour, with the variance that it had."""
    return (noise + np.roll(noise, 1, axis=-1)) / math.sqrt(2)


# ------------------------------------------------------------------ statistics of known noise


def test_two_samples_of_one_noise_are_alike() -> None:
    times = [each.times for seed in range(3) for each in compared(white(2 * seed), white(2 * seed + 1)).values()]
    assert np.mean(np.array(times) <= 1) >= 0.85  # 95 % are expected of 27
    assert max(times) < 2


def test_variance_and_histogram_have_the_distances_of_their_formulas() -> None:
    found = compared(white(0, 10.0), white(1, 14.0))
    values = PICTURES * SQUARES * SIDE**2  # of a channel
    factor = 2 * math.log(1.4)
    assert found["variance"].distance == pytest.approx(factor, abs=4 * math.sqrt(2 * 2 / (values / 16)))
    divergence = math.log(1.4) + 1 / (2 * 1.4**2) - 0.5  # of two Gaussians
    assert found["histogram"].distance == pytest.approx(divergence, rel=0.05)
    assert found["variance"].verdict == found["histogram"].verdict == "differs much"
    assert found["autocorrelation"].times < 2  # the strength is no part of the structure


def test_a_shift_in_the_dark_is_found_with_its_size() -> None:
    dark = clean_squares()[..., MARGIN:-MARGIN, MARGIN:-MARGIN] < 64
    found = compared(white(0), white(1) - 3 * dark)
    assert found["mean"].distance == pytest.approx(3, abs=0.3)
    assert found["mean"].verdict == "differs much"


def test_neighbours_that_correlate_are_found_with_their_correlation() -> None:
    found = compared(white(0), blurred(white(1)))
    along = found["autocorrelation"].statistic.lines.index("G, along rows")
    assert found["autocorrelation"].synthetic[along, :2] == pytest.approx([0.5, 0.0], abs=0.02)
    assert found["autocorrelation"].synthetic[along + 1, 0] == pytest.approx(0, abs=0.02)  # along columns
    assert found["autocorrelation"].verdict == found["power"].verdict == "differs much"
    assert found["variance"].times < 2


def test_rows_and_columns_with_offsets_are_told_apart() -> None:
    rng = np.random.default_rng(5)
    offsets = 4 * rng.standard_normal((PICTURES * SQUARES, 3, SIDE, 1))
    result = audit(fabricated(white(0) + offsets), fabricated(white(1)), draws=60, seed=0)
    (stripes,) = (each for each in result.compared if each.statistic.key == "stripes")
    assert stripes.verdict == "differs much"
    assert spread(result, "power along rows over all directions") > 2
    assert spread(result, "power along columns over all directions") < 1  # rows are a part of all directions


def test_channels_that_share_noise_are_found_with_their_correlation() -> None:
    shared = white(2)[:, :1]
    found = compared(white(0), (white(1) + shared) / math.sqrt(2))
    assert found["channels"].synthetic == pytest.approx(np.full((3, 3), 0.5), abs=0.1)
    assert found["channels"].verdict == "differs much"


def test_heavy_tails_are_found_at_equal_variance() -> None:
    laplace = np.random.default_rng(1).laplace(scale=10 / math.sqrt(2), size=white(0).shape)
    result = audit(fabricated(laplace), fabricated(white(0)), draws=60, seed=0)
    (tails,) = (each for each in result.compared if each.statistic.key == "tails")
    assert tails.verdict == "differs much"
    assert spread(result, "kurtosis") == pytest.approx(6, abs=0.6)


def test_white_noise_has_flat_power_no_correlation_and_the_kurtosis_of_a_gaussian() -> None:
    result = audit(fabricated(white(0)), fabricated(white(1)), draws=20, seed=0)
    curves = {each.statistic.key: each.real for each in result.compared}
    power = curves["power"] / np.nanmean(curves["power"], axis=1, keepdims=True)
    known = np.flatnonzero(np.isfinite(power[0]))
    assert power[:, known[:4]] == pytest.approx(1, abs=0.4)  # 48 squares with a few values each
    assert power[:, known[4:]] == pytest.approx(1, abs=0.1)
    assert curves["autocorrelation"] == pytest.approx(0, abs=0.02)
    assert spread(result, "kurtosis") == pytest.approx(3, abs=0.1)
    assert spread(result, "deviation, levels") == pytest.approx(10, rel=0.02)


def test_pictures_out_of_the_synthetic_range_are_counted() -> None:
    strengths = np.linspace(5, 15, PICTURES).repeat(SQUARES)[:, None, None, None]
    result = audit(fabricated(white(0, 30.0)), fabricated(white(1, 1.0) * strengths), draws=20, seed=0)
    (found,) = (each for each in result.spreads if each.title == "deviation, levels")
    assert (found.below, found.above, found.verdict) == (0, 1, "differs, out of range")


def test_sets_of_other_pictures_have_wider_bands() -> None:
    strengths = np.linspace(5, 15, PICTURES).repeat(SQUARES)[:, None, None, None]
    real = fabricated(white(0, 1.0) * strengths)
    same, other = (
        audit(real, fabricated(white(1, 1.0) * strengths, names), draws=60, seed=0) for names in ("abcdef", "uvwxyz")
    )
    assert same.same_pictures and not other.same_pictures
    narrow, wide = ({each.statistic.key: each.band for each in one.compared} for one in (same, other))
    for key in ("histogram", "quantiles"):  # of all noise: pictures differ far more than squares of one do
        assert wide[key] > 3 * narrow[key]


def test_squares_keep_their_distance_from_edges_and_from_each_other() -> None:
    places = square_places(100, 150, 32, count=100)
    assert len(places) == 2 * 4
    for number, (top, left) in enumerate(places):
        assert MARGIN <= top <= 100 - 32 - MARGIN and MARGIN <= left <= 150 - 32 - MARGIN
        assert all(abs(top - y) >= 32 or abs(left - x) >= 32 for y, x in places[:number])
    assert len(square_places(100, 150, 32, count=3)) == 3
    assert square_places(47, 150, 32, count=3) == []


# ------------------------------------------------------------------ the script


def script(*options: object) -> Outcome:
    return call_script(main, "--device", "cpu", "--resamples", 20, *options)


def folder_of_pairs(folder: Path, deviation: float, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for number, name in enumerate(("a", "b")):
        clean = np.broadcast_to(np.linspace(30, 220, 96)[:, None, None] / (1 + number), (96, 96, 3)).astype(np.uint8)
        noisy = np.clip(clean + deviation * rng.standard_normal(clean.shape), 0, 255).round().astype(np.uint8)
        write_pair(folder, name, noisy, clean)
    return folder


def test_two_folders_make_a_page_and_values(tmp_path: Path) -> None:
    real, synthetic = (folder_of_pairs(tmp_path / name, 10, seed) for seed, name in enumerate(("real", "other")))
    page, values = tmp_path / "out" / "audit.html", tmp_path / "out" / "audit.json"
    options = ("--size", 32, "--resamples", 200, "--report", page, "--json", values)  # 20 make a band of 95 % too rough
    result = script("--real", real, "--synthetic", synthetic, *options)
    assert result.returncode == 0, result.stderr
    assert "autocorrelation" in result.stdout and "Noise Flow" in result.stdout
    text = page.read_text()
    assert text.count("<svg xmlns") >= 9 and "src=" not in text and "href=" not in text and "<script" not in text
    found = json.loads(values.read_text())
    assert found["same_pictures"] and found["counts"]["real_squares"] == 2 * 4
    assert found["statistics"]["variance"]["verdict"] == "like real noise"
    assert found["statistics"]["histogram"]["distance"] < 0.05


def test_a_recipe_makes_noise_of_the_real_strength(tmp_path: Path) -> None:
    real = folder_of_pairs(tmp_path / "real", 12, 0)
    values = tmp_path / "audit.json"
    options = ("--draws", 12, "--keep", 2, "--size", 32, "--crops", 3, "--json", values)
    result = script("--real", real, "--recipe", RECIPE, "--set", "synthesis.jpeg_share=0", *options)
    assert result.returncode == 0, result.stderr
    assert "synthesis.jpeg_share=0" in result.stdout
    found = json.loads(values.read_text())
    assert found["same_pictures"] and found["counts"]["squares"] == 2 * found["counts"]["real_squares"] == 12
    deviations = found["pictures"]["deviation, levels"]
    assert deviations["synthetic"][1] == pytest.approx(deviations["real"][1], rel=0.3)


def test_raw_pairs_are_compared_in_four_planes(tmp_path: Path) -> None:
    for seed, folder in enumerate(("real", "other")):
        rng = np.random.default_rng(seed)
        clean = np.broadcast_to(np.linspace(0.02, 0.5, 64)[:, None], (4, 64, 64))
        noisy = clean + 0.02 * rng.standard_normal(clean.shape)
        planes = [np.round(np.clip(image, 0, 1) * 65535).astype(np.uint16) for image in (noisy, clean)]
        store_raw(tmp_path / folder, "a", *planes)
    values = tmp_path / "audit.json"
    options = ("--space", "raw", "--size", 24, "--json", values)
    result = script("--real", tmp_path / "real", "--synthetic", tmp_path / "other", *options)
    assert result.returncode == 0, result.stderr
    found = json.loads(values.read_text())
    assert found["statistics"]["variance"]["lines"] == ["R", "Gr", "Gb", "B"]
    assert found["pictures"]["deviation, levels"]["real"][1] == pytest.approx(0.02 * 255, rel=0.05)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--size", 20), "multiple of 8"),
        (("--keep", 30), "at most --draws"),
        (("--resamples", 5), "at least 20"),
        (("--set", "seed=1"), "there is none"),
        (("--size", 128), "give a smaller --size"),
    ],
)
def test_values_that_cannot_be_used_are_refused(tmp_path: Path, options: tuple[object, ...], words: str) -> None:
    real = folder_of_pairs(tmp_path, 10, 0)
    assert words in error_line(call_script(main, "--real", real, "--synthetic", real, *options))


def test_a_recipe_makes_no_raw(tmp_path: Path) -> None:
    real = folder_of_pairs(tmp_path, 10, 0)
    assert "sRGB" in error_line(script("--real", real, "--recipe", RECIPE, "--space", "raw"))
