"""benchmarks/color_matching.py: its views, known truth, known measures, and all files."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import color_matching as benchmark
from benchmarks.color_matching import CHANGES, Method, Scene, main
from cycleisp.dataloaders.photos import read_photo
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.inference.color_matching import ColorMatcher
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import as_float
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import Outcome, call_script, error_line, start_script


def call(*options: object) -> Outcome:
    return call_script(main, "--device", "cpu", *options)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Installs a module in place of color-matcher, which is not a requirement.

    It returns the source, for mkl 300 too bright.
    """
    module = ModuleType("color_matcher")

    class ColorMatcher:
        def transfer(self, src: NDArray, ref: NDArray, method: str) -> NDArray:
            assert src.dtype == ref.dtype == np.uint8 and method in ("reinhard", "mkl")
            return src + (300.0 if method == "mkl" else 0.0)

    module.ColorMatcher, module.__version__ = ColorMatcher, "0.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "color_matcher", module)
    return module


class FakeMatcher:
    """Its table makes each value 3 less, its rendering leaves the source as it is."""

    def __init__(self, isp: CycleISP, working_size: int) -> None:
        assert isinstance(isp, CycleISP) and working_size == 40

    def lut(self, source: NDArray, target: NDArray) -> SimpleNamespace:
        assert source.dtype == target.dtype == np.float32 and 0 <= source.min() < source.max() <= 1
        return SimpleNamespace(apply=lambda photo: np.maximum(photo, 3) - np.uint8(3))

    def render(self, source: NDArray, target: NDArray) -> NDArray:
        assert source.shape == target.shape and source.shape[0] % 2 == source.shape[1] % 2 == 0
        return source


def classical(name: str) -> Method:
    if name == "histogram matching":
        return benchmark.by_histograms
    pytest.importorskip("color_matcher")
    return benchmark.color_matcher_methods()[0][name]


# ---------------------------------------------------------------- scenes and truths


