"""RAW rendered for the eye: a colour chart looks the same through every Bayer pattern."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cycleisp.utils.color import colorimetry
from cycleisp.utils.images import channels_first
from cycleisp.utils.output import preview
from cycleisp.utils.raw import bayer

CELL = 8
# linear camera colours of a small chart, two rows of three
CHART = np.array(
    [[[0.40, 0.50, 0.30], [0.10, 0.05, 0.02], [0.05, 0.20, 0.40]], [[0.30, 0.10, 0.10], [0, 0, 0], [0.05, 0.4, 0.1]]],
    np.float32,
)
WHITE_BALANCE = (2.0, 1.0, 1.5)
CAM2RGB = np.array([[1.6, -0.5, -0.1], [-0.2, 1.5, -0.3], [0.0, -0.4, 1.4]])


def chart() -> NDArray[np.float32]:
    """Returns camera colours (16, 24, 3) that are flat squares."""
    return CHART.repeat(CELL, axis=0).repeat(CELL, axis=1)


def mosaic_of(camera_rgb: NDArray[np.float32], pattern: str) -> NDArray[np.float32]:
    return bayer.mosaic(channels_first(camera_rgb), pattern)[0].numpy()


def centres(picture: NDArray) -> NDArray:
    """Returns the middle pixel of every square, far from demosaicked edges."""
    return picture[CELL // 2 :: CELL, CELL // 2 :: CELL]


def grey_field(red: float, green: float, blue: float, pattern: str) -> NDArray[np.float32]:
    return mosaic_of(np.full((8, 12, 3), (red, green, blue), np.float32), pattern)


# ---------------------------------------------------------------- demosaicking


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_demosaicking_finds_the_colours_of_a_chart(pattern: str) -> None:
    camera_rgb = preview.demosaic_bilinear(mosaic_of(chart(), pattern), pattern)
    assert camera_rgb.shape == (16, 24, 3) and camera_rgb.dtype == np.float32
    np.testing.assert_allclose(centres(camera_rgb), CHART, atol=1 / 65535)


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
@pytest.mark.parametrize("axis", [0, 1])
def test_demosaicking_shifts_nothing(pattern: str, axis: int) -> None:
    """A ramp is linear, so bilinear demosaicking reproduces it in all three colours."""
    ramp = np.linspace(0.1, 0.9, 16, dtype=np.float32)
    field = np.broadcast_to(ramp[:, None] if axis == 0 else ramp[None], (16, 16))
    camera_rgb = preview.demosaic_bilinear(mosaic_of(np.stack([field] * 3, axis=-1), pattern), pattern)
    inside = (slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(camera_rgb[inside], np.stack([field[inside]] * 3, axis=-1), atol=2 / 65535)


def test_demosaicking_clips_to_the_unit_range() -> None:
    assert preview.demosaic_bilinear(np.full((8, 8), 1.5, np.float32), "RGGB").max() == 1
    assert preview.demosaic_bilinear(np.full((8, 8), -0.5, np.float32), "RGGB").min() == 0


@pytest.mark.parametrize("pattern", ["RGBG", "rggb", ""])
def test_an_unknown_pattern_is_refused(pattern: str) -> None:
    field = np.zeros((8, 8), np.float32)
    for refuse in (preview.demosaic_bilinear, preview.gray_world_gains, preview.render_preview):
        with pytest.raises(ValueError, match="unknown Bayer pattern"):
            refuse(field, pattern)


# ---------------------------------------------------------------- rendering


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_a_chart_renders_to_the_same_colours_in_every_pattern(pattern: str) -> None:
    rendered = preview.render_preview(mosaic_of(chart(), pattern), pattern, WHITE_BALANCE, CAM2RGB)
    balanced = np.clip(CHART * WHITE_BALANCE, 0, 1)
    expected = 255 * colorimetry.srgb_encode(colorimetry.apply_matrix(balanced, CAM2RGB))
    assert rendered.shape == (16, 24, 3) and rendered.dtype == np.uint8
    assert np.abs(centres(rendered) - expected).max() <= 1


def test_without_a_matrix_camera_colours_are_kept() -> None:
    rendered = preview.render_preview(mosaic_of(chart(), "RGGB"), "RGGB", (1, 1, 1))
    assert np.abs(centres(rendered) - 255 * colorimetry.srgb_encode(CHART)).max() <= 1


def test_white_balance_darkens_no_colour_so_that_saturated_light_stays_white() -> None:
    rendered = preview.render_preview(np.ones((8, 8), np.float32), "RGGB", (0.5, 1, 0.8))
    assert (rendered == 255).all()


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_grey_world_gains_by_hand(pattern: str) -> None:
    gains = preview.gray_world_gains(grey_field(0.2, 0.4, 0.1, pattern), pattern)
    np.testing.assert_allclose(gains, (2, 1, 4), rtol=1e-5)


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
@pytest.mark.parametrize("colors", [(0.2, 0.4, 0.1), (0.4, 0.2, 0.1)], ids=str)
def test_grey_world_makes_a_tinted_field_grey(pattern: str, colors: tuple[float, float, float]) -> None:
    rendered = preview.render_preview(grey_field(*colors, pattern), pattern)
    assert np.abs(rendered - 255 * colorimetry.srgb_encode(np.array(0.4))).max() <= 1


@pytest.mark.filterwarnings("error")
def test_a_black_mosaic_renders_black() -> None:
    """A lens cap, a night scene or an untrained network gives no colour to make grey."""
    assert np.isfinite(preview.gray_world_gains(np.zeros((8, 8), np.float32), "RGGB")).all()
    assert not preview.render_preview(np.zeros((8, 8), np.float32), "RGGB").any()


def test_packed_preview_is_the_preview_of_its_mosaic() -> None:
    mosaic = mosaic_of(chart(), "RGGB")
    packed = bayer.pack(torch.from_numpy(mosaic)[None])
    rendered = preview.packed_preview(packed, WHITE_BALANCE)
    assert rendered.shape == (16, 24, 3)
    assert np.array_equal(rendered, preview.render_preview(mosaic, "RGGB", WHITE_BALANCE))
    assert np.array_equal(preview.packed_preview(packed), preview.render_preview(mosaic, "RGGB"))


# ---------------------------------------------------------------- training strips


def batch() -> dict[str, torch.Tensor]:
    """Returns two images: `srgb` (2, 3, 16, 24) and `raw` (2, 4, 8, 12)."""
    srgb = channels_first(np.stack([chart(), chart()[::-1]]))
    return {"srgb": srgb, "raw": bayer.pack(bayer.mosaic(srgb, "RGGB"))}


def test_a_strip_shows_target_and_prediction_of_each_output() -> None:
    images = batch()
    for names in (["raw"], ["srgb"], ["raw", "srgb"]):
        strip = preview.training_strip(images, {name: images[name] for name in names})
        assert strip.shape == (3, 16, 2 * 24 * len(names)) and strip.dtype == torch.uint8
        for target, predicted in zip(*[iter(strip.split(24, dim=2))] * 2, strict=True):
            assert target.equal(predicted)  # a perfect prediction looks the same


def test_a_strip_shows_the_first_image_of_the_batch() -> None:
    images = batch()
    strip = preview.training_strip(images, {"srgb": images["srgb"]})
    np.testing.assert_allclose(strip[:, :, :24], 255 * images["srgb"][0], atol=0.5)


def test_wrong_colours_show_in_a_strip() -> None:
    """A red cast is not balanced away: the prediction is shown with its target's gains."""
    images = batch()
    predicted = images["raw"].clone()
    predicted[:, 0] *= 2
    target, shown = preview.training_strip(images, {"raw": predicted}).float().split(24, dim=2)
    assert shown[0].mean() > 1.1 * target[0].mean()
    assert shown[2].equal(target[2])


def test_a_strip_takes_predictions_as_a_network_gives_them() -> None:
    images = batch()
    predicted = {
        "raw": (3 * images["raw"] - 1).bfloat16().requires_grad_(),
        "srgb": (3 * images["srgb"] - 1).bfloat16().requires_grad_(),
    }
    assert preview.training_strip(images, predicted).shape == (3, 16, 96)
