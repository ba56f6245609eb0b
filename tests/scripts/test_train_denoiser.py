"""train_denoiser.py as users call it: both spaces, photos and pairs, resuming, one-line errors."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from cycleisp.dataloaders.pairs.store import PairFiles
from cycleisp.networks.denoiser import RawDenoiser, SrgbDenoiser
from cycleisp.networks.pretrained import load_network
from tests.support.pairs import store_pair, write_pair
from tests.support.paths import ROOT
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import Outcome, call_script, start_script
from tests.support.training import metrics
from train_denoiser import main

SMOKE = str(ROOT / "configs" / "denoiser_smoke.yaml")
SHORT = ("train.steps=4", "train.log_every=2", "train.checkpoint_every=2", "train.validate_every=2")
NETWORKS = {"srgb": SrgbDenoiser, "raw": RawDenoiser}


def run(*options: object) -> Outcome:
    return call_script(main, *options)


def train(space: str, run_dir: Path, *options: object, changes: tuple[str, ...] = SHORT, status: int = 0) -> str:
    """Runs the script, which must end with a status, and returns what it says."""
    common = ("--config", SMOKE, "--device", "cpu", "--space", space, "--run-dir", run_dir, "--set", *changes)
    result = run(*common, *options)
    assert result.returncode == status, result.stderr
    return result.stderr


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed in range(2):
        write_png(tmp_path / "photos" / f"{seed}.png", random_picture(80, 96, seed=seed))
    return tmp_path / "photos"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder of pairs, as generate_data.py leaves it."""
    rng = np.random.default_rng(0)
    for seed in range(2):
        noisy, clean = rng.integers(0, 65536, (2, 4, 20, 24)).astype(np.uint16)
        pictures = (random_picture(40, 48, seed=seed + extra) for extra in (0, 9))
        store_pair(tmp_path / "pairs", str(seed), PairFiles(clean, noisy, None, *pictures), 40, 48)
    return tmp_path / "pairs"


def test_a_dry_run_prints_the_resolved_recipe() -> None:
    options = ("--config", SMOKE, "--space", "srgb", "--dry-run", "--noise", "awgn", "--set", "train.steps=7")
    result = start_script("train_denoiser.py", *options)
    assert result.returncode == 0, result.stderr
    recipe = yaml.safe_load(result.stdout)
    assert recipe["train"]["steps"] == 7
    assert recipe["synthesis"]["noise"] == ["awgn"]
    assert recipe["train"]["learning_rate"] == 1e-4


def test_the_noise_of_the_command_line_may_be_an_explicit_level() -> None:
    noise = ("--noise", "shot=0.01,read=0.0005", "sidd")
    result = run("--config", SMOKE, "--space", "raw", "--dry-run", *noise)
    assert yaml.safe_load(result.stdout)["synthesis"]["noise"] == ["shot=0.01,read=0.0005", "sidd"]


@pytest.mark.parametrize("space", ["srgb", "raw"])
def test_photos_make_a_denoiser_and_the_same_line_goes_on(
    tmp_path: Path, photos: Path, tiny_weights: Path, space: str
) -> None:
    options = ("--photos", photos, "--weights", tiny_weights)
    train(space, tmp_path / "whole", *options)
    assert isinstance(load_network(tmp_path / "whole" / "weights.safetensors", NETWORKS[space]), NETWORKS[space])
    assert [record["step"] for record in metrics(tmp_path / "whole")] == [2, 4]
    assert all(np.isfinite(record["psnr_clean"]) for record in metrics(tmp_path / "whole"))
    assert "stopped at step 1 of 4" in train(space, tmp_path / "parts", *options, "--stop-after", 0, status=3)
    assert "resuming" in train(space, tmp_path / "parts", *options)
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "parts"))
    assert all(bool((first[name] == second[name]).all()) for name in first)


@pytest.mark.parametrize("space", ["srgb", "raw"])
def test_stored_pairs_make_a_denoiser(tmp_path: Path, pairs: Path, tiny_weights: Path, space: str) -> None:
    train(space, tmp_path / "run", "--pairs", pairs, "--weights", tiny_weights)
    load_network(tmp_path / "run" / "weights.safetensors", NETWORKS[space])
    assert len(metrics(tmp_path / "run")) == 2


