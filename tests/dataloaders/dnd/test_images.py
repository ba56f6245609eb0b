"""DND's files: crops and cameras read as MATLAB wrote them, and every kind of bad data told with file and image."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.dnd.images import ORIENTATIONS, DndError, DndImages, bayer_pattern
from cycleisp.dataloaders.dnd.submission import DND
from cycleisp.utils.color.colorimetry import cam2rgb_from_xyz2cam
from cycleisp.utils.images import Space
from tests.support.dnd import (
    NEUTRAL,
    READ_NOISE,
    SHOT_NOISE,
    SMALL,
    TILES,
    XYZ2CAM,
    FakeImage,
    create_matlab_file,
    fake_images,
    write_array,
    write_dnd,
)

SPACES: tuple[Space, ...] = ("raw", "srgb")


def test_the_data_set_is_as_large_as_it_is() -> None:
    assert (DND.images, DND.boxes, DND.side) == (50, 20, 512)


# ---------------------------------------------------------------- orientation


@pytest.mark.parametrize(
    ("stored", "corrected", "released"),
    [  # `stored` is what h5py shows: MATLAB's tile with rows and columns exchanged
        ([[1, 2], [2, 3]], "RGGB", "RGGB"),
        ([[3, 2], [2, 1]], "BGGR", "BGGR"),
        ([[2, 1], [3, 2]], "GBRG", "GRBG"),  # MATLAB's [[2, 3], [1, 2]]: first row G B, second row R G
        ([[2, 3], [1, 2]], "GRBG", "GBRG"),  # MATLAB's [[2, 1], [3, 2]]: first row G R, second row B G
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
    corrected = DndImages(tmp_path, "raw", "corrected", SMALL).images
    assert [(image.pattern, image.unified_as) for image in corrected] == [(name, name) for name in TILES]
    released = DndImages(tmp_path, "raw", "released", SMALL).images
    swapped = {"GRBG": "GBRG", "GBRG": "GRBG"}
    assert [(image.pattern, image.unified_as) for image in released] == [(n, swapped.get(n, n)) for n in TILES]


# ---------------------------------------------------------------- sound data


@pytest.mark.parametrize("space", SPACES)
def test_crops_are_those_of_the_boxes(tmp_path: Path, space: Space) -> None:
    fakes = fake_images()
    write_dnd(tmp_path, fakes, spaces=[space])  # the other one need not be there
    images = DndImages(tmp_path, space, extent=SMALL)
    assert [image.number for image in images.images] == [1, 2, 3, 4]
    for image, fake in zip(images.images, fakes, strict=True):
        crops = images.crops(image)
        assert crops.dtype == np.float32
        assert crops.shape == (3, {"raw": 1, "srgb": 3}[space], 16, 16)
        for box, crop in enumerate(crops):
            expected = fake.crop(box, space)
            np.testing.assert_array_equal(crop[0] if space == "raw" else crop.transpose(1, 2, 0), expected)
        np.testing.assert_array_equal(images.crops(image, 2), crops[:2])


def test_noise_and_colours_are_read(tmp_path: Path) -> None:
    write_dnd(tmp_path, fake_images())
    images = DndImages(tmp_path, "raw", extent=SMALL)
    for number, image in enumerate(images.images):
        assert image.shot_noise == pytest.approx(SHOT_NOISE * (1 + number / 100))
        assert image.read_noise == pytest.approx(READ_NOISE * (1 + number / 100))
        white_balance, cam2rgb = images.colors(image)
        np.testing.assert_allclose(white_balance, [2.0, 1.0, 1.6])
        np.testing.assert_allclose(white_balance * NEUTRAL, 1)
        np.testing.assert_allclose(cam2rgb, cam2rgb_from_xyz2cam(XYZ2CAM))  # and not of its transpose


def test_a_colour_matrix_of_nine_in_a_row_is_the_same(tmp_path: Path) -> None:
    fakes = fake_images()
    for fake in fakes:
        fake.camera["ColorMatrix2"] = XYZ2CAM.reshape(1, 9)
    write_dnd(tmp_path, fakes)
    images = DndImages(tmp_path, "raw", extent=SMALL)
    np.testing.assert_allclose(images.colors(images.images[0])[1], cam2rgb_from_xyz2cam(XYZ2CAM))


def test_boxes_at_the_very_edges(tmp_path: Path) -> None:
    fakes = fake_images()
    height, width = fakes[0].raw.shape
    fakes[0].boxes[:2] = [[1, 1, 16, 16], [height - 15, width - 15, height, width]]
    write_dnd(tmp_path, fakes)
    images = DndImages(tmp_path, "raw", extent=SMALL)
    crops = images.crops(images.images[0])
    np.testing.assert_array_equal(crops[0, 0], fakes[0].raw[:16, :16].astype(np.float32))
    np.testing.assert_array_equal(crops[1, 0], fakes[0].raw[-16:, -16:].astype(np.float32))


def test_values_a_little_outside_pass_unclipped(tmp_path: Path) -> None:
    fakes = fake_images()
    fakes[0].raw[:] = -0.01
    fakes[1].raw[:] = 1.01
    write_dnd(tmp_path, fakes)
    images = DndImages(tmp_path, "raw", extent=SMALL)
    assert (images.crops(images.images[0]) == np.float32(-0.01)).all()
    assert (images.crops(images.images[1]) == np.float32(1.01)).all()


# ---------------------------------------------------------------- missing files


@pytest.mark.parametrize(
    ("space", "folder", "name"), [("raw", "images_raw", "Inoisy"), ("srgb", "images_srgb", "InoisySRGB")]
)
def test_without_data_one_error_says_what_to_get_and_where_to_put_it(
    tmp_path: Path, space: Space, folder: str, name: str
) -> None:
    with pytest.raises(DndError) as caught:
        DndImages(tmp_path / "nowhere", space)
    message = str(caught.value)
    assert f"files of DND are missing: info.mat, {folder}/: 0001.mat ... 0050.mat" in message
    assert "https://noise.visinf.tu-darmstadt.de" in message
    assert str(tmp_path / "nowhere" / "info.mat") in message
    assert f"{tmp_path / 'nowhere' / folder}/0001.mat ... 0050.mat    {name}" in message


def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    write_dnd(tmp_path, fake_images(), spaces=["raw"])
    for number in (2, 3):
        (tmp_path / "images_raw" / f"000{number}.mat").unlink()
    with pytest.raises(DndError, match=re.escape("missing: images_raw/: 0002.mat ... 0003.mat\n")):
        DndImages(tmp_path, "raw", extent=SMALL)
    (tmp_path / "info.mat").unlink()
    with pytest.raises(DndError, match=re.escape("missing: info.mat, images_raw/: 0002.mat ... 0003.mat\n")):
        DndImages(tmp_path, "raw", extent=SMALL)
    with pytest.raises(DndError, match=re.escape("missing: info.mat, images_srgb/: 0001.mat ... 0004.mat\n")):
        DndImages(tmp_path, "srgb", extent=SMALL)


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
        DndImages(tmp_path, "raw", orientation, SMALL)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "info.mat"))
    assert "image 0002" in str(caught.value)
    assert "get it again" in str(caught.value)


def test_an_info_of_fewer_images_stops(tmp_path: Path) -> None:
    write_dnd(tmp_path, fake_images()[:3])
    write_array(tmp_path / "images_raw" / "0004.mat", "Inoisy", np.zeros((32, 24), np.float32))
    with pytest.raises(DndError, match=r"info\.mat: not a whole file of DND, at image 0004"):
        DndImages(tmp_path, "raw", extent=SMALL)


@pytest.mark.parametrize("key", ["AsShotNeutral", "ColorMatrix2"])
def test_colours_that_are_absent_stop_only_who_needs_them(tmp_path: Path, key: str) -> None:
    fakes = fake_images()
    del fakes[2].camera[key]
    write_dnd(tmp_path, fakes)
    images = DndImages(tmp_path, "raw", extent=SMALL)
    images.colors(images.images[1])
    with pytest.raises(DndError, match=r"info\.mat: .*image 0003"):
        images.colors(images.images[2])


def test_a_neutral_of_zero_is_no_white_balance(tmp_path: Path) -> None:
    fakes = fake_images()
    fakes[0].camera["AsShotNeutral"] = np.array([[0.5, 0.0, 0.5]])
    write_dnd(tmp_path, fakes)
    images = DndImages(tmp_path, "raw", extent=SMALL)
    with pytest.raises(DndError, match="AsShotNeutral"):
        images.colors(images.images[0])


# ---------------------------------------------------------------- bad images


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_matlab(path: Path) -> None:
    path.write_bytes(b"<html>not found</html>" * 100)


def other_name(path: Path) -> None:
    write_array(path, "Iclean", np.zeros((32, 24), np.float32))


def with_channels(path: Path) -> None:
    write_array(path, "Inoisy", np.zeros((32, 24, 3), np.float32))


def integers(path: Path) -> None:
    write_array(path, "Inoisy", np.zeros((32, 24), np.uint16))


def too_small(path: Path) -> None:
    write_array(path, "Inoisy", np.zeros((32, 14), np.float32))


def lying(path: Path) -> None:
    write_array(path, "Inoisy", np.zeros((24, 32), np.float32))  # a box ends below row 24


def a_group(path: Path) -> None:
    with create_matlab_file(path) as file:
        file.create_group("Inoisy")


@pytest.mark.parametrize(
    "damage", [cut, empty, no_matlab, other_name, with_channels, integers, too_small, lying, a_group]
)
def test_a_bad_image_file_stops_before_any_work(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    fakes = fake_images()
    for fake in fakes:
        fake.boxes[0] = [17, 1, 32, 16]
    write_dnd(tmp_path, fakes)
    path = tmp_path / "images_raw" / "0003.mat"
    damage(path)
    with pytest.raises(DndError, match="get it again") as caught:
        DndImages(tmp_path, "raw", extent=SMALL)
    assert str(caught.value).startswith(f"{path}: not a whole file of DND, at image 0003")
    DndImages(tmp_path, "srgb", extent=SMALL)


def test_an_srgb_image_without_channels_stops(tmp_path: Path) -> None:
    write_dnd(tmp_path, fake_images())
    write_array(tmp_path / "images_srgb" / "0001.mat", "InoisySRGB", np.zeros((32, 24), np.float32))
    with pytest.raises(DndError, match=r"0001\.mat: .*expected InoisySRGB as \(3, W, H\) of floats"):
        DndImages(tmp_path, "srgb", extent=SMALL)


@pytest.mark.parametrize("value", [np.nan, np.inf, 16383.0, -5.0])
def test_values_of_another_scale_stop(tmp_path: Path, value: float) -> None:
    fakes = fake_images()
    top, left = (int(edge) - 1 for edge in fakes[1].boxes[2, :2])
    fakes[1].raw[top + 3, left + 3] = value
    write_dnd(tmp_path, fakes)
    images = DndImages(tmp_path, "raw", extent=SMALL)
    with pytest.raises(DndError, match=r"images_raw/0002\.mat: expected values in \[0, 1\]"):
        images.crops(images.images[1])


def test_damage_inside_the_pixels_names_the_file(tmp_path: Path) -> None:
    fakes = fake_images()
    rng = np.random.default_rng(1)
    fakes[0].raw = rng.random((32, 24))
    write_dnd(tmp_path, fakes)
    path = tmp_path / "images_raw" / "0001.mat"
    content = bytearray(path.read_bytes())
    start = bytes(content).rindex(b"\x78\x5e")  # a zlib stream: the compressed pixels
    content[start + 20 : start + 220] = bytes(200)
    path.write_bytes(content)
    images = DndImages(tmp_path, "raw", extent=SMALL)
    with pytest.raises(DndError, match=r"0001\.mat"):
        images.crops(images.images[0])
