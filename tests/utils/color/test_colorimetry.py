"""Display curves, illuminants, white balance and colour matrices."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cycleisp.utils.color import colorimetry
from tests.support.curves import bt709_encode

quick = settings(max_examples=40, deadline=None, derandomize=True)
unit = st.floats(0, 1)
# A camera of no make: its colour filters overlap as real ones do.
XYZ2CAM = np.array([[0.80, -0.20, -0.05], [-0.40, 1.20, 0.20], [-0.05, 0.15, 0.60]])
CURVES = {
    "srgb": (colorimetry.srgb_encode, colorimetry.srgb_decode),
    "bt709": (bt709_encode, colorimetry.bt709_decode),
}
ALL_CURVES = [*(curve for pair in CURVES.values() for curve in pair), colorimetry.smoothstep]
Curve = Callable[[NDArray], NDArray]


def chromaticity(xyz: NDArray) -> NDArray:
    return xyz[:2] / xyz.sum()


# ---------------------------------------------------------------- curves


@pytest.mark.parametrize(
    ("curve", "linear", "encoded"),
    [
        (colorimetry.srgb_encode, 0.0031308, 0.0404499),
        (colorimetry.srgb_encode, 0.001, 0.01292),
        (colorimetry.srgb_encode, 0.214041, 0.5),
        (colorimetry.srgb_encode, 0.5, 0.735357),
        (colorimetry.srgb_decode, 0.5, 0.214041),
        (colorimetry.srgb_decode, 0.02, 0.02 / 12.92),
        (bt709_encode, 0.01, 0.045),
        (bt709_encode, 0.018, 0.081),
        (bt709_encode, 0.5, 0.705436),
        (colorimetry.bt709_decode, 0.045, 0.01),
        (colorimetry.smoothstep, 0.25, 0.15625),
        (colorimetry.smoothstep, 0.5, 0.5),
    ],
)
def test_known_values(curve: Curve, linear: float, encoded: float) -> None:
    assert curve(np.array(linear)) == pytest.approx(encoded, abs=1e-5)


@pytest.mark.parametrize("curve", ALL_CURVES, ids=lambda curve: curve.__name__)
def test_black_stays_black_white_stays_white_and_the_rest_is_clipped(curve: Curve) -> None:
    np.testing.assert_allclose(curve(np.array([-0.5, 0.0, 1.0, 1.5])), [0, 0, 1, 1], atol=1e-12)


@pytest.mark.parametrize("curve", ALL_CURVES, ids=lambda curve: curve.__name__)
def test_curves_rise_without_a_jump(curve: Curve) -> None:
    values = curve(np.linspace(0, 1, 20001))
    steps = np.diff(values)
    assert (steps > 0).all()
    # the slopes on both sides of a joint are alike: no step is far from its neighbours, ends of
    # steep curves aside
    inner = steps[20:-20]
    assert (np.abs(np.diff(inner)) < 0.06 * inner[1:]).all()


@pytest.mark.parametrize("name", CURVES)
@quick
@given(value=unit)
def test_decoding_undoes_encoding_both_ways(name: str, value: float) -> None:
    encode, decode = CURVES[name]
    assert decode(encode(np.array(value))) == pytest.approx(value, abs=1e-6)
    assert encode(decode(np.array(value))) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("curve", ALL_CURVES, ids=lambda curve: curve.__name__)
def test_float32_pictures_stay_float32_and_keep_their_shape(curve: Curve) -> None:
    picture = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 4, 3)
    assert curve(picture).dtype == np.float32
    assert curve(picture).shape == (2, 4, 3)


@pytest.mark.parametrize(
    "curve", [colorimetry.srgb_encode, colorimetry.srgb_decode, colorimetry.bt709_decode, colorimetry.smoothstep]
)
def test_tensors_give_what_arrays_give(curve: Curve) -> None:
    values = torch.linspace(-0.2, 1.2, 4001, dtype=torch.float64)
    result = curve(values)  # type: ignore[arg-type]
    assert isinstance(result, torch.Tensor)
    np.testing.assert_allclose(result.numpy(), curve(values.numpy()), atol=1e-12)


def test_decoding_undoes_encoding_of_tensors() -> None:
    inside = torch.linspace(0, 1, 2859, dtype=torch.float64)
    torch.testing.assert_close(colorimetry.srgb_decode(colorimetry.srgb_encode(inside)), inside, atol=1e-6, rtol=0)


def test_the_slope_of_the_curves_is_finite_for_tensors_even_at_black() -> None:
    for curve in (colorimetry.srgb_encode, colorimetry.srgb_decode):
        values = torch.linspace(0, 1, 11, requires_grad=True)
        curve(values).sum().backward()
        assert values.grad is not None and values.grad.isfinite().all()


def test_bt709_pieces_meet() -> None:
    """At the toe's end 4.5 x and the power law agree to the last digits that BT.2020 gives."""
    toe = 0.018053968510807
    below, above = bt709_encode(np.array([toe * (1 - 1e-9), toe * (1 + 1e-9)]))
    assert above - below == pytest.approx(0, abs=1e-9)


