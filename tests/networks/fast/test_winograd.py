"""Winograd's convolutions are convolutions, and trunks that use them give what the modules give."""

import logging
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cycleisp.networks import Rgb2Raw, SrgbDenoiser
from cycleisp.networks.fast.strips import bands, convolutions, winograd
from tests.support.trunks import CASES, Memory, network, plainly, usually

SIZES = [(1, 1), (1, 7), (4, 4), (5, 3), (8, 9), (13, 50)]


def rows_and_weights(inputs: int, outputs: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(1, inputs, height + 2, width, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(outputs, inputs, 3, 3, generator=generator) / (3 * inputs**0.5)
    return rows, weight, torch.randn(outputs, generator=generator)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("inputs", "outputs"), [(64, 64), (5, 12), (1, 1)])
def test_it_is_a_convolution(inputs: int, outputs: int, size: tuple[int, int]) -> None:
    """The bound is 30 times the rounding error of the largest result in float32."""
    rows, weight, bias = rows_and_weights(inputs, outputs, *size)
    expected = F.conv2d(rows.double(), weight.double(), bias.double(), padding=(0, 1))
    found = winograd.convolution(weight, bias)(rows)
    assert found.shape == expected.shape and found.is_contiguous(memory_format=torch.channels_last)
    assert (found - expected).abs().max() < 30 * 2**-24 * max(1, float(expected.abs().max()))


def test_a_prelu_may_follow_and_the_result_may_have_a_place() -> None:
    rows, weight, bias = rows_and_weights(6, 8, 9, 14)
    slopes = torch.linspace(-0.5, 1.5, 8)
    expected = F.prelu(F.conv2d(rows, weight, bias, padding=(0, 1)), slopes)
    place = torch.full((9 * 14 + 1, 8), 7.0)
    found = winograd.convolution(weight, bias, slopes)(rows, place[:-1])
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(place[:-1], found[0].permute(1, 2, 0).reshape(-1, 8)) and (place[-1] == 7).all()


def test_what_is_no_number_shows_where_it_lies() -> None:
    rows, weight, bias = rows_and_weights(4, 4, 12, 12)
    rows[0, 2, 6, 5] = torch.nan
    found = winograd.convolution(weight, bias, torch.ones(4))(rows)
    assert found[0, :, 4:7, 4:7].isnan().all()
    assert found[0, :, :, 8:].isfinite().all()  # other tiles


def test_it_runs_in_every_mode_after_every_other() -> None:
    rows, weight, bias = rows_and_weights(4, 4, 6, 6)
    convolve = winograd.convolution(weight, bias)
    results = []
    for mode in (torch.inference_mode, torch.no_grad, torch.inference_mode):
        with mode():
            results.append(convolve(rows).clone())
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


# ---------------------------------------------------------------- trunks


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Makes any network take Winograd's convolutions. The list has an entry for each one."""
    ran: list[int] = []
    ready = convolutions.winograd

    def counted(*args: Tensor) -> convolutions.Convolution:
        ran.append(1)
        return ready(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(convolutions, "winograd", counted)
    monkeypatch.setattr(convolutions, "FEWEST_CHANNELS", 0)
    monkeypatch.setattr(convolutions, "FEWEST_PRODUCTS", 0)
    threads = torch.get_num_threads()
    yield ran
    torch.set_num_threads(threads)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_trunks_give_what_the_modules_give(
    case: str, threads: int, always: list[int], memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "STRIP_BYTES", 2500)
    torch.set_num_threads(threads)
    make, call = CASES[case]
    net = network(make)
    for size in ((53, 12), (1, 1), (7, 5)):
        memory(*size)
        expected = plainly(net, call, 2, *size)
        spread = max(expected.std().item(), 1e-2)  # one pixel has none
        assert (usually(net, call, 2, *size) - expected).abs().max().item() < 1e-4 * spread
    assert always and torch.get_num_threads() == threads


def test_the_number_of_threads_changes_no_bit(
    always: list[int], memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "STRIP_BYTES", 2500)
    memory(50, 40)
    make, call = CASES["srgb denoiser"]
    net, results = network(make), []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        results.append(usually(net, call, 1, 50, 40))
    assert always
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.parametrize("build", [SrgbDenoiser, Rgb2Raw])
def test_the_papers_widths_take_it_by_themselves(
    build: Callable[..., torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    net, image = build(num_groups=1, num_blocks=1).eval().requires_grad_(False), torch.rand(1, 3, 150, 146)
    expected = net(image)
    with torch.inference_mode():
        assert (net(image) - expected).abs().max() < 1e-4 * expected.std()
        monkeypatch.setattr(convolutions, "winograd", lambda *_: pytest.fail("Winograd's"))
        net(image[..., :80, :80])  # too small
        with pytest.raises(pytest.fail.Exception, match="Winograd's"):
            net(image)


def test_it_is_not_for_all() -> None:
    image, pixels = torch.rand(1, 3, 150, 150), 150 * 150
    assert convolutions.winograd_wins(image, 64, pixels)
    assert not convolutions.winograd_wins(image, 64, pixels // 4)
    assert not convolutions.winograd_wins(image.double(), 64, pixels)
    assert not convolutions.winograd_wins(image.to("meta"), 64, pixels)
    assert not convolutions.winograd_wins(image, 16, 100 * pixels)
    with torch.autocast("cpu", torch.bfloat16):
        assert not convolutions.winograd_wins(image, 64, pixels)


def test_without_numba_convolutions_are_direct(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    convolutions._winograd.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "cycleisp.networks.fast.strips.winograd", None)
    monkeypatch.delattr("cycleisp.networks.fast.strips.winograd")
    with caplog.at_level(logging.WARNING):
        assert not convolutions.winograd_wins(torch.rand(1, 3, 150, 150), 64, 150 * 150)
    assert "networks run without Winograd's convolutions, which would be faster" in caplog.text
    convolutions._winograd.cache_clear()


def test_an_error_in_a_strip_is_raised_and_threads_come_back(always: list[int]) -> None:
    torch.set_num_threads(3)
    net = network(CASES["srgb denoiser"][0])
    net.tail.register_forward_pre_hook(lambda *_: 1 / 0)  # type: ignore[union-attr,operator]
    with torch.inference_mode(), pytest.raises(ZeroDivisionError):
        net(torch.rand(1, 3, 40, 40))
    assert torch.get_num_threads() == 3
