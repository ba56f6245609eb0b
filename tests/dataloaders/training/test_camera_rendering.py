"""The camera's JPEG as the photo of a pair: which one is taken, its place, its colours."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.dataloaders.training.camera_rendering import CameraRendering, read_camera_rendering
from cycleisp.dataloaders.training.raw_pair_store import open_pair
from cycleisp.dataloaders.training.raw_pairs import prepare
from cycleisp.utils.errors import UserError
from cycleisp.utils.metrics import psnr_8bit
from cycleisp.utils.processes.apart import SWITCH
from cycleisp.utils.raw.camera_files import RawFileError
from tests.support.camera_jpegs import (
    BLACK,
    HEIGHT,
    NEUTRAL,
    WHITE,
    WIDTH,
    Geometry,
    adobe_rgb_exif,
    camera_jpeg,
    dead_leaves,
    encode_jpeg,
    write_shot,
)
from tests.support.pictures import random_mosaic, write_dng


@pytest.fixture(autouse=True)
def readers_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves starting others, which import half of the project."""
    monkeypatch.setenv(SWITCH, "0")


def look(seed: int = 0) -> NDArray[np.uint8]:
    """Returns the camera's picture of a scene on the mosaic's own pixels."""
    return camera_jpeg(dead_leaves(seed=seed), Geometry(0, 0, HEIGHT, WIDTH))


def likeness(found: CameraRendering) -> float:
    """Returns the PSNR of a rendering to the one without crop and lens."""
    return psnr_8bit(found.photo, look()[found.rows, found.columns])


def test_a_jpeg_beside_the_file_lies_on_the_mosaic(tmp_path: Path) -> None:
    found = read_camera_rendering(write_shot(tmp_path, "a"))
    assert (found.origin, found.rows, found.columns) == ("a.JPG", slice(4, 186), slice(8, 248))
    assert found.warp.whole_crop is not None
    assert likeness(found) > 36  # what JPEG costs; a pixel beside its place it is below 25
    assert psnr_8bit(found.photo[:, 1:], look()[found.rows, found.columns][:, :-1]) < 25


def test_a_jpeg_inside_comes_before_one_beside(tmp_path: Path) -> None:
    path = write_shot(tmp_path, "a", place="embedded")
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(look(seed=3)))  # edited, or of another file
    found = read_camera_rendering(path)
    assert found.origin == "embedded"
    assert likeness(found) > 36


def test_a_corrected_lens_is_undone_inside_of_the_window(tmp_path: Path) -> None:
    found = read_camera_rendering(write_shot(tmp_path, "a", geometry=Geometry(barrel=0.03)))
    assert found.warp.whole_crop is None
    assert found.rows.start % 2 == found.columns.start % 2 == 0
    assert found.photo.shape == (found.rows.stop - found.rows.start, found.columns.stop - found.columns.start, 3)
    assert likeness(found) > 30


def test_adobe_rgb_becomes_srgb(tmp_path: Path) -> None:
    """Greys have equal values in both; saturated colours are stronger in sRGB's numbers."""
    plain = read_camera_rendering(write_shot(tmp_path, "a")).photo.astype(int)
    wide = read_camera_rendering(write_shot(tmp_path, "b", exif=adobe_rgb_exif())).photo.astype(int)
    assert np.ptp(wide, axis=2).mean() > 1.05 * np.ptp(plain, axis=2).mean()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("none", r"has no JPEG inside; there is no a\.JPG beside it; set the camera to RAW and full-size JPEG"),
        ("small", r"a\.JPG is 120x91, the mosaic 256x192, no full-size JPEG"),
        ("grey", r"a\.JPG is black and white"),
        ("other", r"a\.JPG cannot be aligned: only \d+ features agree"),
        ("damaged", r"a\.JPG is damaged, or of another kind"),
    ],
)
def test_a_file_without_a_useful_jpeg_is_refused_in_one_line(tmp_path: Path, kind: str, words: str) -> None:
    jpeg = camera_jpeg(dead_leaves(), Geometry())
    pictures = {
        "small": np.asarray(cv2.resize(jpeg, None, fx=0.5, fy=0.5), np.uint8),
        "grey": np.asarray(cv2.cvtColor(jpeg, cv2.COLOR_RGB2GRAY), np.uint8),
        "other": look(seed=4),
    }
    path = write_shot(tmp_path, "a", place="nowhere" if kind == "none" else "beside", jpeg=pictures.get(kind))
    if kind == "damaged":
        (tmp_path / "a.JPG").write_bytes((tmp_path / "a.JPG").read_bytes()[:600])
    with pytest.raises(RawFileError, match=words) as caught:
        read_camera_rendering(path)
    assert str(caught.value).startswith(f"{path}: left out, without a rendering of the camera: ")
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- prepared pairs


