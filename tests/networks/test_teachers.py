"""Teachers give the mean of their results, without gradients; the loss goes to it by its share."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cycleisp.networks import RawDenoiser, SrgbDenoiser
from cycleisp.networks.objectives import DenoiserObjective
from cycleisp.networks.teachers import Teachers, open_teachers
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
