"""The training scripts when something goes wrong: one line, the right status, nothing left over."""

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.photos import PhotoError
from tests.support.claims import holder
from tests.support.paths import ROOT
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import call_script, error_line
from train_denoiser import main
from train_raw2rgb import main as train_raw2rgb

CASES = ROOT.parent / "shared" / "cases"
SMOKE = ROOT / "configs" / "denoiser_smoke.yaml"
COMMON = ("--config", SMOKE, "--device", "cpu", "--space", "srgb", "--noise", "awgn")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed in range(3):
        write_png(tmp_path / "photos" / f"{seed}.png", random_picture(80, 96, seed=seed))
    return tmp_path / "photos"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Photos, and the folder of a run on them that has been stopped after its first step.

    Never written to.
    """
    folder = tmp_path_factory.mktemp("begun")
    for seed in range(3):
        write_png(folder / "photos" / f"{seed}.png", random_picture(80, 96, seed=seed))
    options = (*COMMON, "--photos", folder / "photos", "--run-dir", folder / "run")
    assert call_script(main, *options, "--stop-after", 0).returncode == 3
    return folder / "photos", folder / "run"


@pytest.fixture
def stopped(tmp_path: Path, begun: tuple[Path, Path]) -> tuple[object, ...]:
    """The options of a run that has been stopped after its first step."""
    shutil.copytree(begun[1], tmp_path / "run")
    return (*COMMON, "--photos", begun[0], "--run-dir", tmp_path / "run")


def start(*options: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "train_denoiser.py"), *map(str, options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    )


def test_a_stopped_run_is_not_a_finished_one(stopped: tuple[object, ...]) -> None:
    finished = call_script(main, *stopped)
    assert finished.returncode == 0 and "resuming" in finished.stderr
    assert call_script(main, *stopped).returncode == 0  # nothing left to do


@pytest.mark.parametrize("workers", [0, 2])
def test_a_photo_that_only_decoding_finds_damaged_is_left_out_and_named(
    tmp_path: Path, photos: Path, workers: int
) -> None:
    whole = (photos / "0.png").read_bytes()
    (photos / "truncated.png").write_bytes(whole[: len(whole) * 2 // 3])
    options = (*COMMON, "--photos", photos, "--run-dir", tmp_path / "run", "--set", f"train.workers={workers}")
    result = call_script(main, *options)
    assert result.returncode == 0, result.stderr
    assert sum(f"left out {photos / 'truncated.png'}: " in line for line in result.stderr.splitlines()) == 1
    assert not multiprocessing.active_children()


@pytest.mark.skipif(not (CASES / "train-bad-photo").is_dir(), reason="needs the project's shared cases")
def test_the_bad_photo_of_the_cases(tmp_path: Path) -> None:
    folder = CASES / "train-bad-photo"
    options = (*COMMON, "--photos", folder, "--run-dir", tmp_path / "run", "--set", "train.workers=2")
    result = call_script(main, *options)
    assert result.returncode == 0 and f"left out {folder / 'truncated.jpg'}: " in result.stderr


def test_a_photo_that_vanishes_during_training_ends_the_run_which_goes_on_later(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*COMMON, "--photos", photos, "--run-dir", tmp_path / "run")
    changes = ("--set", "train.workers=2")
    assert call_script(main, *options, *changes, "--stop-after", 0).returncode == 3

    def vanish(store: PhotoStore, _index: int) -> None:
        raise PhotoError(f"{store.sources[0].path}: cannot be read (No such file or directory)")

    with monkeypatch.context() as patched:
        patched.setattr(PhotoStore, "__getitem__", vanish)
        assert ".png: cannot be read (No such file" in error_line(call_script(main, *options, *changes))
    assert not multiprocessing.active_children()
    away = (photos / "1.png").rename(tmp_path / "1.png")
    line = error_line(call_script(main, *options, *changes))
    assert "error: 1: 1 of the files that this run has begun with are gone" in line
    away.rename(photos / "1.png")
    assert call_script(main, *options, *changes).returncode == 0


def test_a_full_disk_is_one_line_and_the_checkpoint_before_is_kept(tmp_path: Path, photos: Path) -> None:
    options = (*COMMON, "--photos", photos, "--run-dir", tmp_path / "run")
    assert call_script(main, *options, "--stop-after", 0).returncode == 3
    kept = (tmp_path / "run" / "checkpoint.ckpt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) // 2, limits[1]))
    try:
        line = error_line(call_script(main, *options))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "checkpoint.ckpt: cannot be written (File too large)" in line
    assert (tmp_path / "run" / "checkpoint.ckpt").read_bytes() == kept
    assert not list((tmp_path / "run").glob(".cycleisp-*.part"))


def test_a_second_run_on_the_folder_is_told_of_the_first(tmp_path: Path, stopped: tuple[object, ...]) -> None:
    first = holder(tmp_path / "run")
    assert f"another run writes there, process {first.pid} of" in error_line(call_script(main, *stopped))
    first.kill()
    first.communicate(timeout=60)
    assert call_script(main, *stopped, "--stop-after", 0).returncode == 3


def test_ctrl_c_to_all_processes_saves_and_none_is_left(tmp_path: Path, photos: Path) -> None:
    """Until then the folder is the run's own."""
    changes = ("--set", "train.steps=30000", "train.workers=1")
    options = (*COMMON, "--photos", photos, "--run-dir", tmp_path / "run", *changes)
    run = start(*options)
    wait_for(tmp_path / "run" / "checkpoint.ckpt")
    assert f"another run writes there, process {run.pid} of" in error_line(call_script(main, *options))
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 3 and "saved; run the same command again" in said and "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)  # no loader process is left


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"x" * 30_000], ids=["empty", "short", "other"])
def test_a_broken_checkpoint_is_named(stopped: tuple[object, ...], content: bytes) -> None:
    path = Path(str(stopped[-1])) / "checkpoint.ckpt"
    path.write_bytes(content)
    line = error_line(call_script(main, *stopped))
    assert line.startswith(f"error: {path}: ") and "remove it to begin anew" in line