def test_the_mosaic_of_a_pair_is_cut_as_the_photo_and_bad_files_stop_nothing(tmp_path: Path) -> None:
    folder, store = tmp_path / "in", tmp_path / "store"
    write_shot(folder, "good", pattern="GBRG")
    write_shot(folder, "bare", place="nowhere")
    (folder / "bad.dng").write_bytes(b"garbage")
    report = prepare([folder], store, 1, "camera")
    assert report.ready == ["good"]  # not good-2: a JPEG of that name does not count
    assert {path.name for path, _ in report.skipped} == {"bare.dng", "bad.dng"}
    assert "set the camera to RAW" in (store / "report.tsv").read_text()
    mosaic, photo = open_pair(store, "good")
    assert mosaic.shape == photo.shape[:2]
    record = json.loads((store / "good.json").read_text())
    assert (record["source"]["render"], record["jpeg"]["origin"]) == ("camera", "good.JPG")
    # GBRG: the RGGB tile begins a row below the window, so that the mosaic's first value is red.
    top, left = record["jpeg"]["rows"][0] + 1, record["jpeg"]["columns"][0]
    level = np.rint(BLACK + dead_leaves()[top, left, 0] * NEUTRAL[0] * (WHITE - BLACK))
    assert mosaic[0, 0] / 65535 == pytest.approx((level - BLACK) / (WHITE - BLACK), abs=1e-4)
    expected = look()[top : top + photo.shape[0], left : left + photo.shape[1]]
    assert psnr_8bit(photo.copy(), expected) > 36


def test_the_two_renderings_never_mix(tmp_path: Path) -> None:
    write_shot(tmp_path / "in", "a")
    write_dng(tmp_path / "in" / "b.dng", random_mosaic(32, 40))
    store = tmp_path / "store"
    assert prepare([tmp_path / "in"], store, 1).ready  # LibRaw's
    before = {path.name: path.read_bytes() for path in store.iterdir()}
    with pytest.raises(UserError, match="store: holds pairs with LibRaw's rendering, and pairs with the camera's JPEG"):
        prepare([tmp_path / "in" / "b.dng"], store, 1, "camera")
    assert {path.name: path.read_bytes() for path in store.iterdir()} == before
    other = tmp_path / "other"
    assert prepare([tmp_path / "in" / "a.dng"], other, 1, "camera").ready == ["a"]
    with pytest.raises(UserError, match=r"holds pairs with the camera's JPEG.*give another --prepared or --output"):
        prepare([tmp_path / "in" / "a.dng"], other, 1)


def test_a_second_run_keeps_pairs_until_their_jpeg_changes(tmp_path: Path) -> None:
    write_shot(tmp_path / "in", "a")
    store = tmp_path / "store"
    prepare([tmp_path / "in"], store, 1, "camera")
    made = (store / "a.srgb.npy").stat().st_mtime_ns
    prepare([tmp_path / "in"], store, 1, "camera")
    assert (store / "a.srgb.npy").stat().st_mtime_ns == made
    os.utime(tmp_path / "in" / "a.JPG", ns=(10**18, 10**18))
    prepare([tmp_path / "in"], store, 1, "camera")
    assert (store / "a.srgb.npy").stat().st_mtime_ns != made