def test_a_run_from_before_photos_were_held_out_says_how_to_go_on(
    tmp_path: Path, photos: Path, tiny_weights: Path
) -> None:
    options = ("--photos", photos, "--weights", tiny_weights)
    train("srgb", tmp_path / "run", *options, changes=(*SHORT, "data.holdout_share=0"))
    stored = tmp_path / "run" / "recipe.yaml"
    recipe = yaml.safe_load(stored.read_text())
    for key in ("holdout_share", "pair_shares"):
        del recipe["data"][key]
    stored.write_text(yaml.safe_dump(recipe, sort_keys=False))
    common = ("--config", SMOKE, "--device", "cpu", "--space", "srgb", "--run-dir", tmp_path / "run", *options, "--set")
    refused = run(*common, *SHORT)
    assert refused.returncode == 2
    assert "data.holdout_share: 0.0 there, 0.1 here" in refused.stderr
    assert run(*common, *SHORT, "data.holdout_share=0").returncode == 0


def test_folders_of_pairs_are_mixed_by_shares(tmp_path: Path, pairs: Path) -> None:
    for seed in range(3):
        write_pair(tmp_path / "own", f"own{seed}", random_picture(40, 48, seed=seed), random_picture(40, 48, seed=seed))
    said = train("srgb", tmp_path / "run", "--pairs", pairs, tmp_path / "own", "--shares", 0.7, 0.3)
    assert "4 pairs to train on, 1 held out" in said
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["data"]["pair_shares"] == [0.7, 0.3]


def test_gaussian_noise_needs_no_cycleisp_and_real_pairs_validate(tmp_path: Path, photos: Path) -> None:
    for name in ("x", "y"):
        write_pair(tmp_path / name, "a", random_picture(40, 48, seed=1), random_picture(40, 48, seed=2))
    real = ("--validation", tmp_path / "x", tmp_path / "y")
    train("srgb", tmp_path / "run", "--photos", photos, "--weights", "nowhere", "--noise", "awgn", *real)
    recipe = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    assert recipe["synthesis"]["noise"] == ["awgn"]
    assert len(metrics(tmp_path / "run")) == 2


def test_a_bad_photo_is_named_in_one_line(tmp_path: Path, tiny_weights: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    options = ("--config", SMOKE, "--device", "cpu", "--space", "srgb", "--photos", tmp_path / "bad.png")
    result = run(*options, "--weights", tiny_weights, "--run-dir", tmp_path / "run")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert f"error: {tmp_path / 'bad.png'}: not a JPEG" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config", "none.yaml", "--run-dir", "x"), "none.yaml: cannot be read"),
        (("--config", SMOKE, "--set", "train.stepz=1", "--run-dir", "x"), "train.stepz"),
        (("--config", SMOKE, "--set", "data.scale=[2, 1]", "--run-dir", "x"), "data.scale"),
        (("--config", SMOKE, "--run-dir", "x"), "give --photos"),
        (("--config", SMOKE), "--run-dir is needed"),
        (("--config", SMOKE, "--run-dir", "x", "--photos", "nowhere"), "nowhere: no such file or folder"),
        (("--config", SMOKE, "--run-dir", "x", "--pairs", "nowhere"), "nowhere: no such folder"),
        (("--config", SMOKE, "--run-dir", "x", "--photos", "a", "--pairs", "b"), "not allowed with argument"),
        (("--config", SMOKE, "--run-dir", "x", "--photos", "PHOTOS", "--noise", "loud"), "unknown noise 'loud'"),
        (("--config", SMOKE, "--run-dir", "x", "--photos", "PHOTOS", "--noise", "awgn", "dnd"), "stands alone"),
        (("--config", SMOKE, "--run-dir", "x", "--photos", "PHOTOS", "--weights", "none"), "none: neither a file nor"),
        (("--config", SMOKE, "--run-dir", "x", "--photos", "PHOTOS", "--validation", "none"), "none: no such folder"),
    ],
    ids=lambda value: " ".join(map(str, value[2:])) if isinstance(value, tuple) else None,
)
def test_what_a_user_can_mend_is_one_line(tmp_path: Path, photos: Path, options: tuple[str, ...], message: str) -> None:
    changed = [{"x": tmp_path / "run", "PHOTOS": photos}.get(option, option) for option in options]
    result = run("--space", "srgb", "--device", "cpu", *changed)
    assert result.returncode == 2
    assert message in result.stderr and "Traceback" not in result.stderr
    assert sum("error: " in line for line in result.stderr.splitlines()) == 1
