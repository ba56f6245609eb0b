"""benchmarks/real_noise.py on fabricated pairs: tables, pictures, scores computed by hand."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.pareto import draw_pareto, front
from benchmarks.real_noise import main
from cycleisp.dataloaders.photos import read_photo
from cycleisp.networks.pretrained import load_denoiser
from tests.support.pairs import write_pair
from tests.support.pictures import random_picture
from tests.support.scripts import Outcome, call_script, start_script

Weights = dict[str, Path]


def benchmark(*options: object) -> Outcome:
    return call_script(main, "--device", "cpu", *options)


def noisy_version(clean: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    noise = 12 * np.random.default_rng(seed).standard_normal(clean.shape)
    return np.clip(clean + noise, 0, 255).round().astype(np.uint8)


def count_parameters(path: Path) -> int:
    network, _ = load_denoiser(path, "srgb")
    return sum(weights.numel() for weights in network.parameters())


def psnr(first: NDArray, second: NDArray) -> float:
    return float(10 * np.log10(255**2 / np.mean((first.astype(float) - second.astype(float)) ** 2)))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for seed, name in enumerate(("a", "deep/b")):
        clean = random_picture(30, 37, seed=seed)
        write_pair(tmp_path / "scenes", name, noisy_version(clean, seed), clean)
    return tmp_path / "scenes"


def both(pairs: Path, name: str) -> tuple[NDArray, NDArray]:
    return read_photo(pairs / "noisy" / f"{name}.png"), read_photo(pairs / "clean" / f"{name}.png")


def pictures(out: Path, method: str) -> Path:
    """Returns the folder of a method's pictures; a network's ends with the hash of its weights."""
    (folder,) = (out / "images").glob(f"{method}-????????") if method == "srgb" else [out / "images" / method]
    return folder / "scenes"


def refusal(result: Outcome) -> str:
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
    return line


def test_table_scores_and_pictures(tmp_path: Path, pairs: Path, weights: Weights) -> None:
    out = tmp_path / "out"
    denoisers = (f"nothing={weights['srgb-identity']}", weights["srgb"])
    options = ("--data", pairs, "--denoisers", *denoisers, "--output", out)
    result = benchmark(*options)
    assert result.returncode == 0, result.stderr
    scores = json.loads((out / "results.json").read_text())["scenes"]
    assert list(scores) == ["noisy", "nothing", "srgb", "nlm"]
    expected = {name: psnr(*both(pairs, name)) for name in ("a", "deep/b")}
    for method in ("noisy", "nothing"):  # a denoiser that does nothing has the noisy picture's score
        assert {name: score[0] for name, score in scores[method].items()} == pytest.approx(expected)
    for method in ("srgb", "nlm"):
        for name, score in scores[method].items():
            stored = read_photo(pictures(out, method) / f"{name}.png")
            assert score[0] == pytest.approx(psnr(stored, both(pairs, name)[1]))
            assert 0 < score[1] <= 1
    table = (out / "table.md").read_text()
    assert table.strip() in result.stdout
    assert table.startswith("| method | parameters | s/MP | scenes (2) |\n|---|---|---|---|\n")
    assert f"| noisy | | | {np.mean(list(expected.values())):.2f} / " in table.replace("  ", " ")
    assert f"| srgb | {count_parameters(weights['srgb']):,} | " in table
    assert "whole pictures" in table and "PSNR: dB, 8 bit" in table and "SSIM: 8 bit" in table
    assert read_photo(out / "scenes.png").std() > 10
    # once more: nothing is made again, but what was lost
    lost = pictures(out, "srgb") / "a.png"
    before = lost.read_bytes()
    lost.unlink()
    mark = np.full((30, 37, 3), 77, np.uint8)
    write_pair(tmp_path / "mark", "a", mark, mark)
    (tmp_path / "mark" / "noisy" / "a.png").rename(pictures(out, "nlm") / "a.png")
    assert benchmark(*options).returncode == 0
    assert lost.read_bytes() == before
    again = json.loads((out / "results.json").read_text())["scenes"]
    assert again["srgb"] == scores["srgb"]
    assert again["nlm"]["a"][0] == pytest.approx(psnr(mark, both(pairs, "a")[1]))  # the stored picture was taken


def test_a_crop_compares_the_middle_only(tmp_path: Path, pairs: Path, weights: Weights) -> None:
    options = ("--data", pairs, "--denoisers", weights["srgb"], "--output", tmp_path / "out")
    assert benchmark(*options).returncode == 0
    assert benchmark(*options, "--crop", 16).returncode == 0  # results of whole pictures are not taken for it
    scores = json.loads((tmp_path / "out" / "results.json").read_text())["scenes"]
    for name in ("a", "deep/b"):
        noisy, clean = (picture[7:23, 10:26] for picture in both(pairs, name))
        assert scores["noisy"][name][0] == pytest.approx(psnr(noisy, clean))
        assert read_photo(pictures(tmp_path / "out", "srgb") / f"{name}.png").shape == (16, 16, 3)
    assert "the middle 16x16 of each picture" in (tmp_path / "out" / "table.md").read_text()


def test_two_folders_are_two_columns(tmp_path: Path, pairs: Path, weights: Weights) -> None:
    clean = random_picture(20, 24, seed=5)
    write_pair(tmp_path / "night", "a", noisy_version(clean, 5), clean)  # a name that the other folder has, too
    options = ("--data", pairs, tmp_path / "night", "--denoisers", weights["srgb"], "--output", tmp_path / "out")
    result = benchmark(*options)
    assert result.returncode == 0, result.stderr
    assert "| method | parameters | s/MP | scenes (2) | night (1) |" in result.stdout
    scores = json.loads((tmp_path / "out" / "results.json").read_text())
    assert scores["night"]["noisy"]["a"][0] == pytest.approx(psnr(*both(tmp_path / "night", "a")))
    assert scores["scenes"]["noisy"]["a"][0] == pytest.approx(psnr(*both(pairs, "a")))


PEER = """
import numpy as np


