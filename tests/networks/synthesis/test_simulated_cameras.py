"""Batches of simulated cameras: demosaicking by published kernels, and photos that survive."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cycleisp.networks.synthesis import simulated_cameras
from cycleisp.networks.synthesis.simulated_cameras import SimulatedCameras, demosaic_malvar
from cycleisp.utils.color import colorimetry
from cycleisp.utils.color.simulated_camera import sample_camera
from cycleisp.utils.images import channels_last
from cycleisp.utils.output import preview
from cycleisp.utils.raw import bayer

XYZ2CAM = np.array([[0.80, -0.20, -0.05], [-0.40, 1.20, 0.20], [-0.05, 0.15, 0.60]])
CAM2RGB = torch.from_numpy(colorimetry.cam2rgb_from_xyz2cam(XYZ2CAM)).float()
GRADIENTS = pytest.mark.parametrize("gradient", [0.0, 0.4, 1.0])


def random_mosaic(batch: int, height: int, width: int) -> Tensor:
    return torch.rand(batch, 1, height, width, generator=torch.Generator().manual_seed(0))


def demosaicked(mosaic: Tensor, gradient: float) -> Tensor:
    return demosaic_malvar(bayer.pack(mosaic), torch.full((mosaic.shape[0],), gradient))


def camera(
    count: int = 1,
    cam2rgb: Tensor = CAM2RGB,
    white_balance: tuple[float, float, float] = (2.0, 1.0, 1.6),
    demosaicking: float = 1.0,
    contrast: float = 0.0,
) -> SimulatedCameras:
    return SimulatedCameras(
        cam2rgb.expand(count, 3, 3),
        torch.tensor(white_balance).expand(count, 3),
        torch.full((count,), demosaicking),
        torch.full((count,), contrast),
    )


def smooth_photos(count: int, height: int = 32, width: int = 40) -> Tensor:
    """Returns slow waves of weak colours, (count, 3, H, W) in [0.3, 0.7].

    They lie within every sensor's gamut.
    """
    rows, columns = torch.linspace(0, 3, height).view(-1, 1), torch.linspace(0, 3, width)
    waves = [torch.sin(rows * (1 + 0.1 * i) + columns + 0.3 * c) for i in range(count) for c in range(3)]
    return 0.5 + 0.2 * torch.stack(waves).view(count, 3, height, width)


# ---------------------------------------------------------------- demosaicking


@GRADIENTS
def test_a_constant_of_each_colour_is_reproduced_up_to_the_border(gradient: float) -> None:
    rgb = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, 8, 10)
    torch.testing.assert_close(demosaicked(bayer.mosaic(rgb, "RGGB"), gradient), rgb)


@GRADIENTS
def test_a_ramp_is_reproduced_inside(gradient: float) -> None:
    """All colours have one slope and any offsets.

    All kernels are symmetric, and those of the gradient see no Laplacian.
    """
    rows, columns = torch.arange(16.0).view(-1, 1), torch.arange(20.0)
    ramp = 0.1 + 0.02 * rows + 0.015 * columns
    rgb = (ramp + torch.tensor([0.0, 0.1, -0.05]).view(3, 1, 1))[None]
    out = demosaicked(bayer.mosaic(rgb, "RGGB"), gradient)
    torch.testing.assert_close(out[..., 2:-2, 2:-2], rgb[..., 2:-2, 2:-2], atol=1e-6, rtol=0)


@GRADIENTS
def test_a_sites_own_colour_is_kept(gradient: float) -> None:
    mosaic = random_mosaic(2, 10, 12)
    out = demosaicked(mosaic, gradient)
    torch.testing.assert_close(bayer.mosaic(out, "RGGB"), mosaic, atol=1e-6, rtol=0)


def malvar(mosaic: np.ndarray, row: int, column: int) -> np.ndarray:
    """Returns camera colours at one site by Malvar, He and Cutler (2004), Fig. 2.

    The kernels are as they are printed there, times 1/8.
    """

    def at(down: int, right: int) -> float:
        return float(mosaic[row + down, column + right])

    cross = at(-2, 0) + at(2, 0) + at(0, -2) + at(0, 2)
    diagonal = at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)
    green = (4 * at(0, 0) + 2 * (at(-1, 0) + at(1, 0) + at(0, -1) + at(0, 1)) - cross) / 8
    opposite = (6 * at(0, 0) + 2 * diagonal - 1.5 * cross) / 8
    beside = (5 * at(0, 0) + 4 * (at(0, -1) + at(0, 1)) - at(0, -2) - at(0, 2) - diagonal) / 8
    beside += 0.5 * (at(-2, 0) + at(2, 0)) / 8
    above = (5 * at(0, 0) + 4 * (at(-1, 0) + at(1, 0)) - at(-2, 0) - at(2, 0) - diagonal) / 8
    above += 0.5 * (at(0, -2) + at(0, 2)) / 8
    own = at(0, 0)
    return np.array(
        {
            (0, 0): (own, green, opposite),  # red
            (0, 1): (beside, own, above),  # green in a red row
            (1, 0): (above, own, beside),  # green in a blue row
            (1, 1): (opposite, green, own),  # blue
        }[row % 2, column % 2]
    )


def test_the_gradient_correction_is_malvars_at_every_site() -> None:
    mosaic = random_mosaic(1, 12, 14)
    out = channels_last(demosaicked(mosaic, 1.0)[0])
    for row in range(2, 10):
        for column in range(2, 12):
            np.testing.assert_allclose(out[row, column], malvar(mosaic[0, 0].numpy(), row, column), atol=1e-6)


def test_without_correction_it_is_opencvs_bilinear() -> None:
    """Inside only, since borders differ; OpenCV works on 16 bits."""
    mosaic = random_mosaic(1, 20, 24)
    out = channels_last(demosaicked(mosaic, 0.0)[0])
    expected = preview.demosaic_bilinear(mosaic[0, 0].numpy(), "RGGB")
    np.testing.assert_allclose(out[2:-2, 2:-2], expected[2:-2, 2:-2], atol=2 / 65535)


def test_between_them_results_mix_in_proportion_and_each_image_has_its_own_part() -> None:
    packed = bayer.pack(random_mosaic(1, 12, 16)).expand(3, -1, -1, -1)
    none, some, full = demosaic_malvar(packed, torch.tensor([0.0, 0.3, 1.0]))
    torch.testing.assert_close(some, 0.7 * none + 0.3 * full, atol=1e-6, rtol=0)
    assert not torch.allclose(none, full, atol=0.05)


@pytest.mark.parametrize("size", [(2, 2), (2, 8), (4, 2), (4, 4)], ids=str)
def test_few_tiles_are_enough(size: tuple[int, int]) -> None:
    rgb = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, *size)
    torch.testing.assert_close(demosaicked(bayer.mosaic(rgb, "RGGB"), 1.0), rgb)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_gradients_pass_whichever_mode_came_first(mode: type) -> None:
    """The kernels are made once, and autograd would refuse those made under inference mode."""
    simulated_cameras._malvar_filters.cache_clear()
    photos = smooth_photos(1, 8, 8)
    with mode():
        camera().develop(camera().expose(photos))
    photos.requires_grad_()
    camera().develop(camera().expose(photos)).sum().backward()
    assert photos.grad is not None and photos.grad.isfinite().all() and photos.grad.abs().min() > 0


# ---------------------------------------------------------------- a photo is taken and developed


@pytest.mark.parametrize("gains", [(2.0, 1.0, 1.6), (0.7, 1.0, 2.4), (1.0, 1.0, 1.0)], ids=str)
@pytest.mark.parametrize("demosaicking", [0.0, 1.0])
def test_a_smooth_photo_survives(gains: tuple[float, float, float], demosaicking: float) -> None:
    """Interpolation changes a smooth photo by less than half an 8 bit level inside.

    Malvar's correction expects all channels to have the same curvature, which they do not have
    before white balance: 1.5 levels.
    """
    photos = smooth_photos(2, 48, 64)
    taken = camera(2, white_balance=gains, demosaicking=demosaicking)
    raw = taken.expose(photos)
    assert raw.shape == (2, 4, 24, 32) and raw.min() >= 0 and raw.max() <= 1
    developed = taken.develop(raw)
    assert developed.shape == photos.shape
    assert (developed - photos)[..., 2:-2, 2:-2].abs().max() <= (
        1.5 if demosaicking and len(set(gains)) > 1 else 0.5
    ) / 255


def test_without_sampling_the_way_back_is_exact() -> None:
    photos, taken = smooth_photos(1), camera()
    torch.testing.assert_close(taken.render(taken.camera_rgb(photos)), photos, atol=2e-6, rtol=0)


@pytest.mark.parametrize("gains", [(2.0, 1.0, 1.6), (0.7, 1.0, 2.4)], ids=str)
@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("contrast", [0.0, 0.5, 1.0])
def test_white_stays_white_and_black_black(gains: tuple[float, float, float], level: float, contrast: float) -> None:
    photos, taken = torch.full((1, 3, 8, 8), level), camera(white_balance=gains, contrast=contrast)
    raw = taken.expose(photos)
    assert raw.max() <= 1
    if level:
        site = raw[0, [0, 1, 3], 0, 0]
        torch.testing.assert_close(site, min(gains) / torch.tensor(gains), atol=1e-6, rtol=0)
    torch.testing.assert_close(taken.develop(raw), photos, atol=2e-6, rtol=0)


def test_the_raw_is_what_the_formula_says_at_every_site() -> None:
    """sRGB is decoded, multiplied by the inverse matrix, and divided by the gains.

    The smallest gain is 1, and every site has one colour.
    """
    photos, gains = smooth_photos(1, 4, 6), np.array([0.8, 1.0, 1.6])
    raw = camera(white_balance=(0.8, 1.0, 1.6)).expose(photos)
    linear = colorimetry.srgb_decode(channels_last(photos[0].double()))
    expected = colorimetry.apply_matrix(linear, np.linalg.inv(CAM2RGB.double().numpy())) / (gains / 0.8)
    mosaic = bayer.unpack(raw)[0, 0].numpy()
    for row in range(4):
        for column in range(6):
            letter = "RGB".index("RGGB"[2 * (row % 2) + column % 2])
            assert mosaic[row, column] == pytest.approx(expected[row, column, letter], abs=1e-6)


def test_contrast_is_an_s_curve_about_middle_grey() -> None:
    level = torch.tensor([0.1, 0.5, 0.8]).view(3, 1, 1, 1).expand(3, 3, 4, 4)
    taken = camera(3, cam2rgb=torch.eye(3), white_balance=(1.0, 1.0, 1.0), contrast=0.6)
    toned = taken.develop(taken.expose(level))[:, 0, 0, 0].double().numpy()
    values = np.array([0.1, 0.5, 0.8])
    np.testing.assert_allclose(toned, values + 0.6 * (colorimetry.smoothstep(values) - values), atol=1e-5)
    assert toned[0] < 0.1 and toned[1] == pytest.approx(0.5, abs=1e-5) and toned[2] > 0.8


def test_what_a_sensor_cannot_record_or_a_display_show_is_clipped() -> None:
    photos = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)).round()  # pure primaries
    taken = camera(2)
    raw = taken.expose(photos)
    assert raw.min() >= 0 and raw.max() <= 1
    developed = taken.develop(2 * raw - 0.3)
    assert developed.isfinite().all() and developed.min() >= 0 and developed.max() <= 1


def test_a_batch_of_different_cameras_is_one_camera_at_a_time() -> None:
    photos, rng = smooth_photos(4, 16, 20), torch.Generator().manual_seed(0)
    mix = torch.rand(4, 1, 1, generator=rng)
    together = SimulatedCameras(
        cam2rgb=mix * CAM2RGB + (1 - mix) * torch.eye(3),
        white_balance=1 + torch.rand(4, 3, generator=rng) * torch.tensor([1.0, 0.0, 1.0]),
        demosaicking=torch.rand(4, generator=rng),
        contrast=torch.rand(4, generator=rng),
    )
    raw = together.expose(photos)
    developed = together.develop(raw)
    for index in range(4):
        one = slice(index, index + 1)
        alone = SimulatedCameras(
            together.cam2rgb[one], together.white_balance[one], together.demosaicking[one], together.contrast[one]
        )
        torch.testing.assert_close(alone.expose(photos[one]), raw[one], atol=1e-6, rtol=0)
        torch.testing.assert_close(alone.develop(raw[one]), developed[one], atol=1e-6, rtol=0)
    assert (raw[0] - raw[1]).abs().max() > 0.01


def test_a_batch_of_patches_names_its_cameras_by_their_attributes() -> None:
    parameters = vars(camera(3, contrast=0.2))
    cameras = SimulatedCameras.from_batch({**parameters, "photo": smooth_photos(3), "seed": torch.arange(3)})
    assert all(vars(cameras)[name] is values for name, values in parameters.items())


def test_one_camera_sees_as_the_same_camera_of_a_batch() -> None:
    """Both take the same light to the same sensor.

    They differ only in the display curve, and in highlights.
    """
    one = sample_camera(np.random.default_rng(0))
    photos = smooth_photos(1)
    batch = camera(1, torch.from_numpy(one.cam2rgb).float(), tuple(one.white_balance))  # type: ignore[arg-type]
    seen = one.sense(colorimetry.srgb_decode(channels_last(photos[0])))
    np.testing.assert_allclose(channels_last(batch.camera_rgb(photos)[0]), seen, atol=1e-5)