# ---------------------------------------------------------------- illuminants


@pytest.mark.parametrize(
    ("temperature", "xy", "tolerance"),
    [
        (6504, (0.3127, 0.3290), 3e-4),  # D65
        (5003, (0.3457, 0.3585), 5e-4),  # D50
        (7504, (0.2990, 0.3149), 5e-4),  # D75
        (3500, (0.4053, 0.3907), 6e-4),  # Planckian radiator
        (2856, (0.4476, 0.4074), 6e-4),  # illuminant A
        (2000, (0.5267, 0.4133), 6e-4),  # Planckian radiator
    ],
)
def test_chromaticity_of_known_lights(temperature: float, xy: tuple[float, float], tolerance: float) -> None:
    xyz = colorimetry.illuminant_xyz(temperature)
    assert xyz[1] == 1
    np.testing.assert_allclose(chromaticity(xyz), xy, atol=tolerance)


@pytest.mark.parametrize(("low", "high"), [(1667, 3999), (4000, 25000)])
def test_hotter_light_is_less_red_and_more_blue(low: float, high: float) -> None:
    lights = np.array([colorimetry.illuminant_xyz(temperature) for temperature in np.linspace(low, high, 50)])
    assert (np.diff(lights[:, 0] / lights.sum(axis=1)) < 0).all()
    assert (np.diff(lights[:, 2]) > 0).all()


@pytest.mark.parametrize("temperature", [0, 1666, 25001, -5000, float("nan")])
def test_a_temperature_out_of_range_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=r"1667\.\.25000"):
        colorimetry.illuminant_xyz(temperature)


# ---------------------------------------------------------------- white balance and matrices


@quick
@given(st.floats(1667, 25000))
def test_white_balance_makes_the_light_neutral(temperature: float) -> None:
    gains = colorimetry.white_balance_gains(XYZ2CAM, temperature)
    balanced = gains * (XYZ2CAM @ colorimetry.illuminant_xyz(temperature))
    assert gains[1] == 1
    np.testing.assert_allclose(balanced, balanced[1], rtol=1e-12)


def test_warm_light_needs_more_blue_and_less_red() -> None:
    warm, cool = (colorimetry.white_balance_gains(XYZ2CAM, temperature) for temperature in (2856, 6504))
    assert warm[0] < cool[0] and warm[2] > cool[2]


def test_white_of_linear_srgb_is_d65() -> None:
    np.testing.assert_allclose(chromaticity(colorimetry.RGB2XYZ.sum(axis=1)), (0.3127, 0.3290), atol=1e-4)
    np.testing.assert_allclose(colorimetry.RGB2XYZ.sum(axis=1)[1], 1, atol=1e-6)


@quick
@given(st.lists(st.floats(-0.2, 0.2), min_size=9, max_size=9))
def test_rows_of_cam2rgb_sum_to_one_so_that_white_stays_white(changes: list[float]) -> None:
    cam2rgb = colorimetry.cam2rgb_from_xyz2cam(XYZ2CAM + np.reshape(changes, (3, 3)) / 5)
    np.testing.assert_allclose(cam2rgb.sum(axis=1), 1, atol=1e-9)


def test_a_camera_that_sees_linear_srgb_needs_no_matrix_whatever_its_sensitivities() -> None:
    rgb2cam = np.diag([0.4, 1.0, 0.7])
    np.testing.assert_allclose(
        colorimetry.cam2rgb_from_xyz2cam(rgb2cam @ np.linalg.inv(colorimetry.RGB2XYZ)), np.eye(3), atol=1e-12
    )


def test_a_colour_comes_back_through_camera_white_balance_and_matrix() -> None:
    linear_rgb = np.array([0.7, 0.2, 0.4])
    camera_rgb = XYZ2CAM @ colorimetry.RGB2XYZ @ linear_rgb
    white = XYZ2CAM @ colorimetry.RGB2XYZ @ np.ones(3)
    seen = colorimetry.apply_matrix(camera_rgb / white, colorimetry.cam2rgb_from_xyz2cam(XYZ2CAM))
    np.testing.assert_allclose(seen, linear_rgb, atol=1e-12)


def test_apply_matrix_multiplies_colours_in_the_last_axis() -> None:
    matrix = np.array([[1, 2, 3], [0, 1, 0], [0, 0, -1]])
    picture = np.zeros((2, 2, 3), np.float32)
    picture[1, 0] = (1, 10, 100)
    seen = colorimetry.apply_matrix(picture, matrix)
    assert seen.dtype == np.float32 and seen.shape == (2, 2, 3)
    assert seen[1, 0].tolist() == [321, 10, -100]
    assert not seen[0].any()
