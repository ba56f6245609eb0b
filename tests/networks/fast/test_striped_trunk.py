"""Strips give what a pass over the whole image gives, wherever features are kept."""

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks import SrgbDenoiser
from cycleisp.networks.fast.strips import bands, feature_maps, striped_trunk
from cycleisp.networks.fast.strips.attention import TapSums
from cycleisp.networks.fast.strips.feature_maps import FeatureMap, InMemory, OnHost, make_maps
from tests.support import trunks
from tests.support.trunks import CASES, SMALL, Memory, image, network, plainly, pretended_gpu, usually

SIZES = [(24, 30), (1, 1), (1, 7), (9, 2), (8, 8), (17, 12)]


def check(case: str, size: tuple[int, int], rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "STRIP_BYTES", 1)
    monkeypatch.setattr(bands, "FEWEST_ROWS", rows)
    make, call = CASES[case]
    net = network(make)
    expected = plainly(net, call, 2, *size)
    spread = max(expected.std().item(), 1e-2)  # one pixel has none
    assert (usually(net, call, 2, *size) - expected).abs().max().item() < 1e-4 * spread


@pytest.mark.parametrize("case", CASES)
def test_strips_equal_the_whole(case: str, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory(17, 12)
    check(case, (17, 12), 5, monkeypatch)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("count", [2, 8, 1000])
def test_any_size_in_any_strips(
    size: tuple[int, int], count: int, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory(*size)
    check("srgb denoiser", size, count, monkeypatch)


def test_strips_of_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "STRIP_BYTES", 1)
    monkeypatch.setattr(bands, "FEWEST_ROWS", 1)
    make, call = CASES["srgb denoiser"]
    net = network(make)
    for fit in (0, 1, 2, 3):
        monkeypatch.setattr(feature_maps, "FEATURE_MEMORY", fit * 4 * 8 * 12 * 10)
        assert torch.allclose(usually(net, call, 1, 12, 10), plainly(net, call, 1, 12, 10), atol=1e-5)


def test_the_input_is_left_alone() -> None:
    net = network(CASES["srgb denoiser"][0])
    noisy = image(1, 3, 16, 16)
    before = noisy.clone()
    with torch.inference_mode():
        net(noisy)
    assert torch.equal(noisy, before)


def test_gradients_pass_the_plain_modules() -> None:
    """With autograd nothing is computed in place: every parameter gets its gradient."""
    torch.manual_seed(0)
    net = SrgbDenoiser(**SMALL)
    net(image(1, 3, 12, 12)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_the_pooled_mean_is_that_of_the_convolution() -> None:
    """The image has a strong border, where padding shows, and it is counted in strips."""
    conv = nn.Conv2d(4, 5, 3, padding=1)
    hidden = torch.randn(1, 4, 9, 7, generator=torch.Generator().manual_seed(3))
    hidden[:, :, 0] += 5
    hidden[:, :, :, -1] -= 7
    sums = TapSums(4)
    for first, end in ((0, 4), (4, 8), (8, 9)):
        sums.add(hidden[:, :, first:end], first == 0, end == 9)
    with torch.no_grad():
        assert torch.allclose(sums.mean_of(conv, 63), conv(hidden).mean(dim=(0, 2, 3)), atol=1e-5)


def test_features_on_disk_leave_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(feature_maps, "FEATURE_MEMORY", 0)
    make, call = CASES["srgb denoiser"]
    usually(network(make), call, 1, 12, 10)
    assert not list(tmp_path.iterdir())  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["srgb denoiser", "rgb2raw"])
def test_without_onednns_packed_products_the_result_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, call = CASES[name]
    net = network(make)
    usual = usually(net, call, 2, 17, 12)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    without = usually(net, call, 2, 17, 12)
    assert (usual - without).abs().max() < 1e-4 * usual.std()


# ---------------------------------------------------------------- on a GPU, as far as a machine
# without one can tell


def pretend_gpu_memory(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(feature_maps, "memory_for_maps", lambda _device: size)
    monkeypatch.setattr(striped_trunk, "fits", lambda asked, _device: asked <= size)


@pytest.mark.parametrize("fit", [0, 1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_a_large_image_on_a_gpu_stays_there(case: str, fit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes and devices are those of a GPU, without data; mixing two devices is an error."""
    elsewhere = {
        0: (OnHost, type(None), OnHost),
        1: (InMemory, type(None), OnHost),
        2: (InMemory, type(None), InMemory),
    }

    def limited(
        height: int, width: int, channels: int, like: Tensor
    ) -> tuple[FeatureMap, FeatureMap | None, FeatureMap]:
        pretend_gpu_memory(monkeypatch, fit * 4 * height * width * channels)
        maps = make_maps(height, width, channels, like)
        assert tuple(map(type, maps)) == elsewhere.get(fit, (InMemory, InMemory, InMemory))
        return maps

    monkeypatch.setattr(bands, "GPU_STRIP_BYTES", 1)
    monkeypatch.setattr(striped_trunk, "make_maps", limited)
    monkeypatch.setattr(trunks, "image", lambda *shape, seed=0: torch.rand(shape))
    pretend_gpu_memory(monkeypatch, 0)
    make, call = CASES[case]
    with pretended_gpu(), torch.inference_mode():
        assert call(make().requires_grad_(False), 1, 17, 12).device.type == "cuda"


def test_a_small_image_on_a_gpu_passes_the_plain_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips are for images that do not fit."""
    monkeypatch.setattr(striped_trunk, "_one_image", lambda *_: pytest.fail("by strips"))
    fits = striped_trunk.PLAIN_MAPS * 2 * 4 * 8 * 16 * 16  # two images of 16x16, 8 channels of 4 bytes
    with pretended_gpu(), torch.inference_mode():
        net, images = SrgbDenoiser(**SMALL).requires_grad_(False), torch.rand(2, 3, 16, 16)
        pretend_gpu_memory(monkeypatch, fits)
        assert net(images).shape == images.shape
        monkeypatch.setattr(striped_trunk, "_MOST_VALUES", 2 * 2 * 8 * 16 * 16 + 1)
        assert net(images).shape == images.shape
        monkeypatch.setattr(striped_trunk, "_MOST_VALUES", 2 * 2 * 8 * 16 * 16)
        with pytest.raises(pytest.fail.Exception, match="by strips"):
            net(images)
        monkeypatch.undo()
        monkeypatch.setattr(striped_trunk, "_one_image", lambda *_: pytest.fail("by strips"))
        pretend_gpu_memory(monkeypatch, fits - 1)
        with pytest.raises(pytest.fail.Exception, match="by strips"):
            net(images)


def test_maps_on_the_host_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU keeps maps there that it has no room for; here the device is the host itself."""
    monkeypatch.setattr(bands, "STRIP_BYTES", 1)
    make, call = CASES["srgb denoiser"]
    net = network(make)
    expected = plainly(net, call, 2, 24, 30)

    def on_host(height: int, width: int, channels: int, like: Tensor) -> tuple[OnHost, None, OnHost]:
        return OnHost(height, width, channels, like), None, OnHost(height, width, channels, like)

    monkeypatch.setattr(striped_trunk, "make_maps", on_host)
    assert (usually(net, call, 2, 24, 30) - expected).abs().max() < 1e-4 * expected.std()


def test_in_half_precision_strips_are_as_close_as_the_plain_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """With autocast features are stored in the half type, but no sum is taken in it."""
    monkeypatch.setattr(bands, "STRIP_BYTES", 1)
    make, call = CASES["rgb2raw"]
    net = network(make)
    exact = plainly(net, call, 1, 24, 30)
    with torch.autocast("cpu", torch.bfloat16):
        plain = plainly(net, call, 1, 24, 30)
        monkeypatch.setattr(striped_trunk, "suits", lambda *_: True)
        halved = usually(net, call, 1, 24, 30)
    assert halved.dtype == plain.dtype == torch.bfloat16
    assert (halved - exact).square().mean() < 1.5 * (plain - exact).square().mean()


def test_memory_of_a_gpu_counts_what_pytorch_holds_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 200)
    found = feature_maps.memory_for_maps(torch.device("cuda"))
    assert found == int(feature_maps.GPU_SHARE * 1500)
    assert feature_maps.memory_for_maps(torch.device("cpu")) == feature_maps.FEATURE_MEMORY
