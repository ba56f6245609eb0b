"""Pairs made during training: the same in any batch, with the physics of their cameras."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import default_collate

from cycleisp.networks.blur import GaussianBlur
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.synthesis.finishing import SMOOTHING_RADIUS
from cycleisp.networks.synthesis.learned_camera import LearnedCamera
from cycleisp.networks.synthesis.simulated_cameras import SimulatedCameras
from cycleisp.networks.synthesis.training_pairs import TrainingPairs, open_training_pairs
from cycleisp.utils.config import Synthesis
from cycleisp.utils.images import Space, channels_last, photo_to_tensor
from cycleisp.utils.raw.noise import noise_from_seeds
from cycleisp.utils.weights.files import WeightsError
from tests.support.pictures import random_picture

Patch = dict[str, Tensor]
SPACES = pytest.mark.parametrize("space", ["raw", "srgb"])
CPU = torch.device("cpu")
SIGMAS = 5.0
CAM2RGB = torch.tensor([[1.6, -0.5, -0.1], [-0.2, 1.5, -0.3], [0.0, -0.6, 1.6]])


def photo(size: int = 16, seed: int = 0) -> Tensor:
    return photo_to_tensor(random_picture(size, size, seed=seed))


def patch(image: Tensor, seed: int = 0, **changes: object) -> Patch:
    """Returns an item as dataloaders/training/denoising_patches.py does.

    By default it is of a simulated camera that does nothing to the developed picture.
    """
    draws: dict[str, object] = {
        "shot_noise": 0.004,
        "read_noise": 2e-4,
        "learned": False,
        "cam2rgb": CAM2RGB,
        "white_balance": torch.tensor([2.0, 1.0, 1.6]),
        "demosaicking": 1.0,
        "contrast": 0.0,
        "binned": False,
        "luma_blur": 0.0,
        "chroma_blur": 0.0,
        "sharpening": 1.0,
        "jpeg_quality": 0,
        "jpeg_subsampled": False,
    }
    assert changes.keys() <= draws.keys()
    tensors = {key: torch.as_tensor(value) for key, value in {**draws, **changes}.items()}
    return {"photo": image, "seed": torch.tensor(seed), **tensors}


def awgn_patch(image: Tensor, seed: int, sigma: float) -> Patch:
    return {"photo": image, "seed": torch.tensor(seed), "awgn_sigma": torch.tensor(sigma)}


def flat(level: float, size: int, **changes: object) -> Patch:
    """Returns a grey patch of a sensor with the display's colours.

    So little depends on the channel.
    """
    sensor = {"cam2rgb": torch.eye(3), "white_balance": torch.ones(3), **changes}
    return patch(torch.full((3, size, size), level), 3, **sensor)


def maker(space: Space, learned: LearnedCamera | None, blur: float = 0.0, frame_average: float = 0.0) -> TrainingPairs:
    return TrainingPairs(space, learned, blur, frame_average=frame_average, device=CPU)


def pairs(patches: Sequence[Patch], space: Space, isp: CycleISP | None = None, blur: float = 0.0) -> dict[str, Tensor]:
    learned = LearnedCamera(isp, "cycle") if isp is not None else None
    return maker(space, learned, blur)(default_collate(list(patches)))


def mixed_patches(jpeg: bool = False) -> list[Patch]:
    """Returns patches that are all different: learned and simulated, binned, smoothed."""
    last = {"jpeg_quality": 80, "jpeg_subsampled": True} if jpeg else {}
    return [
        patch(photo(seed=0), 10, learned=True),
        patch(photo(seed=1), 11, shot_noise=0.01, demosaicking=0.3),
        patch(photo(seed=2), 12, binned=True, contrast=0.5),
        patch(photo(seed=3), 2**62 - 1, learned=True, luma_blur=0.8, chroma_blur=1.5),
        patch(photo(seed=4), 0, cam2rgb=torch.eye(3), luma_blur=0.5, chroma_blur=2.0, **last),
        patch(photo(seed=5), 13, learned=True, read_noise=1e-3),
    ]


# ---------------------------------------------------------------- where a picture begins


def test_the_window_is_cut_out_of_the_finished_pair(tiny_isp: CycleISP) -> None:
    patches = mixed_patches(jpeg=True)
    whole = pairs(patches, "srgb", tiny_isp)
    corners = [(0, 0), (1, 0), (0, 3), (4, 4), (3, 1), (2, 2)]
    windows = [torch.tensor([top, left, 12]) for top, left in corners]
    cut = pairs([{**one, "window": window} for one, window in zip(patches, windows, strict=True)], "srgb", tiny_isp)
    for key, images in cut.items():
        for image, full, (top, left) in zip(images, whole[key], corners, strict=True):
            assert torch.equal(image, full[:, top : top + 12, left : left + 12])


def test_windows_hide_where_the_red_photosites_were() -> None:
    """A network must not learn where in a Bayer tile a picture begins.

    Red is measured at one pixel of four and guessed at the others, whose noise is therefore weaker.
    Real pictures begin anywhere in a tile.
    """
    size, count = 16, 64
    patches = [flat(0.5, size + 2, demosaicking=0.0) | {"seed": torch.tensor(seed)} for seed in range(count)]
    corners = np.random.default_rng(0).integers(2, size=(count, 2)).tolist()
    windows = [torch.tensor([top, left, size]) for top, left in corners]
    fixed = pairs([{**one, "window": torch.tensor([0, 0, size])} for one in patches], "srgb")
    anywhere = pairs([{**one, "window": window} for one, window in zip(patches, windows, strict=True)], "srgb")

    def strongest_site(made: dict[str, Tensor]) -> float:
        """Returns the variance of red noise at even rows and columns over that at odd ones."""
        noise = (made["noisy"] - made["clean"])[:, 0, 2:-2, 2:-2]
        return float(noise[:, ::2, ::2].var() / noise[:, 1::2, 1::2].var())

    # bilinear: 1 at the site, 1/4 where four neighbours are averaged. A variance of n values is
    # known to sqrt(2 / n): to 2 % here; which sites the corners made strong, to sqrt(3 / 64) of the
    # difference
    assert strongest_site(fixed) == pytest.approx(4, rel=0.1)
    assert strongest_site(anywhere) == pytest.approx(1, abs=0.6)


# ---------------------------------------------------------------- the same in any batch


@SPACES
def test_a_pair_depends_neither_on_its_batch_nor_on_its_place(tiny_isp: CycleISP, space: Space) -> None:
    """Batches have learned patches, simulated ones, or both.

    Float32 sums may differ in their last bits.
    """
    patches = mixed_patches()
    together = pairs(patches, space, tiny_isp)
    for order in ([0], [2], [3, 0], [4, 1, 2], [5, 4, 3, 2, 1, 0], [1, 0, 2, 5], [0, 1, 0]):
        some = pairs([patches[index] for index in order], space, tiny_isp)
        assert some.keys() == together.keys()
        for key, images in some.items():
            torch.testing.assert_close(images, together[key][order], atol=2e-5, rtol=0)
    assert len({image.sum().item() for image in together["noisy"]}) == len(patches)


def test_jpeg_comes_last_and_to_its_own_patch(tiny_isp: CycleISP) -> None:
    before, after = (pairs(mixed_patches(jpeg), "srgb", tiny_isp) for jpeg in (False, True))
    differs = (before["noisy"] - after["noisy"]).abs().amax((1, 2, 3)) > 1e-5
    assert differs.tolist() == [False] * 4 + [True, False]
    assert torch.equal(before["clean"], after["clean"])
    levels = after["noisy"][4] * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


@SPACES
def test_learned_and_simulated_patches_keep_their_order(tiny_isp: CycleISP, space: Space) -> None:
    """The clean image tells which photo it was made of."""
    patches = mixed_patches()
    for flags in ([0, 1, 2, 3, 4, 5], [1, 0, 3, 2], [5, 1, 4, 0], [1, 2, 0]):
        together = pairs([patches[index] for index in flags], space, tiny_isp)["clean"]
        for place, index in enumerate(flags):
            alone = pairs([patches[index]], space, tiny_isp)["clean"]
            torch.testing.assert_close(together[[place]], alone, atol=2e-5, rtol=0)


@SPACES
def test_another_seed_is_other_noise_on_the_same_clean_image(tiny_isp: CycleISP, space: Space) -> None:
    for learned in (False, True):
        made = pairs([patch(photo(), seed, learned=learned) for seed in (1, 2)], space, tiny_isp)
        torch.testing.assert_close(made["clean"][0], made["clean"][1], atol=1e-6, rtol=0)
        assert (made["noisy"][0] - made["noisy"][1]).abs().max() > 0.01


@SPACES
def test_nothing_needs_a_gradient_and_global_randomness_is_neither_used_nor_changed(
    tiny_isp: CycleISP, space: Space
) -> None:
    torch.manual_seed(1)
    states = torch.get_rng_state(), repr(np.random.get_state())
    made = pairs(mixed_patches(jpeg=True), space, tiny_isp)
    assert torch.equal(torch.get_rng_state(), states[0]) and repr(np.random.get_state()) == states[1]
    torch.manual_seed(2)
    again = pairs(mixed_patches(jpeg=True), space, tiny_isp)
    for key, images in made.items():
        assert torch.equal(images, again[key])
        assert not images.requires_grad and images.dtype == torch.float32
    source = photo().requires_grad_()
    assert not pairs([{**patch(source), "photo": source}], space)["clean"].requires_grad


@SPACES
def test_ranges_and_shapes(tiny_isp: CycleISP, space: Space) -> None:
    made = pairs(
        [patch(photo(), 1, read_noise=0.05), patch(photo(), 1, read_noise=0.05, learned=True)], space, tiny_isp
    )
    shape = {"raw": (2, 4, 8, 8), "srgb": (2, 3, 16, 16)}[space]
    assert made.keys() == {"raw": {"clean", "noisy", "variance"}, "srgb": {"clean", "noisy"}}[space]
    for image in made.values():
        assert image.shape == shape and image.min() >= 0 and image.max() <= 1


def test_the_batch_is_left_alone(tiny_isp: CycleISP) -> None:
    batch = default_collate(mixed_patches(jpeg=True))
    before = {key: value.clone() for key, value in batch.items()}
    maker("srgb", LearnedCamera(tiny_isp), 1.0)(batch)
    assert batch.keys() == before.keys() and all(torch.equal(batch[key], before[key]) for key in batch)


# ---------------------------------------------------------------- RAW pairs


@pytest.mark.parametrize(("shot", "read"), [(0.004, 2e-4), (0.0, 1e-3), (0.01, 0.0)])
@pytest.mark.parametrize("level", [0.5, 0.7])
def test_noise_of_the_raw_pair_has_the_models_variance(shot: float, read: float, level: float) -> None:
    made = pairs([flat(level, 160, shot_noise=shot, read_noise=read)], "raw")
    signal = made["clean"][0, 0, 0, 0].item()
    noise = (made["noisy"] - made["clean"]).double()
    variance = shot * signal + read
    assert signal == pytest.approx(((level + 0.055) / 1.055) ** 2.4, abs=1e-6)
    assert signal > 4 * math.sqrt(variance)  # so that the clip at black takes nothing to speak of
    assert abs(noise.mean().item()) <= SIGMAS * math.sqrt(variance / noise.numel())
    assert abs(noise.var().item() / variance - 1) <= SIGMAS * math.sqrt(2 / noise.numel())


def test_the_raw_pair_is_the_cameras_raw_and_its_noise_that_of_the_seed() -> None:
    item = patch(photo(), 7)
    made = pairs([item], "raw")
    batch = default_collate([item])
    clean = SimulatedCameras.from_batch(batch).expose(batch["photo"])
    assert torch.equal(made["clean"], clean)
    noisy = noise_from_seeds(clean, batch["shot_noise"], batch["read_noise"], [7]).clamp(0, 1)
    assert torch.equal(made["noisy"], noisy)


def test_the_variance_map_is_made_of_the_noisy_raw(tiny_isp: CycleISP) -> None:
    made = pairs(mixed_patches(), "raw", tiny_isp)
    shot = torch.tensor([0.004, 0.01, 0.004, 0.004, 0.004, 0.004]).view(-1, 1, 1, 1)
    read = torch.tensor([2e-4, 2e-4, 2e-4, 2e-4, 2e-4, 1e-3]).view(-1, 1, 1, 1)
    torch.testing.assert_close(made["variance"], shot * made["noisy"] + read)
    assert not torch.allclose(made["variance"], shot * made["clean"] + read, rtol=1e-3)


def test_a_learned_patch_is_rgb2raw_of_its_photo(tiny_isp: CycleISP) -> None:
    made = pairs([patch(photo(), learned=True)], "raw", tiny_isp)
    torch.testing.assert_close(made["clean"], tiny_isp.rgb2raw(photo()[None]).clamp(0, 1))


# ---------------------------------------------------------------- sRGB pairs


def neighbour_correlation(noise: Tensor) -> tuple[float, float]:
    """Returns the correlations of values beside and below each other, over (C, H, W)."""
    noise = noise.double() - noise.double().mean((1, 2), keepdim=True)
    power = noise.square().mean()
    beside, below = (noise[..., 1:] * noise[..., :-1]).mean(), (noise[:, 1:] * noise[:, :-1]).mean()
    return (beside / power).item(), (below / power).item()


def test_binned_noise_is_white_and_mosaicked_noise_is_not() -> None:
    """Bilinear interpolation of N numbers shares neighbours.

    Pixels with a tile of their own share nothing.
    """
    size = 120
    binned, mosaicked = (
        pairs([flat(0.6, size, binned=flag, demosaicking=0.0, read_noise=0.0, shot_noise=0.002)], "srgb")
        for flag in (True, False)
    )
    for value in neighbour_correlation(binned["noisy"][0] - binned["clean"][0]):
        assert abs(value) <= SIGMAS / math.sqrt(3 * size**2)
    for value in neighbour_correlation(mosaicked["noisy"][0] - mosaicked["clean"][0]):
        assert value > 0.3


def test_the_two_greens_of_a_binned_tile_halve_their_variance() -> None:
    """Only the number of photosites differs between the channels of a grey patch.

    The sensor has the display's colours.
    """
    made = pairs([flat(0.7, 160, binned=True)], "srgb")
    variance = (made["noisy"] - made["clean"])[0].double().flatten(1).var(1)
    bound = SIGMAS * math.sqrt(4 / 160**2) + 0.02  # of a ratio; the display curve bends a little over the noise
    assert abs((variance[1] / variance[0]).item() * 2 - 1) <= bound
    assert abs((variance[2] / variance[0]).item() - 1) <= bound


def test_a_binned_clean_image_is_the_photo() -> None:
    """Every pixel has all three colours, so nothing is interpolated, and fine detail survives."""
    fine = 0.5 + 0.1 * torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1)
    made = pairs([patch(fine, binned=True), patch(fine, demosaicking=0.0)], "srgb")
    torch.testing.assert_close(made["clean"][0], fine, atol=1e-5, rtol=0)
    assert (made["clean"][1] - fine).abs().max() > 0.01


def test_noise_reduction_blurs_the_noise_and_not_the_picture() -> None:
    """The picture's edge stays in both images, and the clean image is that without reduction."""
    image = torch.cat([torch.full((3, 64, 32), 0.4), torch.full((3, 64, 32), 0.6)], dim=2)
    draws = {"shot_noise": 5e-4, "read_noise": 2e-5, "demosaicking": 0.0}  # nothing leaves the range and is clipped
    plain, smooth = (pairs([patch(image, luma_blur=s, chroma_blur=s, **draws)], "srgb") for s in (0.0, 2.0))
    assert torch.equal(plain["clean"], smooth["clean"])
    noises = [made["noisy"] - made["clean"] for made in (plain, smooth)]
    assert noises[1].std() < 0.5 * noises[0].std()
    assert (noises[1].mean() - noises[0].mean()).abs() < 0.1 * noises[0].std()
    taps = np.exp(-0.5 * (np.arange(-SMOOTHING_RADIUS, SMOOTHING_RADIUS + 1) / 2.0) ** 2)
    by_hand = channels_last(noises[0][0].double())
    by_hand = cv2.sepFilter2D(by_hand, -1, taps / taps.sum(), taps / taps.sum(), borderType=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(channels_last(noises[1][0]), by_hand, atol=1e-5)  # one sigma for all planes
    sharp = pairs([patch(image, luma_blur=2.0, chroma_blur=2.0, sharpening=1.5, **draws)], "srgb")
    assert torch.equal(sharp["clean"], plain["clean"])
    torch.testing.assert_close(sharp["noisy"] - sharp["clean"], 1.5 * noises[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("clean_target", ["input", "cycle", "residual"])
def test_a_learned_srgb_pair_is_that_of_the_learned_camera(
    tiny_isp: CycleISP, clean_target: Literal["input", "cycle", "residual"]
) -> None:
    learned, item = LearnedCamera(tiny_isp, clean_target), patch(photo(), 5, learned=True)
    batch = default_collate([item])
    made = maker("srgb", learned)(batch)
    raw = learned.expose(batch["photo"])
    noisy_raw = noise_from_seeds(raw, batch["shot_noise"], batch["read_noise"], [5]).clamp(0, 1)
    clean, noisy = learned.develop(batch["photo"], raw, noisy_raw)
    torch.testing.assert_close(made["clean"], clean)
    torch.testing.assert_close(made["noisy"], noisy, atol=2e-6, rtol=0)


@pytest.mark.parametrize("binned", [False, True])
def test_an_average_of_frames_is_brighter_in_the_dark_and_the_frame_the_same(binned: bool) -> None:
    """Many frames of a dark flat field are averaged by hand.

    That is after the clip at black, and before the display curve.
    """
    count, read = 400, 4e-3
    dark = [flat(0.1, 24, read_noise=read, shot_noise=0.0, binned=binned, demosaicking=0.0)]
    batch = default_collate(dark)
    plain, average = (maker("srgb", None, frame_average=share)(batch) for share in (0.0, 1.0))
    torch.testing.assert_close(plain["noisy"], average["noisy"], atol=1e-6, rtol=0)
    linear = torch.tensor(((0.1 + 0.055) / 1.055) ** 2.4)
    frames = noise_from_seeds(
        linear.expand(count, 4, 12, 12), torch.zeros(count), torch.full((count,), read), list(range(count))
    ).clamp(0, 1)
    mean, error = frames.mean().item(), frames.std().item() / math.sqrt(frames.numel())
    target = ((average["clean"].double() + 0.055) / 1.055) ** 2.4
    assert (target - mean).abs().max() <= SIGMAS * error + 1e-6
    assert (plain["clean"] - 0.1).abs().max() < 1e-5 and mean > 1.5 * linear


def test_part_of_the_way_to_an_average_of_frames() -> None:
    """The share counts in linear light, before the display curve."""
    batch = default_collate([flat(0.1, 24, read_noise=4e-3, shot_noise=0.0, demosaicking=0.0)])
    none, part, all_ = (maker("srgb", None, frame_average=share)(batch)["clean"] for share in (0.0, 0.25, 1.0))
    none, part, all_ = (((clean.double() + 0.055) / 1.055) ** 2.4 for clean in (none, part, all_))
    torch.testing.assert_close(part, none + 0.25 * (all_ - none), atol=1e-5, rtol=0)


def test_an_average_of_frames_changes_no_raw_pair(tiny_isp: CycleISP) -> None:
    batch = default_collate(mixed_patches())
    first, again = (maker("raw", LearnedCamera(tiny_isp), frame_average=share)(batch) for share in (0.0, 1.0))
    assert all(torch.equal(first[key], again[key]) for key in first)


# ---------------------------------------------------------------- blur, Gaussian noise, stored
# pairs


@SPACES
def test_the_photos_own_noise_is_blurred_away_first(space: Space) -> None:
    item = patch(photo())
    blurred = {**item, "photo": GaussianBlur(1.3, radius=2)(item["photo"][None])[0]}
    once, by_hand = pairs([item], space, blur=1.3), pairs([blurred], space)
    for key, images in once.items():
        torch.testing.assert_close(images, by_hand[key], atol=1e-6, rtol=0)
    assert not torch.allclose(once["clean"], pairs([item], space)["clean"], atol=1e-2)


@pytest.mark.parametrize("sigma", [5, 25, 50])
def test_gaussian_noise_has_its_sigma_in_8_bit_levels(sigma: int) -> None:
    """The paper's AWGN baseline is white, and the same in all channels.

    The clip is 5 sigma away at most sigmas.
    """
    made = pairs([awgn_patch(torch.full((3, 120, 120), 0.5), 3, sigma / 255)], "srgb")
    noise = (made["noisy"] - made["clean"])[0].double()
    assert made.keys() == {"clean", "noisy"} and torch.equal(made["clean"], torch.full((1, 3, 120, 120), 0.5))
    clipped = 0.04 if sigma == 50 else 0.0  # beyond 2.55 sigma: 1 % of the values, 4 % of the variance
    assert abs(noise.var().item() / (sigma / 255) ** 2 - 1) <= SIGMAS * math.sqrt(2 / noise.numel()) + clipped
    assert all(abs(value) <= SIGMAS / math.sqrt(noise.numel()) for value in neighbour_correlation(noise))


def test_gaussian_pairs_are_the_same_in_any_batch_and_within_the_range() -> None:
    patches = [awgn_patch(photo(seed=index), 100 + index, 0.02 * index) for index in range(4)]
    together = pairs(patches, "srgb")
    assert torch.equal(together["noisy"][0], patches[0]["photo"])  # sigma 0
    assert together["noisy"].min() >= 0 and together["noisy"].max() <= 1
    for order in ([3], [2, 0], [3, 2, 1, 0]):
        assert torch.equal(pairs([patches[index] for index in order], "srgb")["noisy"], together["noisy"][order])


@SPACES
def test_stored_pairs_pass_as_they_are(space: Space) -> None:
    stored = {"clean": torch.rand(2, 3, 8, 8), "noisy": torch.rand(2, 3, 8, 8), "variance": torch.rand(2, 3, 8, 8)}
    passed = maker(space, None, 2.0)(stored)
    assert passed.keys() == stored.keys() and all(torch.equal(passed[key], stored[key]) for key in stored)


# ---------------------------------------------------------------- as a recipe asks for them


def test_weights_are_loaded_only_if_patches_pass_them(tiny_weights: Path) -> None:
    for synthesis in (Synthesis(learned_share=0.0), Synthesis(noise=["awgn"])):
        assert open_training_pairs(synthesis, "srgb", "no such weights", CPU).learned is None
    with pytest.raises(WeightsError, match="no such weights"):
        open_training_pairs(Synthesis(learned_share=0.5), "srgb", "no such weights", CPU)
    opened = open_training_pairs(Synthesis(learned_share=0.5, clean_target="residual"), "raw", str(tiny_weights), CPU)
    assert opened.learned is not None
    assert (
        opened.learned.clean_target == "residual" and opened.learned.precision == "float32"
    )  # no half precision on a CPU


def test_the_recipes_blur_is_used_and_0_is_none() -> None:
    assert open_training_pairs(Synthesis(learned_share=0.0, blur=0.0), "raw", "", CPU).blur is None
    assert open_training_pairs(Synthesis(learned_share=0.0, blur=1.0), "raw", "", CPU).blur is not None
