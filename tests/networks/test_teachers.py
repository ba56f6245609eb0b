"""Teachers give the mean of their results, without gradients; the loss goes to it by its share."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cycleisp.networks import RawDenoiser, SrgbDenoiser
from cycleisp.networks.objectives import DenoiserObjective
from cycleisp.networks.teachers import Teachers, open_teachers, turn, turn_back, ways_of
from cycleisp.utils.errors import UserError
from cycleisp.utils.weights.files import save_weights

SIZES = {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 2}
CPU = torch.device("cpu")


def image(channels: int, seed: int) -> Tensor:
    return torch.rand(2, channels, 8, 10, generator=torch.Generator().manual_seed(seed))


def stored(path: Path, seed: int) -> SrgbDenoiser:
    """Makes a small denoiser with a strong correction, and its file."""
    torch.manual_seed(seed)
    network = SrgbDenoiser(**SIZES).eval()
    network.tail.weight.data *= 20
    save_weights(path, network, {"network": "SrgbDenoiser", "sizes": {"denoiser": SIZES}})
    return network


def test_the_mean_of_several_is_taught(tmp_path: Path) -> None:
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    networks = [stored(path, seed) for seed, path in enumerate(paths)]
    teachers = open_teachers(paths, "srgb", CPU)
    noisy = image(3, 0)
    assert teachers is not None
    taught = teachers({"noisy": noisy})
    expected = sum((network(noisy).clamp(0, 1) for network in networks), torch.zeros(())) / 2
    torch.testing.assert_close(taught, expected.detach(), atol=1e-6, rtol=0)
    assert not taught.requires_grad
    assert all((taught - network(noisy)).abs().max() > 0.01 for network in networks)


def test_turned_teachers_give_what_they_make_of_turned_images(tmp_path: Path) -> None:
    """With two teachers: an image in its way for the first, and in the next way for the second."""
    networks = [stored(tmp_path / f"{seed}.safetensors", seed) for seed in range(2)]
    noisy = torch.rand(9, 3, 12, 12, generator=torch.Generator().manual_seed(3))
    taught = Teachers(networks, turned=True)({"noisy": noisy})
    for photo, result, way in zip(noisy, taught, ways_of(noisy), strict=True):
        expected = torch.zeros_like(photo)
        for number, network in enumerate(networks):
            way_here = (way + number) % 8
            seen = torch.rot90(photo.flip(-1) if way_here >= 4 else photo, way_here % 4, (-2, -1))
            there = network(seen[None]).clamp(0, 1)[0].detach()
            back = torch.rot90(there, -way_here, (-2, -1))
            expected += (back.flip(-1) if way_here >= 4 else back) / 2
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)
    upright = Teachers(networks)({"noisy": noisy})
    assert (taught - upright).abs().max() > 1e-3


def test_images_come_in_all_ways_and_each_always_in_the_same() -> None:
    noisy = torch.rand(400, 3, 6, 6, generator=torch.Generator().manual_seed(5))
    ways = ways_of(noisy)
    counts = [ways.count(way) for way in range(8)]
    assert sum(counts) == 400 and min(counts) > 50 - 4 * 6.7  # of a binomial distribution with mean 50
    assert ways_of(noisy[7:8]) == ways[7:8]


@pytest.mark.parametrize("way", range(8))
def test_turning_back_undoes_turning(way: int) -> None:
    photo = torch.arange(27.0).reshape(3, 3, 3)
    assert torch.equal(turn_back(turn(photo, way), way), photo)


def test_the_eight_ways_differ() -> None:
    photo = torch.arange(9.0).reshape(1, 3, 3)
    assert len({tuple(turn(photo, way).flatten().tolist()) for way in range(8)}) == 8


def test_teachers_are_not_turned_for_raw_or_oblong_images(tmp_path: Path) -> None:
    network = stored(tmp_path / "a.safetensors", 0)
    with pytest.raises(UserError, match="Bayer pattern"):
        open_teachers(["compact_raw"], "raw", CPU, turned=True)
    with pytest.raises(ValueError, match="square"):
        Teachers([network], turned=True)({"noisy": image(3, 0)})


def test_teachers_of_raw_see_the_variance() -> None:
    torch.manual_seed(0)
    network = RawDenoiser(**SIZES, stabilized=True).eval()
    noisy, variance = image(4, 1), 1e-3 * image(4, 2)
    taught = Teachers([network])({"noisy": noisy, "variance": variance})
    torch.testing.assert_close(taught, network(noisy, variance).clamp(0, 1).detach(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_target_goes_to_the_teachers_by_the_share(share: float) -> None:
    """Where every clean value is 0.5 and every taught one 0.9, the target is 0.5 + 0.4 share."""
    clean = torch.full((1, 3, 4, 4), 0.5)
    objective = DenoiserObjective(teachers=lambda batch: torch.full_like(batch["noisy"], 0.9), teachers_share=share)
    output = torch.full_like(clean, 0.5 + 0.4 * share + 0.01).requires_grad_()
    loss = objective.loss({"clean": output}, {"noisy": clean, "clean": clean})
    assert loss.item() == pytest.approx(0.01, rel=1e-4)


def test_no_names_are_no_teachers() -> None:
    assert open_teachers([], "srgb", CPU) is None


def test_a_teacher_must_be_a_denoiser_of_the_space(tmp_path: Path) -> None:
    stored(tmp_path / "srgb.safetensors", 0)
    with pytest.raises(UserError, match="SrgbDenoiser"):
        open_teachers([tmp_path / "srgb.safetensors"], "raw", CPU)
    with pytest.raises(UserError, match="neither a file nor shipped weights"):
        open_teachers(["no_such_weights"], "srgb", CPU)
