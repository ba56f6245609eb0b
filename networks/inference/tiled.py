"""Denoising one image of any size in bounded memory.

The networks themselves take images of any size, exactly (networks/fast/strips/strips.py). Where a tile is asked for,
and on Apple GPUs, for which there are no strips, the image is cut: a tile has a halo as wide as the network can see, so
all but one thing in it is as in the whole image, the channel attention, which pools over everything it is given.
Therefore a large image is passed twice. The first pass collects every block's pooled means, tile by tile; the second
gives every tile their average over the image. So no seam can show between tiles. The result still differs a little from
one pass over the whole image, since the first pass's means of later blocks were taken behind tile-wise attention of
earlier ones: docs/denoise.md has the figures.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cycleisp.networks.blocks import GlobalMean
from cycleisp.networks.denoiser import RawDenoiser, SrgbDenoiser
from cycleisp.utils.devices import computing
from cycleisp.utils.padding import pad_to_multiple

Window = tuple[slice, slice]
MPS_TILE = 1024  # pixels


class TiledDenoiser:
    """A denoiser for one image of any size at a time.

    Args:
        network: on the device to compute on, in evaluation mode.
        tile: side of a tile without its halo, in pixels of the network's input; images up to twice the halo larger
            pass whole. None passes every image whole, but takes MPS_TILE on Apple GPUs.
        precision: float32, tf32, bf16 or fp16.

    Raises:
        ValueError: on call, for images with NaN, another number of channels, or no pixel.
    """

    def __init__(
        self, network: SrgbDenoiser | RawDenoiser, tile: int | None = None, precision: str = "float32"
    ) -> None:
        self.network, self.halo, self.precision = network, network.halo, precision
        self.device = next(network.parameters()).device
        if tile is None and self.device.type == "mps":
            tile = MPS_TILE
        self.tile = tile and max(1, tile // network.multiple) * network.multiple

    @torch.inference_mode()
    def __call__(self, noisy: Tensor, variance: Tensor | None = None) -> Tensor:
        """Denoise one image; the result lies on the CPU.

        Args:
            noisy: (1, C, H, W) in [0, 1].
            variance: of the same shape, for RAW.

        Returns:
            (1, C, H, W) in [0, 1].
        """
        if isinstance(self.network, RawDenoiser) == (variance is None):
            raise ValueError("a RawDenoiser needs the noise variance, an SrgbDenoiser takes none")
        inputs = [noisy] if variance is None else [noisy, variance]
        for image in inputs:
            if not torch.isfinite(image).all():
                raise ValueError("the image holds NaN or infinite values")
            if image.ndim != 4 or image.shape[0] != 1 or not image.numel():
                raise ValueError(f"expected one image (1, C, H, W) with pixels, got {tuple(image.shape)}")
        height, width = noisy.shape[2:]
        padded = [pad_to_multiple(image, self.network.multiple) for image in inputs]
        if self.tile is None or max(padded[0].shape[2:]) <= self.tile + 2 * self.halo:
            denoised = self._run(padded, (slice(None), slice(None)))
        else:
            with _plain_modules(self.network):
                denoised = self._tiled(padded, self.tile)
        return denoised[..., :height, :width].clamp(0, 1)

    def _tiled(self, inputs: list[Tensor], tile: int) -> Tensor:
        pools = [module for module in self.network.modules() if isinstance(module, GlobalMean)]
        padded_height, padded_width = inputs[0].shape[2:]
        windows = list(tiles(padded_height, padded_width, tile))
        totals = [torch.zeros(()) for _ in pools]
        for window in windows:
            grown = _grown(window, self.halo)
            with _observed(pools, _inside(window, grown, self.network.multiple)) as seen:
                self._run(inputs, grown)
            area = float(_length(window[0]) * _length(window[1]))
            totals = [total + area * mean for total, mean in zip(totals, seen, strict=True)]
        area = float(padded_height * padded_width)
        result = torch.empty_like(inputs[0])
        with _replaced(pools, [total / area for total in totals]):
            for window in windows:
                grown = _grown(window, self.halo)
                denoised = self._run(inputs, grown)
                result[(..., *window)] = denoised[(..., *_inside(window, grown))]
        return result

    def _run(self, inputs: list[Tensor], window: Window) -> Tensor:
        parts = [image[(..., *window)].to(self.device) for image in inputs]
        with computing(self.precision, self.device):
            return self.network(*parts).float().cpu()


def tiles(height: int, width: int, size: int) -> Iterator[Window]:
    """Windows (rows, columns) that cover an image once; those at its end are smaller."""
    for top in range(0, height, size):
        for left in range(0, width, size):
            yield slice(top, min(top + size, height)), slice(left, min(left + size, width))


def _grown(window: Window, halo: int) -> Window:
    """A window with its halo; slices may end beyond the image, and begin at 0 at the earliest."""
    rows, columns = (slice(max(0, part.start - halo), part.stop + halo) for part in window)
    return rows, columns


def _inside(window: Window, grown: Window, multiple: int = 1) -> Window:
    """Where a window lies in its grown one, in units of `multiple` pixels."""
    rows, columns = (
        slice((part.start - whole.start) // multiple, (part.stop - whole.start) // multiple)
        for part, whole in zip(window, grown, strict=True)
    )
    return rows, columns


def _length(part: slice) -> int:
    return part.stop - part.start


@contextmanager
def _plain_modules(network: SrgbDenoiser | RawDenoiser) -> Iterator[None]:
    """Inside, the network calls its pools one by one, which the two passes look into and replace."""
    before, network.deep.whole = network.deep.whole, True
    try:
        yield
    finally:
        network.deep.whole = before


@contextmanager
def _observed(pools: Sequence[nn.Module], core: Window) -> Iterator[list[Tensor]]:
    """Inside, the list holds each pool's last mean over `core`, on the CPU: without the halo, which others count."""
    seen = [torch.zeros(()) for _ in pools]

    def observer(index: int):  # type: ignore[no-untyped-def]
        def remember(pool: nn.Module, inputs: tuple[Tensor], _output: Tensor) -> None:
            seen[index] = pool.forward(inputs[0][(..., *core)]).float().cpu()

        return remember

    handles = [pool.register_forward_hook(observer(index)) for index, pool in enumerate(pools)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _replaced(pools: Sequence[nn.Module], means: list[Tensor]) -> Iterator[None]:
    """Inside, each pool gives out its entry of `means`."""

    def replacement(mean: Tensor):  # type: ignore[no-untyped-def]
        return lambda _module, _inputs, output: mean.to(output)

    handles = [pool.register_forward_hook(replacement(mean)) for pool, mean in zip(pools, means, strict=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