def half(noisy):
    assert noisy.dtype == np.float32 and 0 <= noisy.min() and noisy.max() <= 1
    return noisy / 2


half.parameters = 1234
wrong = lambda noisy: noisy[:-1]
"""


def test_peers_are_functions_of_any_module(tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_peer.py").write_text(PEER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "a_peer", raising=False)
    options = ("--data", pairs, "--denoisers", "compact_srgb", "--skip-nlm", "--output", tmp_path / "out")
    result = benchmark(*options, "--peers", "other=a_peer:half")
    assert result.returncode == 0, result.stderr
    assert "| other | 1,234 | " in result.stdout and "nlm" not in result.stdout
    scores = json.loads((tmp_path / "out" / "results.json").read_text())["scenes"]["other"]
    for name in ("a", "deep/b"):
        noisy, clean = both(pairs, name)
        assert scores[name][0] == pytest.approx(psnr(np.rint(noisy / 2), clean), abs=0.05)  # halves go either way
    times = json.loads((tmp_path / "out" / "images" / "seconds.json").read_text())
    (other,) = (cost for folder, cost in times.items() if folder.startswith("other-"))
    assert other[0] > 0 and other[1] == 2 * 30 * 37
    benchmark(*options, "--peers", "other=a_peer:half")  # stored pictures keep the time that they took
    assert json.loads((tmp_path / "out" / "images" / "seconds.json").read_text()) == times
    for peer, words in (
        ("other=a_peer:wrong", "returned an array (29, 37, 3) for a picture (30, 37, 3)"),
        ("other=a_peer:nothing", "a_peer has no function nothing"),
        ("other=no_such_module:f", "no_such_module cannot be imported"),
        ("a_peer:half", "expected LABEL=module:function"),
    ):
        assert words in refusal(benchmark(*options, "--peers", peer))


def test_the_front_is_what_no_method_beats() -> None:
    points = {"slow": (9.0, 40.0), "beaten": (5.0, 37.0), "fast": (1.0, 36.0), "middle": (4.0, 38.0), "as": (9.0, 39.0)}
    assert front(points) == ["fast", "middle", "slow"]


def test_the_plot_is_drawn_where_matplotlib_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    means = {"noisy": {"scenes": (30.0, 0.5)}, "a": {"scenes": (36.0, 0.9)}, "b": {"scenes": (35.0, 0.9)}}
    path = tmp_path / "pareto.png"
    assert "no method was timed" in draw_pareto(means, {"noisy": 0.1, "a": None}, path) or not has_matplotlib()
    line = draw_pareto(means, {"noisy": 0.1, "a": 2.0, "b": 1.0}, path)
    assert path.is_file() == has_matplotlib() == line.startswith("written")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert "pip install matplotlib" in draw_pareto(means, {"a": 2.0}, path)


def has_matplotlib() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def test_names_that_would_mix_results_up_are_refused(
    tmp_path: Path,
    pairs: Path,
    weights: Weights,
) -> None:
    """Results are stored by the names of folder and method.

    Of two equal names the second would get the results of the first.
    """
    write_pair(tmp_path / "other" / "scenes", "a", random_picture(30, 37, seed=7), random_picture(30, 37, seed=8))
    common = ("--output", tmp_path / "out")
    two_folders = ("--data", pairs, tmp_path / "other" / "scenes", "--denoisers", weights["srgb"])
    assert "two folders have one name" in refusal(benchmark(*two_folders, *common))
    two_denoisers = ("--data", pairs, "--denoisers", f"x={weights['srgb']}", f"x={weights['srgb-identity']}")
    assert "two methods have one label" in refusal(benchmark(*two_denoisers, *common))
    nlm = ("--data", pairs, "--denoisers", f"nlm={weights['srgb']}")
    assert "two methods have one label" in refusal(benchmark(*nlm, *common))


def test_the_benchmark_runs_from_the_shell(tmp_path: Path, pairs: Path, weights: Weights) -> None:
    options = ("--data", pairs, "--denoisers", weights["srgb"], "--output", tmp_path / "out", "--device", "cpu")
    result = start_script("benchmarks/real_noise.py", *options)
    assert result.returncode == 0, result.stderr
    assert "| method | parameters | s/MP | scenes (2) |" in result.stdout


def test_bad_input_is_one_line(
    tmp_path: Path,
    pairs: Path,
    tiny_weights: Path,
    weights: Weights,
) -> None:
    write_pair(tmp_path / "deep16", "a", *(random_picture(20, 24, np.uint16, seed) for seed in (0, 1)))
    write_pair(tmp_path / "small", "a", random_picture(10, 24), random_picture(10, 24))
    good = weights["srgb"]
    for data, denoiser, more, words in (
        (tmp_path / "nowhere", good, (), "nowhere: no such folder"),
        (tmp_path / "deep16", good, (), "a.png: expected 8 bits, got 16"),
        (tmp_path / "small", good, (), "24x10 pixels are less than SSIM's window of 11"),
        (pairs, good, ("--crop", 0), "--crop 0: expected at least 11 pixels"),
        (pairs, good, ("--crop", -5), "--crop -5: expected at least 11 pixels"),
        (pairs, weights["raw"], (), "holds a RawDenoiser, a SrgbDenoiser or SrgbGatedDenoiser is needed"),
        (pairs, tiny_weights, (), "holds a CycleISP, a SrgbDenoiser or SrgbGatedDenoiser is needed"),
        (pairs, "nowhere", (), "nowhere: neither a file nor shipped weights"),
    ):
        options = ("--data", data, "--denoisers", denoiser, "--output", tmp_path / "out", *more)
        assert words in refusal(benchmark(*options))
