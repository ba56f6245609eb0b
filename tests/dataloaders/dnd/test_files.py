"""DND's files: crops and colours are read as MATLAB wrote them, and bad files are named."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.dnd.files import DndData
from cycleisp.dataloaders.dnd.scenes import DndError
from cycleisp.utils.color.colorimetry import cam2rgb_from_xyz2cam
from cycleisp.utils.images import Space
from tests.support.dnd import (
    NEUTRAL,
    READ_NOISE,
    SHOT_NOISE,
    SMALL,
    XYZ2CAM,
    create_matlab_file,
    fake_images,
    write_array,
    write_dnd,
)

SPACES: tuple[Space, ...] = ("raw", "srgb")


# ---------------------------------------------------------------- sound data


@pytest.mark.parametrize("space", SPACES)
def test_crops_are_those_of_the_boxes(tmp_path: Path, space: Space) -> None:
    fakes = fake_images()
    write_dnd(tmp_path, fakes, spaces=[space])  # the other one need not be there
    data = DndData(tmp_path, space, extent=SMALL)
    assert [image.number for image in data.scenes] == [1, 2, 3, 4]
    for image, fake in zip(data.scenes, fakes, strict=True):
        crops = data.crops(image)
        assert crops.dtype == np.float32
        assert crops.shape == (3, {"raw": 1, "srgb": 3}[space], 16, 16)
        for box, crop in enumerate(crops):
            expected = fake.crop(box, space)
            np.testing.assert_array_equal(crop[0] if space == "raw" else crop.transpose(1, 2, 0), expected)
        np.testing.assert_array_equal(data.crops(image, 2), crops[:2])


def test_noise_and_colours_are_read(tmp_path: Path) -> None:
    write_dnd(tmp_path, fake_images())
    data = DndData(tmp_path, "raw", extent=SMALL)
    for number, image in enumerate(data.scenes):
        assert image.shot_noise == pytest.approx(SHOT_NOISE * (1 + number / 100))
        assert image.read_noise == pytest.approx(READ_NOISE * (1 + number / 100))
        white_balance, cam2rgb = data.colors(image)
        np.testing.assert_allclose(white_balance, [2.0, 1.0, 1.6])
        np.testing.assert_allclose(white_balance * NEUTRAL, 1)
        np.testing.assert_allclose(cam2rgb, cam2rgb_from_xyz2cam(XYZ2CAM))  # not of its transpose


def test_a_colour_matrix_of_nine_in_a_row_is_the_same(tmp_path: Path) -> None:
    fakes = fake_images()
    for fake in fakes:
        fake.camera["ColorMatrix2"] = XYZ2CAM.reshape(1, 9)
    write_dnd(tmp_path, fakes)
    data = DndData(tmp_path, "raw", extent=SMALL)
    np.testing.assert_allclose(data.colors(data.scenes[0])[1], cam2rgb_from_xyz2cam(XYZ2CAM))


def test_boxes_at_the_very_edges(tmp_path: Path) -> None:
    fakes = fake_images()
    height, width = fakes[0].raw.shape
    fakes[0].boxes[:2] = [[1, 1, 16, 16], [height - 15, width - 15, height, width]]
    write_dnd(tmp_path, fakes)
    data = DndData(tmp_path, "raw", extent=SMALL)
    crops = data.crops(data.scenes[0])
    np.testing.assert_array_equal(crops[0, 0], fakes[0].raw[:16, :16].astype(np.float32))
    np.testing.assert_array_equal(crops[1, 0], fakes[0].raw[-16:, -16:].astype(np.float32))


def test_values_a_little_outside_pass_unclipped(tmp_path: Path) -> None:
    fakes = fake_images()
    fakes[0].raw[:] = -0.01
    fakes[1].raw[:] = 1.01
    write_dnd(tmp_path, fakes)
    data = DndData(tmp_path, "raw", extent=SMALL)
    assert (data.crops(data.scenes[0]) == np.float32(-0.01)).all()
    assert (data.crops(data.scenes[1]) == np.float32(1.01)).all()


# ---------------------------------------------------------------- missing files


@pytest.mark.parametrize(
    ("space", "folder", "name"), [("raw", "images_raw", "Inoisy"), ("srgb", "images_srgb", "InoisySRGB")]
)
def test_without_data_one_error_says_what_to_get_and_where_to_put_it(
    tmp_path: Path, space: Space, folder: str, name: str
) -> None:
    with pytest.raises(DndError) as caught:
        DndData(tmp_path / "nowhere", space)
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
        DndData(tmp_path, "raw", extent=SMALL)
    (tmp_path / "info.mat").unlink()
    with pytest.raises(DndError, match=re.escape("missing: info.mat, images_raw/: 0002.mat ... 0003.mat\n")):
        DndData(tmp_path, "raw", extent=SMALL)
    with pytest.raises(DndError, match=re.escape("missing: info.mat, images_srgb/: 0001.mat ... 0004.mat\n")):
        DndData(tmp_path, "srgb", extent=SMALL)


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
        DndData(tmp_path, "raw", extent=SMALL)
    assert str(caught.value).startswith(f"{path}: not a whole file of DND, at image 0003")
    DndData(tmp_path, "srgb", extent=SMALL)


def test_an_srgb_image_without_channels_stops(tmp_path: Path) -> None:
    write_dnd(tmp_path, fake_images())
    write_array(tmp_path / "images_srgb" / "0001.mat", "InoisySRGB", np.zeros((32, 24), np.float32))
    with pytest.raises(DndError, match=r"0001\.mat: .*expected InoisySRGB as \(3, W, H\) of floats"):
        DndData(tmp_path, "srgb", extent=SMALL)


@pytest.mark.parametrize("value", [np.nan, np.inf, 16383.0, -5.0])
def test_values_of_another_scale_stop(tmp_path: Path, value: float) -> None:
    fakes = fake_images()
    top, left = (int(edge) - 1 for edge in fakes[1].boxes[2, :2])
    fakes[1].raw[top + 3, left + 3] = value
    write_dnd(tmp_path, fakes)
    data = DndData(tmp_path, "raw", extent=SMALL)
    with pytest.raises(DndError, match=r"images_raw/0002\.mat: expected values in \[0, 1\]"):
        data.crops(data.scenes[1])


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
    data = DndData(tmp_path, "raw", extent=SMALL)
    with pytest.raises(DndError, match=r"0001\.mat"):
        data.crops(data.scenes[0])
