"""Denoising one image of any size in bounded memory.

On CPUs and CUDA GPUs the networks themselves take images of any size, exactly (networks/fast). An
image is cut into tiles if a tile size is given, and on Apple GPUs, for which there is no fast way.
A tile has a halo as wide as the network can see. So everything in it is as in the whole image,
except for the channel attention of the paper's networks, which pools over all of its input.

For those, a large image is passed twice. The first pass collects the pooled means of every block,
tile by tile. The second pass gives their averages over the image to every tile, so that no seam can
show between tiles. The result still differs a little from one pass over the whole image: in the
first pass the means of later blocks were taken behind tile-wise attention of earlier blocks.
docs/lab/performance.md has the figures.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cycleisp.networks import acceleration
from cycleisp.networks.blocks import GlobalMean
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.gated_denoiser import GatedBlock
from cycleisp.utils.devices import available_memory, computing
from cycleisp.utils.padding import pad_to_multiple
from cycleisp.utils.steps import steps

Window = tuple[slice, slice]
MPS_TILE = 1024  # pixels
LARGE_TILE = 2048  # pixels, of images that do not fit into memory whole
# Bytes a pixel beside the features, of an image that passes whole, with reading and writing: copies
# of it on its way. Measured as 27 for photos of 8 bits and 32 for 16 (docs/lab/performance.md). A
# packed pixel of RAW is four photosites, each with a variance.
WHOLE_BYTES = {"srgb": 40, "raw": 170}
_ROWS = 128  # that are looked at, at a time
log = logging.getLogger(__name__)


class TiledDenoiser:
    """Denoises one image of any size at a time.

    Args:
        network: in evaluation mode, on the device that it shall compute on.
        tile: side of a tile without its halo, in pixels of the network's input. Images whose sides
            are at most a tile and two halos pass whole. None passes every image whole, except on
            Apple GPUs, where it means MPS_TILE, and except for an image for which this machine has
            not the memory: tiles of LARGE_TILE then, and a line in the log.
        precision: float32, tf32, bf16 or fp16.

    Raises:
        ValueError: on call, if an image holds NaN, has another number of channels, or has no pixel.
    """

    def __init__(self, network: Denoiser, tile: int | None = None, precision: str = "float32") -> None:
        self.network, self.halo, self.precision = network, network.halo, precision
        self.device = next(network.parameters()).device
        self.pools = [module for module in network.modules() if isinstance(module, GlobalMean)]
        if tile is None and self.device.type == "mps":
            tile = MPS_TILE
        self.tile = tile and max(1, tile // network.multiple) * network.multiple

    @torch.no_grad()
    def __call__(self, noisy: Tensor, variance: Tensor | None = None) -> Tensor:
        """Denoises one image and returns the result on the CPU.

        Args:
            noisy: (1, C, H, W) in [0, 1].
            variance: of the same shape, for RAW.

        Returns:
            (1, C, H, W) in [0, 1].
        """
        if (self.network.space == "raw") == (variance is None):
            raise ValueError("a denoiser of RAW needs the noise variance, one of sRGB takes none")
        inputs = [noisy] if variance is None else [noisy, variance]
        for image in inputs:
            if image.ndim != 4 or image.shape[0] != 1 or not image.numel():
                raise ValueError(f"expected one image (1, C, H, W) with pixels, got {tuple(image.shape)}")
            # some rows at a time, since the question takes more memory than the image
            if not all(torch.isfinite(rows).all() for rows in image.split(_ROWS, dim=2)):
                raise ValueError("the image holds NaN or infinite values")
        height, width = noisy.shape[2:]
        padded = [pad_to_multiple(image, self.network.multiple) for image in inputs]
        tile = self.tile or self._tile_for_memory(height, width)
        if tile is None or max(padded[0].shape[2:]) <= tile + 2 * self.halo:
            with _told(self.network):
                denoised = self._run(padded, (slice(None), slice(None)))
        elif self.pools:
            with acceleration.fast(enabled=False):  # both passes need hooks inside the trunk
                denoised = self._in_two_passes(padded, tile)
        else:
            denoised = self._in_one_pass(padded, tile)
        return denoised[..., :height, :width].clamp_(0, 1)

    def _tile_for_memory(self, height: int, width: int) -> int | None:
        """Returns the tile for an image that does not fit into memory whole, or None."""
        available = available_memory()
        pixels = height * width
        needed = pixels * WHOLE_BYTES[self.network.space] + self.network.feature_memory(pixels)
        if self.device.type != "cpu" or available is None or needed <= available:
            return None
        log.info(
            "%dx%d pixels: %.0f GB are needed to denoise them whole, %.0f GB are free; in tiles of %d pixels",
            *(width, height, needed / 1e9, available / 1e9, LARGE_TILE),
        )
        return LARGE_TILE

    def _in_one_pass(self, inputs: list[Tensor], tile: int) -> Tensor:
        result = torch.empty_like(inputs[0])
        height, width = inputs[0].shape[2:]
        windows = list(tiles(height, width, tile))
        with steps(len(windows)) as step:
            for window in windows:
                grown = _grown(window, self.halo)
                result[(..., *window)] = self._run(inputs, grown)[(..., *_inside(window, grown))]
                step()
        return result

    def _in_two_passes(self, inputs: list[Tensor], tile: int) -> Tensor:
        padded_height, padded_width = inputs[0].shape[2:]
        windows = list(tiles(padded_height, padded_width, tile))
        totals = [torch.zeros(()) for _ in self.pools]
        with steps(2 * len(windows)) as step:
            for window in windows:
                grown = _grown(window, self.halo)
                with _observed(self.pools, _inside(window, grown, self.network.multiple)) as seen:
                    self._run(inputs, grown)
                area = float(_length(window[0]) * _length(window[1]))
                totals = [total + area * mean for total, mean in zip(totals, seen, strict=True)]
                step()
            area = float(padded_height * padded_width)
            result = torch.empty_like(inputs[0])
            with _replaced(self.pools, [total / area for total in totals]):
                for window in windows:
                    grown = _grown(window, self.halo)
                    denoised = self._run(inputs, grown)
                    result[(..., *window)] = denoised[(..., *_inside(window, grown))]
                    step()
        return result

    def _run(self, inputs: list[Tensor], window: Window) -> Tensor:
        parts = [image[(..., *window)].to(self.device) for image in inputs]
        with computing(self.precision, self.device):
            return self.network(*parts).float().cpu()


def tiles(height: int, width: int, size: int) -> Iterator[Window]:
    """Yields windows (rows, columns) that cover an image once. Those at its end are smaller."""
    for top in range(0, height, size):
        for left in range(0, width, size):
            yield slice(top, min(top + size, height)), slice(left, min(left + size, width))


def _grown(window: Window, halo: int) -> Window:
    """Returns a window with its halo. It is cut at 0, but may end beyond the image."""
    rows, columns = (slice(max(0, part.start - halo), part.stop + halo) for part in window)
    return rows, columns


def _inside(window: Window, grown: Window, multiple: int = 1) -> Window:
    """Returns where a window lies in its grown one, in units of `multiple` pixels."""
    rows, columns = (
        slice((part.start - whole.start) // multiple, (part.stop - whole.start) // multiple)
        for part, whole in zip(window, grown, strict=True)
    )
    return rows, columns


def _length(part: slice) -> int:
    return part.stop - part.start


@contextmanager
def _told(network: Denoiser) -> Iterator[None]:
    """Counts each gated block as a step. The trunks of the paper's networks count their own."""
    blocks = [module for module in network.modules() if isinstance(module, GatedBlock)]
    if not blocks:
        yield
        return
    with steps(len(blocks)) as step:
        handles = [block.register_forward_hook(lambda *_: step()) for block in blocks]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@contextmanager
def _observed(pools: Sequence[nn.Module], core: Window) -> Iterator[list[Tensor]]:
    """Yields a list that holds the last mean of each pool over `core`, on the CPU.

    The core is the tile excluding the halo, which neighbouring tiles count.
    """
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
    """Makes each pool return its entry of `means` inside of the block."""

    def replacement(mean: Tensor):  # type: ignore[no-untyped-def]
        return lambda _module, _inputs, output: mean.to(output)

    handles = [pool.register_forward_hook(replacement(mean)) for pool, mean in zip(pools, means, strict=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
