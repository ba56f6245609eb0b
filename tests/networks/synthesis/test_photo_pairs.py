"""Pairs from photos: sizes, ranges, the physics of the noise, and what the sRGB pair differs by."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cycleisp.networks.blur import GaussianBlur
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.synthesis.learned_camera import CleanTarget, LearnedCamera
from cycleisp.networks.synthesis.photo_pairs import NoisyCleanPair, PairSynthesizer
from cycleisp.utils.padding import pad_to_multiple
from cycleisp.utils.raw.noise import PROFILES, FixedNoise

QUIET = FixedNoise(1e-4, 1e-5)  # a standard deviation below 0.01
LOUD = FixedNoise(0.05, 0.02)  # clips often


def random_photos(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def random_raw(count: int, height: int, width: int, low: float = 0.2, high: float = 0.8) -> Tensor:
    return low + (high - low) * torch.rand(count, 4, height, width, generator=torch.Generator().manual_seed(1))


def rendered(isp: CycleISP, raw: Tensor, reference: Tensor) -> Tensor:
    """Renders packed RAW (4, H/2, W/2) by RAW2RGB in the colours of a photo, not clipped."""
    return isp.guided_raw2rgb(raw[None], reference[None])[0]


class NeverCalled(torch.nn.Module):
    def forward(self, *inputs: Tensor) -> Tensor:
        raise AssertionError("this network was not to be run")


def without(isp: CycleISP, branch: str) -> CycleISP:
    """Returns the same networks except one that must not be run, `rgb2raw` or `guided_raw2rgb`."""
    kept = {"rgb2raw": isp.rgb2raw, "guided_raw2rgb": isp.guided_raw2rgb}
    other = CycleISP(**kept)
    setattr(other, branch, NeverCalled())
    return other


# ---------------------------------------------------------------- sizes and ranges

SIZES = [(2, 2), (2, 3), (3, 2), (3, 3), (4, 2), (5, 4), (7, 9), (16, 18), (33, 20)]


@pytest.mark.parametrize("clean_target", ["input", "cycle", "residual"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_size_from_two_by_two_gives_whole_tiles_of_raw_and_the_photos_size_of_srgb(
    tiny_isp: CycleISP, height: int, width: int, clean_target: CleanTarget
) -> None:
    pairs = PairSynthesizer(LearnedCamera(tiny_isp, clean_target), LOUD)(random_photos(2, height, width), [0, 1])
    assert len(pairs) == 2
    for pair in pairs:
        assert pair.clean_srgb is not None
        assert pair.noisy_srgb is not None
        assert pair.clean_raw.shape == pair.noisy_raw.shape == (4, height // 2, width // 2)
        assert pair.clean_srgb.shape == pair.noisy_srgb.shape == (3, height, width)
        for image in (pair.clean_raw, pair.noisy_raw, pair.clean_srgb, pair.noisy_srgb):
            assert image.dtype == torch.float32
            assert image.isfinite().all()
            assert 0 <= image.min() <= image.max() <= 1


def test_networks_that_leave_the_range_are_clipped(tiny_isp: CycleISP) -> None:
    class TooMuch(torch.nn.Module):
        def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
            half = first.shape[2] // 2, first.shape[3] // 2
            return torch.linspace(-1, 2, 4 * math.prod(half)).view(1, 4, *half)

    isp = CycleISP(tiny_isp.rgb2raw, tiny_isp.guided_raw2rgb)
    isp.rgb2raw = TooMuch()  # type: ignore[assignment]
    for clean_target in ("input", "cycle", "residual"):
        (pair,) = PairSynthesizer(LearnedCamera(isp, clean_target), LOUD)(random_photos(1, 16, 16), [0])
        for image in (pair.clean_raw, pair.noisy_raw, pair.clean_srgb, pair.noisy_srgb):
            assert image is not None
            assert 0 <= image.min() <= image.max() <= 1
        assert pair.clean_raw.min() == 0
        assert pair.clean_raw.max() == 1


@pytest.mark.parametrize(("error", "warns"), [(0.2, True), (0.0, False)])
def test_a_target_whose_errors_exceed_the_noise_is_warned_of_once(
    tiny_isp: CycleISP, error: float, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """These networks return the photo and a constant error, to which RAW adds noise alone."""

    class Grey(torch.nn.Linear):
        def forward(self, photos: Tensor) -> Tensor:
            return torch.full((len(photos), 4, photos.shape[2] // 2, photos.shape[3] // 2), 0.5)

    class Wrong(torch.nn.Module):
        def forward(self, packed: Tensor, photos: Tensor) -> Tensor:
            return photos + error + torch.nn.functional.interpolate(packed[:, :3] - 0.5, scale_factor=2)

    isp = copy.deepcopy(tiny_isp)
    isp.rgb2raw = Grey(1, 1)  # type: ignore[assignment]
    isp.guided_raw2rgb.color_correction = torch.nn.Identity()  # type: ignore[assignment]
    isp.guided_raw2rgb.raw2rgb = Wrong()  # type: ignore[assignment]
    make = PairSynthesizer(LearnedCamera(isp, "input"), QUIET)
    for seed in range(6):
        make(random_photos(1, 16, 16), [seed])
    words = "the networks' own errors exceed the noise"
    assert [words in record.message for record in caplog.records] == [True] * warns


def test_the_default_pair_differs_by_noise_alone(tiny_isp: CycleISP) -> None:
    photos = random_photos(1, 16, 16)
    camera = LearnedCamera(tiny_isp)
    raw = camera.expose(photos)
    clean, noisy = camera.develop(photos, raw, raw)  # no noise
    torch.testing.assert_close(clean, photos)
    torch.testing.assert_close(noisy, photos)


def test_the_clean_raw_is_rgb2raw_of_the_blurred_photo(tiny_isp: CycleISP) -> None:
    photos = random_photos(1, 12, 16)
    for sigma in (0.0, 1.0, 2.0):
        blurred = GaussianBlur(sigma, radius=2)(photos) if sigma else photos
        (pair,) = PairSynthesizer(LearnedCamera(tiny_isp), QUIET, blur_sigma=sigma)(photos, [0])
        torch.testing.assert_close(pair.clean_raw, tiny_isp.rgb2raw(blurred)[0].clamp(0, 1))


def test_an_odd_photo_is_seen_with_its_border_mirrored(tiny_isp: CycleISP) -> None:
    photos = random_photos(1, 9, 13)
    (odd,) = PairSynthesizer(LearnedCamera(tiny_isp), QUIET, blur_sigma=0)(photos, [0])
    (even,) = PairSynthesizer(LearnedCamera(tiny_isp), QUIET, blur_sigma=0)(pad_to_multiple(photos, 2), [0])
    torch.testing.assert_close(odd.clean_raw, even.clean_raw[:, :4, :6])
    assert odd.noisy_srgb is not None
    assert even.noisy_srgb is not None
    torch.testing.assert_close(odd.noisy_srgb, even.noisy_srgb[:, :9, :13])


# ---------------------------------------------------------------- what noise depends on


def noise_of(pair: NoisyCleanPair[Tensor]) -> Tensor:
    return pair.noisy_raw - pair.clean_raw


def test_the_noise_of_a_known_raw_depends_on_its_seed_alone_to_the_last_bit(tiny_isp: CycleISP) -> None:
    photos, raw, seeds = random_photos(4, 16, 20), random_raw(4, 8, 10), [5, 2**63 - 1, 0, 12345]
    synthesize = PairSynthesizer(LearnedCamera(tiny_isp), PROFILES["dnd"], with_srgb=False)
    together = synthesize(photos, seeds, raw)
    for order in ([0], [1], [3, 2], [2, 0, 1, 3], [3, 3]):
        for index, pair in zip(order, synthesize(photos[order], [seeds[i] for i in order], raw[order]), strict=True):
            assert torch.equal(pair.noisy_raw, together[index].noisy_raw)
            assert (pair.shot_noise, pair.read_noise) == (together[index].shot_noise, together[index].read_noise)


def test_the_noise_of_a_photo_depends_neither_on_its_batch_nor_on_its_place(tiny_isp: CycleISP) -> None:
    photos, seeds = random_photos(4, 16, 20), [5, 6, 0, 12345]
    synthesize = PairSynthesizer(LearnedCamera(tiny_isp), PROFILES["dnd"])
    together = synthesize(photos, seeds)
    for order in ([0], [3, 2], [2, 0, 1, 3]):
        for index, pair in zip(order, synthesize(photos[order], [seeds[i] for i in order]), strict=True):
            expected = together[index]
            assert (pair.shot_noise, pair.read_noise) == (expected.shot_noise, expected.read_noise)
            torch.testing.assert_close(noise_of(pair), noise_of(expected), atol=2e-6, rtol=0)
            assert pair.noisy_srgb is not None
            torch.testing.assert_close(pair.noisy_srgb, expected.noisy_srgb, atol=1e-5, rtol=0)


def test_another_seed_gives_other_levels_and_other_noise(tiny_isp: CycleISP) -> None:
    photos, raw = random_photos(1, 16, 16).expand(6, -1, -1, -1), random_raw(1, 8, 8).expand(6, -1, -1, -1)
    pairs = PairSynthesizer(LearnedCamera(tiny_isp), PROFILES["dnd"], with_srgb=False)(photos, range(6), raw)
    assert len({pair.shot_noise for pair in pairs}) == len({pair.read_noise for pair in pairs}) == 6
    fixed = PairSynthesizer(LearnedCamera(tiny_isp), QUIET, with_srgb=False)(photos, range(6), raw)
    whites = torch.stack([noise_of(pair).flatten() for pair in fixed])
    likeness = torch.corrcoef(whites) - torch.eye(6)
    assert likeness.abs().max() < 5 / math.sqrt(whites.shape[1])


def test_the_global_random_state_is_neither_used_nor_changed(tiny_isp: CycleISP) -> None:
    synthesize, photos = PairSynthesizer(LearnedCamera(tiny_isp), PROFILES["sidd"]), random_photos(1, 8, 8)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    (first,) = synthesize(photos, [3])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    (again,) = synthesize(photos, [3])
    assert torch.equal(first.noisy_raw, again.noisy_raw)


def test_the_levels_returned_are_those_asked_for(tiny_isp: CycleISP) -> None:
    (pair,) = PairSynthesizer(LearnedCamera(tiny_isp), FixedNoise(0.01, 0.0005))(random_photos(1, 8, 8), [0])
    assert pair.shot_noise == pytest.approx(0.01)
    assert pair.read_noise == pytest.approx(0.0005)
    low, high = PROFILES["sidd"].shot_range
    for seed in range(20):
        (pair,) = PairSynthesizer(LearnedCamera(tiny_isp), PROFILES["sidd"])(random_photos(1, 8, 8), [seed])
        assert low * 0.9999 <= pair.shot_noise <= high * 1.0001
        assert pair.read_noise > 0


# ---------------------------------------------------------------- the physics of the noise


@pytest.mark.parametrize("signal", [0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("noise", [QUIET, FixedNoise(3e-4, 0.0), FixedNoise(0.0, 2e-4)], ids=["both", "shot", "read"])
def test_mean_and_variance_follow_the_noise_level_function(
    tiny_isp: CycleISP, noise: FixedNoise, signal: float
) -> None:
    raw = torch.full((1, 4, 100, 100), signal)
    (pair,) = PairSynthesizer(LearnedCamera(tiny_isp), noise, with_srgb=False)(random_photos(1, 200, 200), [11], raw)
    drawn, count = noise_of(pair).double(), raw.numel()
    variance = noise.shot_noise * signal + noise.read_noise
    assert signal + 5 * math.sqrt(variance) < 1  # so small that nothing is clipped
    # The mean of n values has a standard deviation of sqrt(v / n), their variance one of v * sqrt(2
    # / (n - 1)).
    assert abs(drawn.mean()) < 5 * math.sqrt(variance / count)
    assert abs(drawn.var() / variance - 1) < 5 * math.sqrt(2 / (count - 1))


def test_noise_on_the_raw_of_a_photo_follows_its_signal_pixel_by_pixel(tiny_isp: CycleISP) -> None:
    (pair,) = PairSynthesizer(LearnedCamera(tiny_isp), QUIET, with_srgb=False)(random_photos(1, 200, 200), [4])
    clean = pair.clean_raw.double()
    deviation = (QUIET.shot_noise * clean + QUIET.read_noise).sqrt()
    inside = (clean > 6 * deviation) & (clean < 1 - 6 * deviation)
    assert inside.double().mean() > 0.9
    white = (noise_of(pair).double() / deviation)[inside]
    assert abs(white.mean()) < 5 / math.sqrt(white.numel())
    assert abs(white.var() - 1) < 5 * math.sqrt(2 / white.numel())


def test_neighbours_and_planes_are_independent(tiny_isp: CycleISP) -> None:
    raw = torch.full((1, 4, 100, 100), 0.5)
    (pair,) = PairSynthesizer(LearnedCamera(tiny_isp), QUIET, with_srgb=False)(random_photos(1, 200, 200), [8], raw)
    noise = noise_of(pair).double()
    planes = torch.corrcoef(noise.flatten(1)) - torch.eye(4)
    assert planes.abs().max() < 5 / 100
    for first, second in ((noise[:, 1:], noise[:, :-1]), (noise[:, :, 1:], noise[:, :, :-1])):
        likeness = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]
        assert abs(likeness) < 5 / math.sqrt(first.numel())


def test_no_noise_gives_no_difference(tiny_isp: CycleISP) -> None:
    (pair,) = PairSynthesizer(LearnedCamera(tiny_isp, "cycle"), FixedNoise(0.0, 0.0))(random_photos(1, 16, 16), [0])
    assert torch.equal(pair.noisy_raw, pair.clean_raw)
    assert pair.noisy_srgb is not None
    torch.testing.assert_close(pair.noisy_srgb, pair.clean_srgb)


# ---------------------------------------------------------------- the sRGB pair


@pytest.fixture(params=[0.0, 1.0], ids=["no blur", "blur"])
def blur_sigma(request: pytest.FixtureRequest) -> float:
    return request.param


def clean_photo(photos: Tensor, blur_sigma: float) -> Tensor:
    """Returns the photo (3, H, W) without its own noise, which is the reference of colours."""
    return (GaussianBlur(blur_sigma, radius=2)(photos) if blur_sigma else photos)[0]


def inside(*images: Tensor) -> Tensor:
    """Returns where none of the images is clipped."""
    return torch.stack([(image > 0) & (image < 1) for image in images]).all(dim=0)


def test_input_pairs_the_photo_with_raw2rgb_of_the_noisy_raw(tiny_isp: CycleISP, blur_sigma: float) -> None:
    photos = random_photos(1, 16, 20)
    (pair,) = PairSynthesizer(LearnedCamera(tiny_isp, "input"), LOUD, blur_sigma)(photos, [1])
    photo = clean_photo(photos, blur_sigma)
    torch.testing.assert_close(pair.clean_srgb, photo)
    torch.testing.assert_close(pair.noisy_srgb, rendered(tiny_isp, pair.noisy_raw, photo).clamp(0, 1))


def test_cycle_pairs_raw2rgb_of_clean_and_noisy_raw(tiny_isp: CycleISP, blur_sigma: float) -> None:
    photos = random_photos(1, 16, 20)
    (pair,) = PairSynthesizer(LearnedCamera(tiny_isp, "cycle"), LOUD, blur_sigma)(photos, [1])
    photo = clean_photo(photos, blur_sigma)
    torch.testing.assert_close(pair.clean_srgb, rendered(tiny_isp, pair.clean_raw, photo).clamp(0, 1))
    torch.testing.assert_close(pair.noisy_srgb, rendered(tiny_isp, pair.noisy_raw, photo).clamp(0, 1))


def test_residual_adds_what_the_noise_changes_in_raw2rgb_to_the_photo(tiny_isp: CycleISP, blur_sigma: float) -> None:
    photos = 0.1 + 0.8 * random_photos(1, 32, 40)
    (pair,) = PairSynthesizer(LearnedCamera(tiny_isp, "residual"), LOUD, blur_sigma)(photos, [1])
    photo = clean_photo(photos, blur_sigma)
    assert pair.noisy_srgb is not None
    torch.testing.assert_close(pair.clean_srgb, photo)
    noisy, clean = (rendered(tiny_isp, raw, photo) for raw in (pair.noisy_raw, pair.clean_raw))
    seen = inside(pair.noisy_srgb)
    assert seen.double().mean() > 0.9
    assert (noisy - clean).abs().max() > 0.02  # there is something to see
    torch.testing.assert_close((pair.noisy_srgb - photo)[seen], (noisy - clean)[seen], atol=2e-6, rtol=0)
    torch.testing.assert_close(pair.noisy_srgb, (photo + noisy - clean).clamp(0, 1), atol=2e-6, rtol=0)


def test_the_raw_pair_is_the_same_for_all_targets_and_without_srgb(tiny_isp: CycleISP) -> None:
    photos = random_photos(1, 16, 20)
    makers = [PairSynthesizer(LearnedCamera(tiny_isp, target), LOUD) for target in ("input", "cycle", "residual")]
    makers.append(PairSynthesizer(LearnedCamera(tiny_isp), LOUD, with_srgb=False))
    pairs = [replace(make(photos, [1])[0], clean_srgb=None, noisy_srgb=None) for make in makers]
    for pair in pairs:
        assert torch.equal(pair.clean_raw, pairs[0].clean_raw)
        assert torch.equal(pair.noisy_raw, pairs[0].noisy_raw)


def test_raw2rgb_is_not_run_for_raw_alone(tiny_isp: CycleISP) -> None:
    (pair,) = PairSynthesizer(LearnedCamera(without(tiny_isp, "guided_raw2rgb")), LOUD, with_srgb=False)(
        random_photos(1, 8, 8), [0]
    )
    assert pair.clean_srgb is None
    assert pair.noisy_srgb is None


# ---------------------------------------------------------------- known RAW


def test_known_raw_takes_the_place_of_rgb2raw_and_blur(tiny_isp: CycleISP) -> None:
    photos, raw = random_photos(2, 16, 20), random_raw(2, 8, 10)
    pairs = PairSynthesizer(LearnedCamera(without(tiny_isp, "rgb2raw"), "input"), QUIET)(photos, [0, 1], raw)
    for index, pair in enumerate(pairs):
        assert torch.equal(pair.clean_raw, raw[index])
        assert pair.clean_srgb is not None
        assert torch.equal(pair.clean_srgb, photos[index])  # a known RAW has noise of its own: nothing to blur away
        expected = rendered(tiny_isp, pair.noisy_raw, photos[index]).clamp(0, 1)
        torch.testing.assert_close(pair.noisy_srgb, expected)


def test_inputs_are_left_as_they_were(tiny_isp: CycleISP) -> None:
    photos, raw = random_photos(1, 8, 8), random_raw(1, 4, 4)
    copies = photos.clone(), raw.clone()
    PairSynthesizer(LearnedCamera(tiny_isp, "residual"), LOUD)(photos, [0], raw)
    PairSynthesizer(LearnedCamera(tiny_isp, "residual"), LOUD, blur_sigma=0)(photos, [0])
    assert torch.equal(photos, copies[0])
    assert torch.equal(raw, copies[1])


# ---------------------------------------------------------------- pairs for training


@pytest.mark.parametrize("clean_target", ["input", "cycle", "residual"])
def test_networks_can_be_trained_on_pairs(tiny_isp: CycleISP, clean_target: CleanTarget) -> None:
    """Tensors made under inference mode would raise as soon as autograd saves them."""
    photos = random_photos(2, 16, 16).requires_grad_()
    pairs = PairSynthesizer(LearnedCamera(tiny_isp, clean_target), QUIET)(photos, [0, 1])
    by_space = {
        4: [(pair.noisy_raw, pair.clean_raw) for pair in pairs],
        3: [(pair.noisy_srgb, pair.clean_srgb) for pair in pairs if pair.noisy_srgb is not None],
    }
    for channels, images in by_space.items():
        noisy, clean = (torch.stack(side) for side in zip(*images, strict=True))
        assert not noisy.requires_grad and not clean.requires_grad
        network = torch.nn.Sequential(torch.nn.Conv2d(channels, 8, 3, padding=1), torch.nn.Conv2d(8, channels, 1))
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
        losses = []
        for _ in range(3):
            loss = (network(noisy * 1) - clean).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[2] < losses[0]
        noisy[0, 0, 0, 0] = 0.5  # ordinary tensors may be changed, too


def test_gradients_reach_the_photo_through_the_learned_camera(tiny_isp: CycleISP) -> None:
    photos = (0.3 + 0.4 * random_photos(1, 8, 8)).requires_grad_()
    camera = LearnedCamera(tiny_isp, "cycle")
    raw = camera.expose(photos)
    clean, noisy = camera.develop(photos, raw, raw + 0.01)
    (clean.mean() + noisy.mean()).backward()
    assert photos.grad is not None and photos.grad.abs().max() > 0
