"""DND's info.mat: the Bayer pattern of each image; bad facts are told with file and image."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.dnd.files import DndData
from cycleisp.dataloaders.dnd.scenes import DND, ORIENTATIONS, DndError, bayer_pattern
from tests.support.dnd import SMALL, TILES, FakeImage, fake_images, write_array, write_dnd


def test_the_data_set_is_as_large_as_it_is() -> None:
    assert (DND.images, DND.boxes, DND.side) == (50, 20, 512)


# ---------------------------------------------------------------- orientation


@pytest.mark.parametrize(
    ("stored", "corrected", "released"),
    [  # `stored` is what h5py shows: MATLAB's tile with rows and columns exchanged
        ([[1, 2], [2, 3]], "RGGB", "RGGB"),
        ([[3, 2], [2, 1]], "BGGR", "BGGR"),
        ([[2, 1], [3, 2]], "GBRG", "GRBG"),  # MATLAB's [[2, 3], [1, 2]]: rows G B and R G
        ([[2, 3], [1, 2]], "GRBG", "GBRG"),  # MATLAB's [[2, 1], [3, 2]]: rows G R and B G
    ],
)
def test_all_four_patterns_by_hand(stored: list[list[int]], corrected: str, released: str) -> None:
    for dtype in (np.float64, np.uint8):
        assert bayer_pattern(np.array(stored, dtype)) == corrected
        assert bayer_pattern(np.array(stored, dtype), "corrected") == corrected
        assert bayer_pattern(np.array(stored, dtype), "released") == released


@pytest.mark.parametrize(
    "stored",
    [
        [[1, 2], [3, 2]],  # two greens in a column
        [[0, 1], [1, 2]],  # codes of DNG
        [[1, 2], [2, 4]],
        [[1, 2], [2, np.nan]],
        [[1.5, 2], [2, 3]],
        [[1, 2, 2, 3]],
        [[1, 1], [1, 1]],
        np.ones((6, 6)),
        [],
    ],
    ids=str,
)
def test_an_unknown_pattern_is_no_pattern(stored: list) -> None:
    for orientation in ORIENTATIONS:
        with pytest.raises(ValueError, match="unknown Bayer pattern"):
            bayer_pattern(np.array(stored), orientation)


def test_an_unknown_orientation_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of corrected, released"):
        bayer_pattern(np.array([[1, 2], [2, 3]]), "sideways")  # type: ignore[arg-type]


def test_images_know_their_pattern_and_the_one_they_are_unified_by(tmp_path: Path) -> None:
    write_dnd(tmp_path, fake_images(list(TILES)))
    corrected = DndData(tmp_path, "raw", "corrected", SMALL).scenes
    assert [(image.pattern, image.unified_as) for image in corrected] == [(name, name) for name in TILES]
    released = DndData(tmp_path, "raw", "released", SMALL).scenes
    swapped = {"GRBG": "GBRG", "GBRG": "GRBG"}
    assert [(image.pattern, image.unified_as) for image in released] == [(n, swapped.get(n, n)) for n in TILES]


# ---------------------------------------------------------------- bad info.mat


def set_camera(key: str, value: object) -> Callable[[FakeImage], None]:
    return lambda fake: fake.camera.update({key: value})


def set_box(*edges: float) -> Callable[[FakeImage], None]:
    def change(fake: FakeImage) -> None:
        fake.boxes[1] = edges

    return change


def drop_boxes(fake: FakeImage) -> None:
    fake.boxes = fake.boxes[:2]


BAD_INFO = [
    (set_camera("pattern", np.array([[1, 3], [2, 2]])), "unknown Bayer pattern [[1, 3], [2, 2]]"),
    (set_camera("pattern", np.array([[0, 1], [1, 2]])), "unknown Bayer pattern"),
    (set_camera("bayertype", "gbrg"), "pattern says BGGR, bayertype GBRG"),
    (set_camera("pattern", np.array(TILES["GRBG"])), "pattern says GRBG, bayertype BGGR"),
    (set_camera("bayertype", "xtrans"), "pattern says BGGR, bayertype XTRANS"),
    (set_box(3, 1, 18, 17), "box 2, rows 3..18, columns 1..17: expected 16x16 pixels"),
    (set_box(-1, 1, 14, 16), "expected 16x16 pixels of the image"),
    (set_box(np.nan, 1, 16, 16), "expected 16x16 pixels of the image"),
    (set_box(2, 1, 17, 16), "box 2, rows 2..17, columns 1..16: must begin on odd ones"),
    (set_box(1, 4, 16, 19), "must begin on odd ones"),
    (set_box(1.5, 1, 16.5, 16), "must begin on odd ones"),
    (drop_boxes, "expected 3 boxes of 4 numbers, got an array of (2, 4)"),
    (lambda fake: fake.nlf.update(a=np.nan), "nlf: expected variances"),
    (lambda fake: fake.nlf.update(b=-0.1), "nlf: expected variances"),
    (lambda fake: fake.nlf.update(a=0.0, b=0.0), "nlf: expected variances"),
    (lambda fake: fake.nlf.update(a=np.array([0.1, 0.2])), "not a whole file of DND"),
    (lambda fake: fake.nlf.pop("a"), "not a whole file of DND"),
    (lambda fake: fake.camera.pop("pattern"), "not a whole file of DND"),
    (lambda fake: fake.camera.pop("bayertype"), "not a whole file of DND"),
]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(("change", "words"), BAD_INFO, ids=[f"{i} {words}" for i, (_, words) in enumerate(BAD_INFO)])
def test_bad_facts_of_an_image_stop_with_file_and_image(
    tmp_path: Path, change: Callable[[FakeImage], None], words: str, orientation: str
) -> None:
    fakes = fake_images()
    assert fakes[1].camera["bayertype"] == "bggr"
    change(fakes[1])
    write_dnd(tmp_path, fakes, spaces=["raw"])
    with pytest.raises(DndError) as caught:
        DndData(tmp_path, "raw", orientation, SMALL)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "info.mat"))
    assert "image 0002" in str(caught.value)
    assert "get it again" in str(caught.value)


def test_an_info_of_fewer_images_stops(tmp_path: Path) -> None:
    write_dnd(tmp_path, fake_images()[:3])
    write_array(tmp_path / "images_raw" / "0004.mat", "Inoisy", np.zeros((32, 24), np.float32))
    with pytest.raises(DndError, match=r"info\.mat: not a whole file of DND, at image 0004"):
        DndData(tmp_path, "raw", extent=SMALL)


@pytest.mark.parametrize("key", ["AsShotNeutral", "ColorMatrix2"])
def test_colours_that_are_absent_stop_only_who_needs_them(tmp_path: Path, key: str) -> None:
    fakes = fake_images()
    del fakes[2].camera[key]
    write_dnd(tmp_path, fakes)
    data = DndData(tmp_path, "raw", extent=SMALL)
    data.colors(data.scenes[1])
    with pytest.raises(DndError, match=r"info\.mat: .*image 0003"):
        data.colors(data.scenes[2])


def test_a_neutral_of_zero_is_no_white_balance(tmp_path: Path) -> None:
    fakes = fake_images()
    fakes[0].camera["AsShotNeutral"] = np.array([[0.5, 0.0, 0.5]])
    write_dnd(tmp_path, fakes)
    data = DndData(tmp_path, "raw", extent=SMALL)
    with pytest.raises(DndError, match="AsShotNeutral"):
        data.colors(data.scenes[0])
