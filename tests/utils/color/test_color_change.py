"""Another rendering: each part does what its name says, and nothing else."""

import numpy as np
import pytest

from cycleisp.utils.color import colorimetry
from cycleisp.utils.color.color_change import ColorChange

COLORS = np.random.default_rng(0).uniform(0.2, 0.7, (500, 3)).astype(np.float32)
LUMA = np.array([0.299, 0.587, 0.114])


def test_no_change_is_no_change() -> None:
    np.testing.assert_array_equal(ColorChange().apply(COLORS), COLORS)


def test_gains_multiply_linear_light() -> None:
    changed = colorimetry.srgb_decode(ColorChange(gains=(1.5, 1.0, 0.5)).apply(COLORS))
    np.testing.assert_allclose(changed, colorimetry.srgb_decode(COLORS) * (1.5, 1.0, 0.5), rtol=1e-4)


def test_gamma_and_contrast_keep_black_and_white_and_grey_grey() -> None:
    grey = np.linspace(0, 1, 101)[:, None].repeat(3, axis=1)
    for change in (ColorChange(gamma=0.7), ColorChange(gamma=1.4), ColorChange(contrast=0.8)):
        toned = change.apply(grey)
        np.testing.assert_allclose(toned[[0, -1]], grey[[0, -1]], atol=1e-6)
        np.testing.assert_allclose(toned[:, 0], toned[:, 2], atol=1e-6)
        assert (np.diff(toned[:, 0]) >= 0).all()
    np.testing.assert_allclose(ColorChange(gamma=0.5).apply(np.full((1, 3), 0.25)), 0.5, atol=1e-6)
    np.testing.assert_allclose(ColorChange(contrast=1.0).apply(np.full((1, 3), 0.25)), 0.15625, atol=1e-6)


def test_saturation_scales_colour_and_keeps_luma() -> None:
    pale, grey = ColorChange(saturation=0.5).apply(COLORS), ColorChange(saturation=0.0).apply(COLORS)
    np.testing.assert_allclose(pale @ LUMA, COLORS @ LUMA, atol=1e-4)
    np.testing.assert_allclose(np.ptp(grey, axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(pale, (COLORS + grey) / 2, atol=1e-4)


def test_a_turn_of_hue_is_undone_by_its_opposite_and_a_full_one_is_none() -> None:
    soft = 0.45 + 0.2 * (COLORS - 0.45)  # far from the cube's walls, where colours would be clipped
    turned = ColorChange(hue=40.0).apply(soft)
    assert np.abs(turned - soft).max() > 0.01
    np.testing.assert_allclose(ColorChange(hue=-40.0).apply(turned), soft, atol=1e-5)
    np.testing.assert_allclose(ColorChange(hue=360.0).apply(soft), soft, atol=1e-5)
    np.testing.assert_allclose(turned @ LUMA, soft @ LUMA, atol=1e-4)


@pytest.mark.parametrize("shape", [(3,), (1, 1, 3), (5, 7, 3)])
def test_any_shape_and_results_within_range(shape: tuple[int, ...]) -> None:
    extreme = ColorChange((3.0, 1.0, 0.2), 0.5, 0.9, 3.0, 90.0)
    photo = np.random.default_rng(1).uniform(0, 1, shape)
    changed = extreme.apply(photo)
    assert changed.shape == shape and changed.dtype == np.float32
    assert changed.min() >= 0 and changed.max() <= 1
