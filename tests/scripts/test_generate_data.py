"""generate_data.py from end to end: what it writes, that it can be made again, and that nothing
stops it for good.
"""

import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import generate_data
from cycleisp.dataloaders.pairs import store as pair_store
from cycleisp.dataloaders.pairs.store import PairFiles, PairStore, read_manifest, read_raw_pair
from cycleisp.dataloaders.photos import read_photo
from cycleisp.networks import pretrained
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.synthesis.learned_camera import LearnedCamera
from cycleisp.networks.synthesis.photo_pairs import PairSynthesizer
from cycleisp.utils.cli import run_script
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.raw.camera_files import read_raw, render_with_libraw
from cycleisp.utils.raw.noise import PROFILES
from cycleisp.utils.weights.files import save_weights
from tests.support.pictures import encode_png, random_picture, write_dng, write_png

SCRIPT = Path(generate_data.__file__)
PATIENCE = 600  # seconds until a process counts as stuck, on a machine that is busy with other things


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


Generate = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _same_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The version in the files shall not change if someone commits between two runs of a test."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "no-repository"))


@pytest.fixture
def generate(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Generate:
    """`generate("--input", ...)` runs the script in this process, on the CPU, with tiny weights
    unless others come.
    """

    def run(*options: object, defaults: bool = True) -> Outcome:
        words = list(map(str, options))
        if defaults:
            words = ["--device", "cpu", "--weights", str(tiny_weights), *words]
        monkeypatch.setattr(sys, "argv", ["generate_data.py", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            run_script(generate_data.main)
        assert isinstance(left.value.code, int)
        return Outcome(left.value.code, *capfd.readouterr())

    return run


def command(weights: Path, *options: object) -> list[str]:
    """The script as a process of its own."""
    return [sys.executable, str(SCRIPT), "--device", "cpu", "--weights", str(weights), *map(str, options)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of all files of pairs."""
    files = (path for part in ("raw", "srgb") for path in (folder / part).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def everything(folder: Path) -> dict[str, bytes]:
    """All files of an output folder but the locks, hidden ones included.

    The manifest comes without the number of threads, which differs between processes.
    """
    return {
        path.relative_to(folder).as_posix(): re.sub(rb'"threads": \d+', b"", path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".lock", ".cycleisp.lock")
    }


def names_of(folder: Path) -> list[str]:
    return [record["name"] for record in read_manifest(folder)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven photos of four kinds and three sizes."""
    folder = tmp_path / "photos"
    for number, (name, height, width, dtype) in enumerate(
        [
            ("a.png", 24, 32, np.uint8),
            ("b.png", 24, 32, np.uint16),
            ("c.png", 17, 21, np.uint8),
            ("d.png", 24, 32, np.uint8),
            ("e.png", 17, 21, np.uint16),
        ]
    ):
        write_png(folder / name, random_picture(height, width, dtype, seed=number))
    Image.fromarray(random_picture(24, 32, seed=8)).save(folder / "f.jpg", quality=90)
    Image.fromarray(random_picture(2, 3, seed=9)).save(folder / "g.webp", lossless=True)
    return folder


NAMES = list("abcdefg")


# ---------------------------------------------------------------- what it writes


def test_every_photo_becomes_a_raw_and_an_srgb_pair_as_documented(
    tmp_path: Path, photos: Path, tiny_weights: Path, generate: Generate
) -> None:
    out = tmp_path / "pairs"
    outcome = generate("--input", photos, "--output", out, "--seed", 3, "--variance", "--preview")
    assert outcome.status == 0
    assert "7 pairs made, 0 kept from before, 0 skipped" in outcome.out
    expected = {"manifest.jsonl", "settings.json", "preview.png"}
    expected |= {f"raw/{name}.h5" for name in NAMES}
    expected |= {f"srgb/{kind}/{name}.png" for name in NAMES for kind in ("clean", "noisy")}
    assert set(everything(out)) == expected
    for record in map(json.loads, (out / "manifest.jsonl").read_text().splitlines()):
        photo = read_photo(Path(record["source"]))
        height, width = photo.shape[:2]
        shape = (4, height // 2, width // 2)
        with h5py.File(out / record["files"]["raw"]) as file:
            assert {key: (plane.dtype, plane.shape) for key, plane in file.items()} == {
                "clean": (np.uint16, shape),
                "noisy": (np.uint16, shape),
                "variance": (np.float32, shape),
            }
            noisy, variance, attributes = file["noisy"][()] / 65535, file["variance"][()], dict(file.attrs)
        shot_noise, read_noise = attributes["shot_noise"], attributes["read_noise"]
        np.testing.assert_allclose(variance, shot_noise * noisy + read_noise, atol=shot_noise * 0.51 / 65535 + 1e-9)
        assert attributes == {
            "pattern": "RGGB",
            "seed": 3,
            "weights_sha256": file_sha256(tiny_weights),
            **{key: record[key] for key in ("shot_noise", "read_noise", "version")},
        }
        low, high = PROFILES["dnd"].shot_range
        assert low * 0.9999 <= shot_noise <= high * 1.0001
        for kind in ("clean", "noisy"):
            stored = cv2.imread(str(out / record["files"][f"srgb_{kind}"]), cv2.IMREAD_UNCHANGED)
            assert stored is not None
            assert (stored.dtype, stored.shape) == (photo.dtype, photo.shape)


def test_the_manifest_says_all_that_made_a_pair(
    tmp_path: Path, photos: Path, tiny_weights: Path, generate: Generate
) -> None:
    generate("--input", photos, "--output", tmp_path / "pairs", "--noise", "shot=0.01,read=0.0005", "--blur", 0.5)
    records = read_manifest(tmp_path / "pairs")
    assert [record["name"] for record in records] == NAMES
    settings = json.loads((tmp_path / "pairs" / "settings.json").read_text())
    assert settings == {
        "space": "both",
        "noise": "shot=0.01,read=0.0005",
        "weights_sha256": file_sha256(tiny_weights),
        "clean_target": "residual",
        "blur": 0.5,
        "seed": 0,
        "variance": False,
        "precision": "float32",
    }
    for record in records:
        assert settings.items() <= record.items()
        assert record["source_sha256"] == file_sha256(Path(record["source"]))
        assert record["source_bytes"] == Path(record["source"]).stat().st_size
        assert (record["shot_noise"], record["read_noise"]) == pytest.approx((0.01, 0.0005))
        assert record["from_camera_raw"] is False
        photo = read_photo(Path(record["source"]))
        assert (record["height"], record["width"], record["bits"]) == (*photo.shape[:2], 8 * photo.dtype.itemsize)
        assert isinstance(record["pair_seed"], int)
        assert record["version"]


def test_without_blur_the_clean_picture_is_the_photo_to_the_last_bit(
    tmp_path: Path, photos: Path, generate: Generate
) -> None:
    generate("--input", photos, "--output", tmp_path / "pairs", "--blur", 0)
    for record in read_manifest(tmp_path / "pairs"):
        stored = read_photo(tmp_path / "pairs" / record["files"]["srgb_clean"])
        np.testing.assert_array_equal(stored, read_photo(Path(record["source"])))


def test_folders_in_folders_and_odd_names_are_kept(tmp_path: Path, generate: Generate) -> None:
    names = ["deep/er/été 1.v2", "top", "日本/a"]
    for name in names:
        write_png(tmp_path / "photos" / f"{name}.png", random_picture(8, 8))
    outcome = generate("--input", tmp_path / "photos", "--output", tmp_path / "pairs", "--preview")
    assert outcome.status == 0
    assert names_of(tmp_path / "pairs") == names
    for name in names:
        assert (tmp_path / "pairs" / "raw" / f"{name}.h5").is_file()
        assert (tmp_path / "pairs" / "srgb" / "noisy" / f"{name}.png").is_file()


@pytest.mark.parametrize(
    ("space", "part", "keys"), [("raw", "raw", {"raw"}), ("srgb", "srgb", {"srgb_clean", "srgb_noisy"})]
)
def test_one_space_alone_is_written_with_the_same_bytes_as_in_both(
    tmp_path: Path, photos: Path, generate: Generate, space: str, part: str, keys: set[str]
) -> None:
    generate("--input", photos, "--output", tmp_path / "both")
    outcome = generate("--input", photos, "--output", tmp_path / space, "--space", space, "--preview")
    assert outcome.status == 0
    assert {name.split("/")[0] for name in everything(tmp_path / space)} == {
        *(part, "manifest.jsonl", "settings.json", "preview.png")
    }
    assert all(set(record["files"]) == keys for record in read_manifest(tmp_path / space))
    assert hashes(tmp_path / space).items() <= hashes(tmp_path / "both").items()


def test_no_variance_is_stored_unless_asked_for(tmp_path: Path, photos: Path, generate: Generate) -> None:
    generate("--input", photos, "--output", tmp_path / "pairs", "--limit", 1)
    with h5py.File(tmp_path / "pairs" / "raw" / "a.h5") as file:
        assert set(file) == {"clean", "noisy"}


@pytest.mark.parametrize("space", ["raw", "srgb", "both"])
def test_the_preview_is_a_picture_of_some_pairs(tmp_path: Path, photos: Path, generate: Generate, space: str) -> None:
    out = tmp_path / "pairs"
    outcome = generate("--input", photos, "--output", out, "--space", space, "--preview")
    assert f"contact sheet: {out / 'preview.png'}" in outcome.out
    preview = cv2.imread(str(out / "preview.png"))
    assert preview is not None
    assert preview.std() > 10  # something is on it
    # it is made again for pairs that are all there
    (out / "preview.png").unlink()
    assert generate("--input", photos, "--output", out, "--space", space, "--preview").status == 0
    assert (out / "preview.png").is_file()


def test_no_preview_is_made_unless_asked_for(tmp_path: Path, photos: Path, generate: Generate) -> None:
    generate("--input", photos, "--output", tmp_path / "pairs")
    assert not (tmp_path / "pairs" / "preview.png").exists()


def test_a_limit_takes_the_first_names_and_a_later_run_the_rest(
    tmp_path: Path, photos: Path, generate: Generate
) -> None:
    assert generate("--input", photos, "--output", tmp_path / "pairs", "--limit", 3).status == 0
    assert names_of(tmp_path / "pairs") == NAMES[:3]
    outcome = generate("--input", photos, "--output", tmp_path / "pairs")
    assert "4 pairs made, 3 kept from before" in outcome.out
    assert names_of(tmp_path / "pairs") == NAMES


# ---------------------------------------------------------------- camera files


@pytest.mark.parametrize("batch_size", [1, 2])
def test_camera_files_keep_their_own_raw_exactly(tmp_path: Path, generate: Generate, batch_size: int) -> None:
    first_red = {"RGGB": (0, 0), "GBRG": (1, 0)}
    for seed, pattern in enumerate(first_red):
        values = np.random.default_rng(seed).integers(64, 1024, (35, 47)).astype(np.uint16)
        write_dng(tmp_path / "raw" / f"{pattern}.dng", values, pattern)
    out = tmp_path / "pairs"
    options = ("--input", tmp_path / "raw", "--output", out, "--batch-size", batch_size)
    assert generate(*options).status == 0
    assert names_of(out) == ["GBRG", "RGGB"]
    for record in read_manifest(out):
        path, (top, left) = Path(record["source"]), first_red[record["name"]]
        assert record["from_camera_raw"] is True
        window = np.s_[top : top + 34, left : left + 46]
        mosaic = read_raw(path).mosaic[window].astype(np.float64)
        planes = [mosaic[row::2, column::2] for row, column in ((0, 0), (0, 1), (1, 0), (1, 1))]
        clean, noisy, _ = read_raw_pair(out / record["files"]["raw"])
        np.testing.assert_array_equal(clean, np.round(np.stack(planes) * 65535))
        assert not np.array_equal(noisy, clean)
        shown = render_with_libraw(path)[window]
        np.testing.assert_array_equal(read_photo(out / record["files"]["srgb_clean"]), shown)


def test_photos_and_camera_files_may_be_mixed(tmp_path: Path, photos: Path, generate: Generate) -> None:
    values = np.random.default_rng(0).integers(64, 1024, (36, 48)).astype(np.uint16)
    write_dng(photos / "camera.dng", values)
    write_png(photos / "same size.png", random_picture(36, 48))
    assert generate("--input", photos, "--output", tmp_path / "pairs", "--batch-size", 4).status == 0
    camera = {record["name"]: record["from_camera_raw"] for record in read_manifest(tmp_path / "pairs")}
    assert len(camera) == 9
    assert [name for name in camera if camera[name]] == ["camera"]


# ---------------------------------------------------------------- made again


@pytest.mark.parametrize(
    "options",
    [("--batch-size", 2), ("--batch-size", 4), ("--workers", 1), ("--workers", 5), ("--batch-size", 3, "--workers", 3)],
    ids=lambda options: " ".join(map(str, options)),
)
def test_batches_and_threads_change_no_byte(
    tmp_path: Path, photos: Path, generate: Generate, options: tuple[object, ...]
) -> None:
    generate("--input", photos, "--output", tmp_path / "plain")
    generate("--input", photos, "--output", tmp_path / "other", *options)
    expected, other = hashes(tmp_path / "plain"), hashes(tmp_path / "other")
    assert other.keys() == expected.keys()
    assert [name for name in expected if other[name] != expected[name]] == []


def test_the_order_and_the_company_of_photos_change_no_byte(tmp_path: Path, photos: Path, generate: Generate) -> None:
    generate("--input", photos, "--output", tmp_path / "plain")
    files = sorted(photos.iterdir())
    generate("--input", *files[::-1], "--output", tmp_path / "backwards")
    assert hashes(tmp_path / "backwards") == hashes(tmp_path / "plain")
    generate("--input", files[4], files[1], "--output", tmp_path / "some")
    assert len(hashes(tmp_path / "some")) == 6
    assert hashes(tmp_path / "some").items() <= hashes(tmp_path / "plain").items()


def test_a_pair_depends_on_the_bytes_of_its_photo_not_on_its_name(
    tmp_path: Path, photos: Path, generate: Generate
) -> None:
    (tmp_path / "renamed").mkdir()
    shutil.copy(photos / "b.png", tmp_path / "renamed" / "z.png")
    generate("--input", photos, "--output", tmp_path / "plain")
    generate("--input", tmp_path / "renamed", "--output", tmp_path / "other")
    plain, other = hashes(tmp_path / "plain"), hashes(tmp_path / "other")
    for name in ("raw/{}.h5", "srgb/clean/{}.png", "srgb/noisy/{}.png"):
        assert other[name.format("z")] == plain[name.format("b")]


def test_another_seed_changes_the_noise_alone(tmp_path: Path, photos: Path, generate: Generate) -> None:
    for seed in (0, 1):
        generate("--input", photos, "--output", tmp_path / str(seed), "--seed", seed)
    for name in NAMES[:-1]:
        pairs = [read_raw_pair(tmp_path / seed / "raw" / f"{name}.h5") for seed in "01"]
        np.testing.assert_array_equal(pairs[0][0], pairs[1][0])
        assert not np.array_equal(pairs[0][1], pairs[1][1])
        assert pairs[0][2]["shot_noise"] != pairs[1][2]["shot_noise"]


@pytest.mark.parametrize("clean_target", ["input", "cycle", "residual"])
def test_the_files_hold_what_the_networks_give(
    tmp_path: Path, photos: Path, tiny_isp: CycleISP, generate: Generate, clean_target: Any
) -> None:
    generate("--input", photos, "--output", tmp_path / "pairs", "--clean-target", clean_target)
    synthesize = PairSynthesizer(LearnedCamera(tiny_isp, clean_target), PROFILES["dnd"])
    for record in read_manifest(tmp_path / "pairs"):
        photo = read_photo(Path(record["source"])).astype(np.float32)
        photo /= np.iinfo(read_photo(Path(record["source"])).dtype).max
        (pair,) = synthesize(torch.from_numpy(photo).permute(2, 0, 1)[None], [record["pair_seed"]])
        clean, noisy, _ = read_raw_pair(tmp_path / "pairs" / record["files"]["raw"])
        assert np.abs(clean - pair.clean_raw.numpy() * 65535).max() < 0.6
        assert np.abs(noisy - pair.noisy_raw.numpy() * 65535).max() < 0.6
        for kind, image in (("clean", pair.clean_srgb), ("noisy", pair.noisy_srgb)):
            stored = read_photo(tmp_path / "pairs" / record["files"][f"srgb_{kind}"])
            assert image is not None
            expected = image.permute(1, 2, 0).numpy() * np.iinfo(stored.dtype).max
            assert np.abs(stored - expected).max() < 0.6


# ---------------------------------------------------------------- going on


def test_a_second_run_touches_no_pair(tmp_path: Path, photos: Path, generate: Generate) -> None:
    generate("--input", photos, "--output", tmp_path / "pairs")
    times = {name: (tmp_path / "pairs" / name).stat().st_mtime_ns for name in hashes(tmp_path / "pairs")}
    manifest = (tmp_path / "pairs" / "manifest.jsonl").read_bytes()
    outcome = generate("--input", photos, "--output", tmp_path / "pairs", "--batch-size", 2, "--workers", 3)
    assert outcome.status == 0
    assert "0 pairs made, 7 kept from before, 0 skipped" in outcome.out
    assert {name: (tmp_path / "pairs" / name).stat().st_mtime_ns for name in times} == times
    assert (tmp_path / "pairs" / "manifest.jsonl").read_bytes() == manifest


def test_what_was_lost_or_changed_is_made_again_and_nothing_else(
    tmp_path: Path, photos: Path, generate: Generate
) -> None:
    out = tmp_path / "pairs"
    generate("--input", photos, "--output", out)
    before = hashes(out)
    (out / "srgb" / "noisy" / "b.png").unlink()
    (out / "raw" / "c.h5").unlink()
    write_png(photos / "d.png", random_picture(10, 12, seed=77))
    outcome = generate("--input", photos, "--output", out)
    assert "3 pairs made, 4 kept from before" in outcome.out
    after = hashes(out)
    assert {name for name in before if after[name] != before[name]} == {
        "raw/d.h5",
        "srgb/clean/d.png",
        "srgb/noisy/d.png",
    }


def test_a_folder_of_other_settings_is_refused_and_left_alone(tmp_path: Path, photos: Path, generate: Generate) -> None:
    generate("--input", photos, "--output", tmp_path / "pairs")
    before = everything(tmp_path / "pairs")
    outcome = generate("--input", photos, "--output", tmp_path / "pairs", "--seed", 1, "--noise", "sidd")
    assert outcome.status == 2
    (line,) = outcome.error_lines
    assert "noise=dnd, seed=0" in line
    assert everything(tmp_path / "pairs") == before


def test_an_output_inside_the_input_makes_no_pairs_of_pairs(tmp_path: Path, photos: Path, generate: Generate) -> None:
    options = ("--input", photos, "--output", photos / "pairs")
    if generate(*options).status == 2:
        return  # refused: as good
    assert names_of(photos / "pairs") == NAMES
    generate(*options)
    assert names_of(photos / "pairs") == NAMES


def test_two_processes_share_the_work_and_give_what_one_gives(
    tmp_path: Path, photos: Path, tiny_weights: Path, generate: Generate
) -> None:
    assert generate("--input", photos, "--output", tmp_path / "alone").status == 0
    line = command(tiny_weights, "--input", photos, "--output", tmp_path / "shared")
    processes = [
        subprocess.Popen(
            line,
            env=environment(RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [out.split()[0] for out, _ in outputs] == ["4", "3"]  # pairs made by each
    assert everything(tmp_path / "shared") == everything(tmp_path / "alone")


# ---------------------------------------------------------------- bad photos

BAD_FILES = {
    "corrupt.jpg": b"\xff\xd8\xff\xe0" + bytes(range(256)),
    "truncated.png": encode_png(random_picture(24, 32))[:500],
    "truncated-16-bit.png": encode_png(random_picture(24, 32, np.uint16))[:500],
    "empty.webp": b"",
    "text.png": b"this is no picture",
    "alpha.png": encode_png(np.zeros((8, 8, 4), np.uint8)),
    "one-pixel.png": encode_png(np.zeros((1, 1, 3), np.uint8)),
    "garbage.dng": b"garbage" * 500,
}


@pytest.mark.parametrize("batch_size", [1, 3])
def test_bad_files_are_listed_and_the_good_ones_made(
    tmp_path: Path, photos: Path, generate: Generate, batch_size: int
) -> None:
    for name, content in BAD_FILES.items():
        (photos / name).write_bytes(content)
    outcome = generate("--input", photos, "--output", tmp_path / "pairs", "--batch-size", batch_size, "--preview")
    assert outcome.status == 1
    assert f"7 pairs made, 0 kept from before, {len(BAD_FILES)} skipped" in outcome.out
    assert names_of(tmp_path / "pairs") == NAMES
    assert len(hashes(tmp_path / "pairs")) == 21
    skipped = [line for line in outcome.out.splitlines() if line.startswith("skipped ")]
    assert len(skipped) == len(BAD_FILES)
    for name in BAD_FILES:
        (line,) = (line for line in skipped if str(photos / name) in line)
        assert line.count(str(photos / name)) == 1
        assert len(line) > len(f"skipped {photos / name}: ")  # a reason follows
    assert "Traceback" not in outcome.err
    # the bad ones mended, the same line makes the rest
    for name in BAD_FILES:
        (photos / name).unlink()
    assert generate("--input", photos, "--output", tmp_path / "pairs").status == 0


def test_a_folder_of_bad_files_alone_gives_no_pairs_and_no_traceback(tmp_path: Path, generate: Generate) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "text.png").write_bytes(b"this is no picture")
    outcome = generate("--input", tmp_path / "photos", "--output", tmp_path / "pairs", "--preview")
    assert outcome.status == 1
    assert "0 pairs made, 0 kept from before, 1 skipped" in outcome.out


def test_no_photos_are_one_clear_line_and_status_two(tmp_path: Path, generate: Generate) -> None:
    (tmp_path / "empty").mkdir()
    ended = generate("--input", tmp_path / "empty", "--output", tmp_path / "pairs")
    assert ended.status == 2
    assert ended.out == ""
    (error,) = ended.err.splitlines()
    assert error.startswith(f"error: {tmp_path / 'empty'}: no photo in this folder")
    assert not (tmp_path / "pairs").exists()


def test_a_missing_input_is_named(tmp_path: Path, photos: Path, generate: Generate) -> None:
    outcome = generate("--input", photos, tmp_path / "nowhere", "--output", tmp_path / "pairs")
    assert outcome.status == 2
    assert outcome.error_lines == [f"error: {tmp_path / 'nowhere'}: no such file or folder"]


# ---------------------------------------------------------------- what a user may get wrong


@pytest.mark.parametrize("noise", ["moon", " ", "shot=0.01", "shot=a,read=b", "shot=2,read=0", "shot=nan,read=0"])
def test_unknown_noise_is_refused_with_what_is_known(
    tmp_path: Path, photos: Path, generate: Generate, noise: str
) -> None:
    outcome = generate("--input", photos, "--output", tmp_path / "pairs", "--noise", noise)
    assert outcome.status == 2
    (line,) = outcome.error_lines
    assert repr(noise) in line
    assert "dnd, sidd, upi_released or explicit variances as shot=0.01,read=0.0005" in line
    assert not (tmp_path / "pairs").exists()


def small_denoiser(path: Path) -> Path:
    sizes = {"denoiser": {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 8}}
    save_weights(path, pretrained.build("RawDenoiser", sizes), {"network": "RawDenoiser", "sizes": sizes})
    return path


def nameless(path: Path) -> Path:
    sizes = {"denoiser": {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 8}}
    save_weights(path, pretrained.build("RawDenoiser", sizes), {})
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def emptied(path: Path) -> Path:
    path.mkdir()
    return path


WRONG_WEIGHTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another network": (small_denoiser, "holds a RawDenoiser, a CycleISP is needed"),
    "no description": (nameless, "does not say which network"),
    "garbage": (lambda path: written(path, b"garbage" * 100), "is text, no weights"),
    "empty": (lambda path: written(path, b""), "is empty"),
    "missing": (lambda path: path, "neither a file nor shipped weights; shipped are: "),
    "an empty folder": (emptied, "lacks rgb2raw_joint.pth"),
}


@pytest.mark.parametrize("kind", WRONG_WEIGHTS)
def test_wrong_weights_are_refused_by_name(tmp_path: Path, photos: Path, generate: Generate, kind: str) -> None:
    make, reason = WRONG_WEIGHTS[kind]
    path = make(tmp_path / "wrong.safetensors")
    outcome = generate("--input", photos, "--output", tmp_path / "pairs", "--weights", path)
    assert outcome.status == 2
    (line,) = outcome.error_lines
    assert line.startswith(f"error: {path}: ")
    assert reason in line
    assert not (tmp_path / "pairs").exists()


def test_truncated_weights_are_refused_by_name(
    tmp_path: Path, photos: Path, tiny_weights: Path, generate: Generate
) -> None:
    path = written(tmp_path / "cut.safetensors", tiny_weights.read_bytes()[:-100])
    outcome = generate("--input", photos, "--output", tmp_path / "pairs", "--weights", path)
    assert outcome.status == 2
    assert outcome.error_lines[0].startswith(f"error: {path}: is damaged")


@pytest.mark.parametrize(
    "option",
    [
        ("--limit", 0),
        ("--limit", -1),
        ("--blur", -1),
        ("--blur", 9),
        ("--batch-size", 0),
        ("--workers", 0),
        ("--seed", -1),
    ],
    ids=lambda option: " ".join(map(str, option)),
)
def test_values_outside_their_range_are_refused_by_the_name_of_the_option(
    tmp_path: Path, photos: Path, generate: Generate, option: tuple[str, int]
) -> None:
    outcome = generate("--input", photos, "--output", tmp_path / "pairs", *option)
    assert outcome.status == 2
    (line,) = outcome.error_lines
    assert option[0].removeprefix("--").replace("-", "_") in line


def test_half_precision_on_a_cpu_is_refused(tmp_path: Path, photos: Path, generate: Generate) -> None:
    outcome = generate("--input", photos, "--output", tmp_path / "pairs", "--precision", "bf16")
    assert outcome.status == 2
    assert "bf16 on a CPU" in outcome.error_lines[0]


# ---------------------------------------------------------------- recipes


def test_options_of_the_command_line_override_the_recipe(
    tmp_path: Path, photos: Path, tiny_weights: Path, generate: Generate
) -> None:
    recipe = {
        "input": [str(photos)],
        "output": str(tmp_path / "pairs"),
        "weights": str(tiny_weights),
        "device": "cpu",
        "noise": "sidd",
        "seed": 5,
        "space": "raw",
        "limit": 2,
        "variance": True,
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    outcome = generate("--config", tmp_path / "recipe.yaml", "--seed", 7, "--limit", 3, defaults=False)
    assert outcome.status == 0
    settings = json.loads((tmp_path / "pairs" / "settings.json").read_text())
    assert {key: settings[key] for key in ("noise", "seed", "space", "variance")} == {
        "noise": "sidd",
        "seed": 7,
        "space": "raw",
        "variance": True,
    }
    assert names_of(tmp_path / "pairs") == NAMES[:3]


def test_a_recipe_and_the_same_options_give_the_same_bytes(tmp_path: Path, photos: Path, generate: Generate) -> None:
    recipe = {"input": [str(photos)], "noise": "shot=0.01,read=0.0005", "clean_target": "cycle", "blur": 0}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    generate("--config", tmp_path / "recipe.yaml", "--output", tmp_path / "first")
    options = ("--noise", "shot=0.01,read=0.0005", "--clean-target", "cycle", "--blur", 0)
    generate("--input", photos, "--output", tmp_path / "second", *options)
    assert everything(tmp_path / "first") == everything(tmp_path / "second")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("nois: dnd", ["nois"]),
        ("space: rgb", ["space", "'raw', 'srgb' or 'both'"]),
        ("blur: strong", ["blur"]),
        ("input: photos", ["input", "list"]),
        ("just words", ["expected keys and values"]),
        ("a: [", ["not YAML"]),
    ],
)
def test_a_wrong_recipe_is_refused_by_file_and_key(
    tmp_path: Path, generate: Generate, content: str, words: list[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    outcome = generate("--config", path, "--output", tmp_path / "pairs")
    assert outcome.status == 2
    assert len(outcome.error_lines) == 1
    assert "Traceback" not in outcome.err
    for word in (str(path), *words):
        assert word in outcome.err


def test_a_missing_recipe_is_named(tmp_path: Path, generate: Generate) -> None:
    outcome = generate("--config", tmp_path / "gone.yaml")
    assert outcome.status == 2
    assert "gone.yaml: cannot be read" in outcome.error_lines[0]


@pytest.mark.parametrize("missing", ["input", "output"])
def test_input_and_output_are_required(tmp_path: Path, photos: Path, generate: Generate, missing: str) -> None:
    options = {"input": photos, "output": tmp_path / "pairs"}
    del options[missing]
    outcome = generate(*itertools.chain.from_iterable((f"--{key}", value) for key, value in options.items()))
    assert outcome.status == 2
    assert missing in outcome.error_lines[0]


# ---------------------------------------------------------------- outputs that cannot be written


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_in_the_place_of_the_output_is_one_clear_line(
    tmp_path: Path, photos: Path, generate: Generate, below: str
) -> None:
    (tmp_path / "file").write_text("here already")
    outcome = generate("--input", photos, "--output", tmp_path / "file" / below)
    assert outcome.status == 2
    (line,) = outcome.error_lines
    assert str(tmp_path / "file") in line
    assert (tmp_path / "file").read_text() == "here already"


def test_a_disk_that_fills_up_keeps_the_finished_pairs_and_the_same_line_goes_on(
    tmp_path: Path, photos: Path, generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate("--input", photos, "--output", tmp_path / "whole")
    write, turns = PairStore.write, itertools.count()

    def write_some(store: PairStore, name: str, files: PairFiles, record: dict[str, Any]) -> None:
        if next(turns) >= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(store, name, files, record)

    with monkeypatch.context() as full:
        full.setattr(PairStore, "write", write_some)
        outcome = generate("--input", photos, "--output", tmp_path / "pairs")
    assert outcome.status == 2
    (line,) = outcome.error_lines
    assert line.startswith(f"error: {tmp_path / 'pairs'}: cannot be written (No space left on device)")
    assert "Traceback" not in outcome.err
    assert len(names_of(tmp_path / "pairs")) == 3
    outcome = generate("--input", photos, "--output", tmp_path / "pairs")
    assert outcome.status == 0
    assert "4 pairs made, 3 kept from before" in outcome.out
    assert everything(tmp_path / "pairs") == everything(tmp_path / "whole")


def test_a_disk_too_full_for_the_manifest_is_one_clear_line_too(
    tmp_path: Path, photos: Path, generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once full, a disk takes nothing more, the merged manifest included."""
    generate("--input", photos, "--output", tmp_path / "whole")
    write, room = pair_store.write_bytes, [f"{name}.h5" for name in NAMES[:3]]

    def write_some(path: Path, content: bytes) -> None:
        if path.suffix == ".h5" and path.name not in room:
            room.clear()
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    with monkeypatch.context() as full:
        full.setattr(pair_store, "write_bytes", write_some)
        outcome = generate("--input", photos, "--output", tmp_path / "pairs", "--workers", 1)
    assert outcome.status == 2
    assert len(outcome.error_lines) == 1
    assert len(names_of(tmp_path / "pairs")) == 3
    assert generate("--input", photos, "--output", tmp_path / "pairs").status == 0
    assert everything(tmp_path / "pairs") == everything(tmp_path / "whole")


def test_a_disk_that_fills_up_inside_a_file_is_one_clear_line(
    tmp_path: Path, tiny_weights: Path, generate: Generate
) -> None:
    """A limit on the size of files stops the writing libraries in the middle of one, as a full disk
    does.
    """
    resource = pytest.importorskip("resource", reason="limits are POSIX")
    for number in range(3):
        write_png(tmp_path / "photos" / f"{number}.png", random_picture(48, 64, seed=number))
    generate("--input", tmp_path / "photos", "--output", tmp_path / "whole")
    limit = (tmp_path / "whole" / "raw" / "0.h5").stat().st_size - 1000
    options = ("--input", tmp_path / "photos", "--output", tmp_path / "pairs")
    ended = subprocess.run(
        command(tiny_weights, *options),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
    )
    assert "Traceback" not in ended.stderr
    assert [line.split(": ")[0] for line in ended.stderr.splitlines() if "rror" in line] == ["error"]
    assert ended.returncode == 2
    assert generate(*options).status == 0
    assert everything(tmp_path / "pairs") == everything(tmp_path / "whole")


# ---------------------------------------------------------------- several pairs of a photo


def test_repeats_have_noise_of_their_own_and_are_added_to_what_is_there(
    tmp_path: Path, photos: Path, generate: Generate
) -> None:
    out = tmp_path / "pairs"
    options = ("--input", photos, "--output", out, "--noise", "shot=0.01,read=0.0005")
    generate(*options)
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    generate(*options, "--repeats", 3)
    records = {record["name"]: record for record in read_manifest(out)}
    assert set(records) == {f"{name}{repeat}" for name in NAMES for repeat in ("", ".r2", ".r3")}
    assert all(path.read_bytes() == content for path, content in before.items())
    for name in NAMES:
        three = [records[f"{name}{repeat}"] for repeat in ("", ".r2", ".r3")]
        assert len({record["source_sha256"] for record in three}) == 1
        assert len({record["pair_seed"] for record in three}) == 3
        raw = [read_raw_pair(out / record["files"]["raw"]) for record in three]
        clean, noisy = ({one[index].tobytes() for one in raw} for index in (0, 1))
        assert len(clean) == 1 and len(noisy) == 3
    again = generate(*options, "--repeats", 3)
    assert again.status == 0 and "0 pairs made" in again.out


def test_a_photo_that_has_the_name_of_a_repeat_is_refused(tmp_path: Path, generate: Generate) -> None:
    for name in ("a", "a.r2"):
        write_png(tmp_path / "photos" / f"{name}.png", random_picture(16, 16, seed=len(name)))
    outcome = generate("--input", tmp_path / "photos", "--output", tmp_path / "pairs", "--repeats", 2)
    assert outcome.status == 2
    assert "rename one" in outcome.err