@pytest.mark.skipif(not (CASES / "broken-checkpoint").is_dir(), reason="needs the project's shared cases")
@pytest.mark.parametrize("name", ["empty.ckpt", "truncated.ckpt"])
def test_the_broken_checkpoints_of_the_cases(tmp_path: Path, photos: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    shutil.copyfile(CASES / "broken-checkpoint" / "recipe.yaml", tmp_path / "run" / "recipe.yaml")
    shutil.copyfile(CASES / "broken-checkpoint" / name, tmp_path / "run" / "checkpoint.ckpt")
    line = error_line(call_script(main, *COMMON, "--photos", photos, "--run-dir", tmp_path / "run"))
    assert line.startswith(f"error: {tmp_path / 'run' / 'checkpoint.ckpt'}: ")


def test_a_flipped_bit_in_a_checkpoint_is_found(stopped: tuple[object, ...]) -> None:
    path = Path(str(stopped[-1])) / "checkpoint.ckpt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)
    assert f"{path}: " in error_line(call_script(main, *stopped))


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\0", b"a: " + b"[" * 5000, b"- 1\n", b"seed: 2001-99-99\n", b"a: &a [*a]\n", b"a: 1\na: 2\n"]
)
def test_a_damaged_recipe_in_the_run_folder_is_one_line(stopped: tuple[object, ...], content: bytes) -> None:
    folder = Path(str(stopped[-1]))
    (folder / "recipe.yaml").write_bytes(content)
    assert str(folder) in error_line(call_script(main, *stopped))


def test_a_run_folder_that_is_none(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/run")):
        line = error_line(call_script(main, *COMMON, "--photos", photos, "--run-dir", folder))
        assert line.startswith(f"error: {folder}: cannot be written")


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    torch.load(path, weights_only=True)


# ---------------------------------------------------------------- the run folder


def test_a_run_of_another_stage_is_not_gone_on_with(tmp_path: Path, photos: Path) -> None:
    """Stages that share a network and a recipe differ in what they learn."""
    folder = ("--photos", photos, "--run-dir", tmp_path / "run", "--device", "cpu")
    short = ("--config", "smoke.yaml", "--set", "train.steps=1", "data.validation_patches=1")
    assert call_script(train_raw2rgb, *short, *folder, "--stage", "joint").returncode == 0
    before = (tmp_path / "run" / "checkpoint.ckpt").read_bytes()
    for stage in ("matching", "raw2rgb"):
        refused = call_script(train_raw2rgb, *short, *folder, "--stage", stage)
        assert refused.returncode == 2 and "trains CycleISP with JointObjective" in error_line(refused)
        assert "give another --run-dir" in error_line(refused) and "damaged" not in refused.stderr
    assert (tmp_path / "run" / "checkpoint.ckpt").read_bytes() == before


def test_a_run_of_the_other_space_is_not_called_damaged(tmp_path: Path, stopped: tuple[object, ...]) -> None:
    other = ["raw" if option == "srgb" else option for option in stopped]
    other = ["dnd" if option == "awgn" else option for option in other]
    (tmp_path / "run" / "recipe.yaml").write_text(
        (tmp_path / "run" / "recipe.yaml").read_text().replace("- awgn", "- dnd")
    )
    refused = call_script(main, *other)
    assert refused.returncode == 2 and "trains SrgbDenoiser" in error_line(refused)


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_a_finished_run_ends_with_whole_weights(
    tmp_path: Path, stopped: tuple[object, ...], content: bytes | None
) -> None:
    """Status 0 means that the weights can be used."""
    assert call_script(main, *stopped).returncode == 0
    weights = tmp_path / "run" / "weights.safetensors"
    whole = weights.read_bytes()
    weights.unlink() if content is None else weights.write_bytes(content)
    assert call_script(main, *stopped).returncode == 0
    assert weights.read_bytes() == whole


@pytest.mark.parametrize("content", ["", "half", '{"name": "0.png", "problem": null}\n', "\0\n[]\n"])
def test_a_damaged_record_of_photos_costs_no_photo(tmp_path: Path, stopped: tuple[object, ...], content: str) -> None:
    record = tmp_path / "run" / "photos.jsonl"
    whole = record.read_bytes()
    record.write_bytes(whole[: len(whole) // 2] if content == "half" else content.encode())
    again = call_script(main, *stopped, "--stop-after", 0)
    assert again.returncode == 3 and "2 photos to train on, 1 held out" in again.stderr
    assert (f"{record}: damaged" in again.stderr) == bool(content)
    assert record.read_bytes() == whole


def test_a_damaged_recipe_of_a_run_can_be_removed(tmp_path: Path, stopped: tuple[object, ...]) -> None:
    recipe = tmp_path / "run" / "recipe.yaml"
    whole = recipe.read_bytes()
    for content in (b"", b"\xff\0{[", whole + b"  half", b"- 1"):
        recipe.write_bytes(content)
        refused = call_script(main, *stopped)
        assert refused.returncode == 2 and f"{recipe}: " in error_line(refused)
        assert "remove it: checkpoint.ckpt beside it holds the recipe" in error_line(refused)
    recipe.unlink()
    assert call_script(main, *stopped).returncode == 0 and recipe.read_bytes() == whole


def test_recipes_that_differ_in_much_are_told_apart_in_a_short_line(
    tmp_path: Path, stopped: tuple[object, ...]
) -> None:
    photos = stopped[stopped.index("--photos") + 1]
    other = call_script(train_raw2rgb, "--config", "smoke.yaml", "--photos", photos, "--run-dir", tmp_path / "run")
    assert other.returncode == 2 and "more); give another --run-dir" in error_line(other)


@pytest.mark.parametrize("minutes", ["-1", "nan", "inf", "soon"])
def test_a_time_to_stop_is_a_time(tmp_path: Path, photos: Path, minutes: str) -> None:
    folder = ("--photos", photos, "--run-dir", tmp_path / "run")
    refused = call_script(main, *COMMON, *folder, f"--stop-after={minutes}")
    assert refused.returncode == 2 and "--stop-after" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_damaged_pairs_are_left_out_before_training(tmp_path: Path, photos: Path) -> None:
    for side in ("noisy", "clean"):
        shutil.copytree(photos, tmp_path / "pairs" / side)
        write_png(tmp_path / "pairs" / side / "3.png", random_picture(80, 96, seed=3))
    truncated = tmp_path / "pairs" / "clean" / "1.png"
    truncated.write_bytes(truncated.read_bytes()[:-200])
    other_size = tmp_path / "pairs" / "clean" / "2.png"
    write_png(other_size, random_picture(64, 64, seed=2))
    small = ("--set", "train.steps=1", "data.validation_patches=1", "--run-dir", tmp_path / "run")
    options = ("--config", SMOKE, "--space", "srgb", "--pairs", tmp_path / "pairs", "--device", "cpu", *small)
    trained = call_script(main, *options)
    assert trained.returncode == 0 and "1 pairs to train on, 1 held out" in trained.stderr
    assert f"left out {truncated}: " in trained.stderr and f"{other_size} is 64x64" in trained.stderr


def test_a_damaged_pair_for_validation_is_told_before_training(tmp_path: Path, photos: Path) -> None:
    for side in ("noisy", "clean"):
        shutil.copytree(photos, tmp_path / "pairs" / side)
    truncated = tmp_path / "pairs" / "clean" / "1.png"
    truncated.write_bytes(truncated.read_bytes()[:-200])
    folders = ("--photos", photos, "--validation", tmp_path / "pairs", "--run-dir", tmp_path / "run")
    refused = call_script(main, *COMMON, *folders)
    assert refused.returncode == 2 and f"{truncated}: " in error_line(refused)
    assert not (tmp_path / "run" / "checkpoint.ckpt").exists()


@pytest.mark.parametrize(
    "value",
    [
        "data.patch_size=80000",
        "data.validation_size=80000",
        "train.batch_size=2000000000",
        "network.denoiser.width=800000",
        "network.denoiser.num_groups=2000000000",
        "network.denoiser.num_blocks=2000000000",
    ],
)
def test_a_slip_of_the_keyboard_asks_for_no_memory(tmp_path: Path, photos: Path, value: str) -> None:
    refused = call_script(main, *COMMON, "--photos", photos, "--run-dir", tmp_path / "run", "--set", value)
    assert refused.returncode == 2
    assert f"{value.partition('=')[0]}: Input should be less than or equal to" in error_line(refused)