@pytest.mark.parametrize(("shift", "right", "down"), [(0.1, 8, 3), (0, 0, 0), (0.5, 40, 13)])
def test_both_crops_show_the_same_content_at_the_shift(shift: float, right: int, down: int) -> None:
    scene = benchmark.photo_scene("a", random_picture(61, 80), shift, longest=800)
    height, width = scene.source.shape[:2]
    assert scene.source.shape == scene.target.shape == ((61 - down) // 2 * 2, 80 - right, 3)
    np.testing.assert_array_equal(scene.source[down:, right:], scene.target[: height - down, : width - right])


def test_large_photos_are_reduced_and_deep_ones_have_8_bits() -> None:
    photo = random_picture(90, 200, np.uint16)
    scene = benchmark.photo_scene("a", photo, shift=0, longest=100)
    assert scene.source.shape == (44, 100, 3) and scene.source.dtype == np.uint8
    halved = as_float(photo).reshape(45, 2, 100, 2, 3).mean(axis=(1, 3))[:44]
    np.testing.assert_allclose(scene.source, halved * 255, atol=0.51)


def test_the_motorcycle_has_even_sides_and_a_crop_at_its_depth_edges() -> None:
    scene = benchmark.motorcycle()
    assert scene.source.shape == scene.target.shape == (500, 740, 3)
    assert scene.edges is not None
    assert scene.source[scene.edges].shape == (240, 240, 3)
    assert np.abs(scene.source.mean((0, 1)) - scene.target.mean((0, 1))).max() < 5  # recorded in about equal colours


def test_depth_edges_are_where_disparity_jumps_not_where_it_is_unknown() -> None:
    disparity = np.full((100, 120), 10.0, np.float32)
    disparity[60:80, 70:90] = 50  # a near thing
    disparity[:30, :30] = np.inf
    rows, columns = benchmark.depth_edges(disparity, 40)
    assert rows.stop - rows.start == columns.stop - columns.start == 40
    assert rows.start <= 60 and rows.stop >= 80 and columns.start <= 70 and columns.stop >= 90
    assert benchmark.depth_edges(disparity, 400) == (slice(0, 100), slice(0, 120))


def test_the_truth_is_the_source_with_the_change_of_the_target() -> None:
    scene = Scene("a", random_picture(20, 24, seed=1), random_picture(20, 24, seed=2))
    cases = benchmark.cases(scene)
    assert list(cases) == ["warm", "cold", "bright", "contrast", "vivid", "pale", "hue", "all", "undo"]
    for name, change in CHANGES.items():
        source, target, truth = cases[name]
        assert source is scene.source
        for plain, changed in ((scene.source, truth), (scene.target, target)):
            assert changed.dtype == np.uint8
            np.testing.assert_allclose(changed, change.apply(as_float(plain)) * 255, atol=0.51)
    source, target, truth = cases["undo"]
    assert target is scene.target and truth is scene.source
    np.testing.assert_array_equal(source, cases["all"][2])


def test_changes_are_of_the_kind_that_their_names_say() -> None:
    grey = np.full((1, 1, 3), 128, np.uint8)
    red, _, blue = benchmark.changed(grey, CHANGES["warm"])[0, 0].astype(int)
    assert red > 140 > 115 > blue
    red, _, blue = benchmark.changed(grey, CHANGES["cold"])[0, 0].astype(int)
    assert blue > 140 > 115 > red
    assert (benchmark.changed(grey, CHANGES["bright"]) > 140).all()
    for name in ("vivid", "pale", "hue"):
        np.testing.assert_allclose(benchmark.changed(grey, CHANGES[name]), grey, atol=1)


# ---------------------------------------------------------------- methods and measures


@pytest.mark.parametrize(("name", "bound"), [("histogram matching", 0), ("mkl", 0), ("Reinhard", 3)])
def test_classical_methods_leave_a_view_with_its_own_colors_alone(name: str, bound: int) -> None:
    photo = random_picture(40, 50)
    result = classical(name)(photo, photo.copy())
    assert result.dtype == np.uint8
    assert np.abs(result.astype(int) - photo).max() <= bound


@pytest.mark.parametrize("name", ["histogram matching", "mkl", "Reinhard"])
def test_classical_methods_take_the_colors_of_the_target(name: str) -> None:
    scene = benchmark.photo_scene("a", random_picture(60, 80), shift=0.1, longest=800)
    source, target, truth = benchmark.cases(scene)["warm"]
    kept = source.copy(), target.copy()
    before = benchmark.measure(source, truth)[0]
    assert benchmark.measure(classical(name)(source, target), truth)[0] < before / 2
    np.testing.assert_array_equal((source, target), kept)


def test_a_black_pixel_does_not_spoil_reinhard() -> None:
    photo = random_picture(40, 50)
    photo[3, 4] = 0
    assert np.abs(classical("Reinhard")(photo, photo).astype(int) - photo).max() <= 3


def test_colors_that_are_no_numbers_are_refused(package: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package.ColorMatcher, "transfer", lambda self, src, ref, method: src * np.nan)
    photo = random_picture(40, 50)
    with pytest.raises(UserError, match="color-matcher's mkl found no finite colours"):
        benchmark.color_matcher_methods()[0]["mkl"](photo, photo)


def test_networks_give_8_bit_views_of_the_same_size(tiny_isp: CycleISP) -> None:
    scene = benchmark.photo_scene("a", random_picture(47, 61), shift=0.1, longest=800)
    matcher = ColorMatcher(tiny_isp, working_size=16)
    methods = benchmark.network_methods("tiny", matcher, rendered=True)
    assert list(methods) == ["tiny", "tiny, networks alone", "tiny, rendered"]
    assert list(benchmark.network_methods("tiny", matcher, rendered=False)) == ["tiny"]
    for method in methods.values():
        result = method(scene.source, scene.target)
        assert result.shape == scene.source.shape and result.dtype == np.uint8
    rendered = matcher.render(as_float(scene.source), as_float(scene.target))
    np.testing.assert_allclose(methods["tiny, rendered"](scene.source, scene.target), rendered * 255, atol=0.51)


def test_measures_of_known_differences() -> None:
    black, white = (np.full((16, 16, 3), value, np.uint8) for value in (0, 255))
    assert benchmark.measure(white, white) == (0, math.inf, 1)
    assert benchmark.measure(white, black)[:2] == pytest.approx((100, 0), abs=1e-3)  # L 0 and 100; S_L is 1 halfway
    # two greys by hand: L* of each, and the weight S_L of CIEDE2000 at their mean
    lightness = [116 * (((value / 255 + 0.055) / 1.055) ** 2.4) ** (1 / 3) - 16 for value in (100, 110)]
    offset = (sum(lightness) / 2 - 50) ** 2
    weight = 1 + 0.015 * offset / math.sqrt(20 + offset)
    greys = [np.full((16, 16, 3), value, np.uint8) for value in (100, 110)]
    difference, psnr, _ = benchmark.measure(*greys)
    assert difference == pytest.approx((lightness[1] - lightness[0]) / weight, abs=1e-3)
    assert psnr == pytest.approx(20 * math.log10(255 / 10))
    half = greys[0].copy()
    half[:8] = 110
    assert benchmark.measure(half, greys[0])[0] == pytest.approx(difference / 2)


def test_means_over_scenes_and_over_all_leave_infinite_psnr_out() -> None:
    scores = np.zeros((1, 2, 3, 3))  # a method, two changes, three scenes
    scores[0, 0, :, 1] = 30, 40, math.inf
    scores[0, 1, :, 1] = math.inf
    scores[0, :, :, 0] = [[1, 2, 3], [4, 5, 9]]
    means = benchmark.mean_scores(scores)
    assert means[0, :, 0].tolist() == [2, 6, 4]
    np.testing.assert_array_equal(means[0, :, 1], [35, math.nan, 35])
    assert benchmark.groups(["photos/a", "photos/motorcycle"]) == {"photos": [0, 1]}
    assert benchmark.groups(["motorcycle", "photos/a"]) == {"motorcycle": [0], "photos": [1], "all": [0, 1]}


# ---------------------------------------------------------------- the script


def test_tables_json_and_pictures(
    tmp_path: Path, package: ModuleType, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "ColorMatcher", FakeMatcher)
    for number, name in enumerate(("a", "b", "deep/c")):
        write_png(tmp_path / "photos" / f"{name}.png", random_picture(34, 45, seed=number))
    out = tmp_path / "out"
    options = ("--photos", tmp_path / "photos", "--no-motorcycle", "--weights", f"ours={tiny_weights}")
    result = call(*options, "--working-size", 40, "--output", out)
    assert result.returncode == 0, result.stderr

    table = (out / "table.md").read_text()
    assert table.strip() in result.stdout
    methods = ["none", "ours", "ours, networks alone", "ours, rendered", "histogram matching", "Reinhard", "mkl"]
    first, second, definitions, versions = table.strip().split("\n\n")
    changes = [*CHANGES, "undo"]
    assert first.splitlines()[0] == f"| CIEDE2000, photos (3) | {' | '.join(changes)} | mean |"
    assert second.splitlines()[0] == "| PSNR / SSIM | photos (3) |"
    for part in (first, second):
        assert [line.split(" | ")[0] for line in part.splitlines()[2:]] == [f"| {name}" for name in methods]
    assert all(words in definitions for words in ("CIEDE2000: colour", "PSNR: dB, 8 bit", "SSIM: 8 bit"))
    assert "color-matcher 0.0" in versions and "scikit-image" in versions and "ours " in versions

    record = json.loads((out / "results.json").read_text())
    scores, means = record["scenes"], record["means"]["photos (3)"]
    assert list(scores) == methods and list(scores["none"]) == changes
    assert list(scores["none"]["warm"]) == ["photos/a", "photos/b", "photos/deep/c"]
    scene = benchmark.photo_scene("a", read_photo(tmp_path / "photos" / "a.png"), shift=0.1, longest=800)
    source, _, truth = benchmark.cases(scene)["warm"]
    for name, picture in (("none", source), ("ours", np.maximum(source, 3) - 3)):
        expected = dict(zip(("ciede2000", "psnr", "ssim"), benchmark.measure(picture, truth), strict=True))
        assert scores[name]["warm"]["photos/a"] == pytest.approx(expected)
    assert scores["ours, rendered"] == scores["none"]
    assert scores["mkl"]["undo"]["photos/a"]["psnr"] < 10  # 300 too bright: white, not wrapped
    warm = [values["ciede2000"] for values in scores["none"]["warm"].values()]
    assert means["none"]["warm"]["ciede2000"] == pytest.approx(np.mean(warm))
    overall = np.mean([means["none"][change]["ciede2000"] for change in changes])
    assert means["none"]["mean"]["ciede2000"] == pytest.approx(overall)
    assert first.splitlines()[2].startswith(f"| none | {np.mean(warm):.2f} | ")
    assert first.splitlines()[2].endswith(f" | {overall:.2f} |")
    assert record["shift"] == 0.1 and record["changes"]["hue"]["hue"] == 20

    pictures = sorted(file.relative_to(out / "pictures").as_posix() for file in (out / "pictures").rglob("*.png"))
    assert pictures == ["photos/a.png", "photos/b.png"]
    height, width = read_photo(out / "pictures" / "photos" / "a.png").shape[:2]
    assert width > 9 * 300 and height > 3 * 30  # source, target, truth, six methods; three changes


def test_equal_pictures_are_no_broken_json(tmp_path: Path, package: ModuleType) -> None:
    """Black stays black, so the source is the truth, and its PSNR is infinite."""
    photo = write_png(tmp_path / "a.png", np.zeros((24, 32, 3), np.uint8))
    options = ("--photos", photo, "--no-motorcycle", "--weights", "--output", tmp_path / "out")
    assert call(*options).returncode == 0
    text = (tmp_path / "out" / "results.json").read_text()
    assert "Infinity" not in text and "NaN" not in text
    scores = json.loads(text)
    assert scores["scenes"]["none"]["warm"]["photos/a"] == {"ciede2000": 0, "psnr": "inf", "ssim": 1}
    assert scores["means"]["photos (1)"]["none"]["mean"] == {"ciede2000": 0, "psnr": "nan", "ssim": 1}
    assert "| none | nan / 1.0000 |" in (tmp_path / "out" / "table.md").read_text()


def test_the_depth_edges_are_drawn_at_full_size(tmp_path: Path) -> None:
    photo = random_picture(60, 80)
    scene = Scene("motorcycle", photo, photo, (slice(10, 34), slice(20, 60)))
    scores = benchmark.score(scene, {"none": lambda source, _: source}, tmp_path)
    assert scores.shape == (1, len(CHANGES) + 1, 3)
    sheet = read_photo(tmp_path / "motorcycle_edges.png")
    truth = benchmark.cases(scene)["warm"][2][10:34, 20:60]
    np.testing.assert_array_equal(sheet[28:52, 8 + 2 * 248 :][:, :40], truth)


def test_a_missing_color_matcher_is_named(
    tmp_path: Path, photo_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "color_matcher", None)
    result = call("--photos", photo_file("a.png"), "--no-motorcycle", "--output", tmp_path / "out")
    assert "need the package color-matcher: pip install color-matcher (GPL)" in error_line(result)


def test_bad_input_is_one_line(
    tmp_path: Path,
    package: ModuleType,
    photo_file: Callable[..., Path],
    weights: dict[str, Path],
    tiny_weights: Path,
) -> None:
    good = photo_file("photos/a.png")
    (tmp_path / "broken.png").write_bytes(good.read_bytes()[:60])
    (tmp_path / "empty").mkdir()
    photos = ("--photos", good)
    for options, words in (
        ((), "no scene: name --photos, or leave out --no-motorcycle"),
        (("--photos", tmp_path / "broken.png"), "broken.png: is damaged"),
        (("--photos", tmp_path / "empty"), "empty: no photo in this folder"),
        (("--photos", photo_file("small.png", 12, 40)), "small: its views would be 36x10 pixels, less than SSIM's"),
        ((*photos, "--shift", 1), "--shift 1.0: expected a part of the width"),
        ((*photos, "--shift", "nan"), "--shift nan: expected a part of the width"),
        ((*photos, "--longest", 0), "a: its views would be"),
        ((*photos, "--weights", "nowhere"), "nowhere: neither a file nor shipped weights"),
        ((*photos, "--weights", weights["raw"]), "holds a RawDenoiser, a CycleISP is needed"),
        ((*photos, "--weights", f"x={tiny_weights}", f"x={tiny_weights}"), "name the networks apart"),
        ((*photos, "--weights", f"mkl={tiny_weights}"), "name the networks apart"),
    ):
        assert words in error_line(call("--no-motorcycle", *options, "--output", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_benchmark_starts_from_the_shell(tmp_path: Path) -> None:
    result = start_script("benchmarks/color_matching.py", "--no-motorcycle", "--output", tmp_path / "out")
    assert "no scene: name --photos" in error_line(result)
