"""Denoisers in ONNX files as export_onnx.py writes them, run by ONNX Runtime: no PyTorch is needed.

The file itself says what it takes: RAW or photos, one size or any, its tiles and its halo
(networks/onnx_files/contracts.py). Images are cut as docs/guides/onnx.md has it, so that tiles
come out as the whole image does.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.images import Space
from cycleisp.utils.steps import steps

if TYPE_CHECKING:  # of an extra, which need not be installed
    from onnxruntime import InferenceSession

WHOLE = 2048  # pixels: larger images pass in tiles of this side where nothing is given
_ADVICE = "give a denoiser that export_onnx.py has written"
_CHANNELS: dict[int, Space] = {3: "srgb", 4: "raw"}
_SIZE = re.compile(r"(\d+)x(\d+) of noisy, batch 1")

Cut = tuple[int, int, int]  # where a tile begins; from where to where in it is kept


@dataclass(frozen=True)
class OnnxDenoiser:
    """Denoises one image of any size at a time, with an ONNX file.

    Attributes:
        session: that of ONNX Runtime.
        space: "srgb" or "raw".
        takes_variance: whether the file has a second input, the variance of RAW.
        multiple: what the sides of tiles, and the places where they begin, are multiples of.
        halo: how far around a pixel its result looks, apart from means over the whole image.
        pools: whether the network takes such means, so that tiles differ from the whole.
        side: of the only image that the file takes; None where it takes any.
        tile: the side of tiles to cut; None passes images up to WHOLE pixels a side whole.
        level: the noise that a file without a variance input is made for, as --noise has it.
    """

    session: "InferenceSession"
    space: Space
    takes_variance: bool
    multiple: int
    halo: int
    pools: bool
    side: int | None
    tile: int | None
    level: str = ""

    def __call__(self, noisy: NDArray[np.float32], variance: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Denoises one image.

        Args:
            noisy: (1, C, H, W) in [0, 1].
            variance: of the same shape, for RAW.

        Returns:
            (1, C, H, W) in [0, 1].

        Raises:
            ValueError: no such image, or it holds NaN.
        """
        if (self.space == "raw") == (variance is None):
            raise ValueError("a denoiser of RAW needs the noise variance, one of sRGB takes none")
        images = [noisy] if variance is None or not self.takes_variance else [noisy, variance]
        for image in images:
            if image.ndim != 4 or image.shape[0] != 1 or not image.size:
                raise ValueError(f"expected one image (1, C, H, W) with pixels, got {image.shape}")
            if not np.isfinite(image).all():
                raise ValueError("the image holds NaN or infinite values")
        height, width = noisy.shape[2:]
        side = self._tile(height, width)
        if side is None:
            return np.clip(self._run(images), 0, 1)
        rows, columns = (max(side, -(-length // self.multiple) * self.multiple) for length in (height, width))
        padding = ((0, 0), (0, 0), (0, rows - height), (0, columns - width))
        images = [np.pad(image, padding, mode="reflect") for image in images]
        result = np.empty((1, noisy.shape[1], rows, columns), np.float32)
        cuts = [(down, across) for down in self._cuts(rows, side) for across in self._cuts(columns, side)]
        with steps(len(cuts)) as step:
            for (top, above, below), (left, before, behind) in cuts:
                tile = self._run([image[..., top : top + side, left : left + side] for image in images])
                kept = tile[..., above:below, before:behind]
                result[..., top + above : top + below, left + before : left + behind] = kept
                step()
        return np.clip(result[..., :height, :width], 0, 1)

    def _tile(self, height: int, width: int) -> int | None:
        """Returns the side of the tiles for an image, with their halo; None to pass it whole."""
        if self.side is not None:
            return self.side
        inner = self.tile or WHOLE
        if max(height, width) <= inner + 2 * self.halo:
            return None
        return -(-(inner + 2 * self.halo) // self.multiple) * self.multiple

    def _cuts(self, length: int, side: int) -> Iterator[Cut]:
        """Yields the tiles along a side of an image; they lose their halos, except at its ends."""
        start, last = 0, length - side
        while True:
            start = min(start, last)
            yield start, self.halo if start else 0, side - self.halo if start < last else side
            if start == last:
                return
            start += (side - 2 * self.halo) // self.multiple * self.multiple

    def _run(self, images: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        names = [given.name for given in self.session.get_inputs()]
        parts = {name: np.ascontiguousarray(image) for name, image in zip(names, images, strict=True)}
        return self.session.run(None, parts)[0]


def open_onnx(path: Path, tile: int | None = None, threads: int | None = None) -> OnnxDenoiser:
    """Opens an ONNX file, on the CPU.

    Args:
        path: a file of export_onnx.py.
        tile: the side of tiles in pixels, to save memory.
        threads: how many threads compute; None takes one for each core.

    Raises:
        UserError: ONNX Runtime is not installed, or the file cannot be read, or is no denoiser.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise UserError("--runtime onnx needs ONNX Runtime: pip install onnxruntime") from None
    with reading(path, advice=_ADVICE):
        if not path.is_file():
            raise FileNotFoundError(2, "No such file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3  # errors alone
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        facts: Mapping[str, Any] = session.get_modelmeta().custom_metadata_map
    names = [given.name for given in session.get_inputs()]
    space = _CHANNELS.get(session.get_inputs()[0].shape[1])
    if names not in (["noisy"], ["noisy", "variance"]) or space is None or "multiple" not in facts:
        raise UserError(f"{path}: takes {', '.join(names)}, expected a denoiser's file; {_ADVICE}")
    with reading(path, advice=_ADVICE):
        multiple, halo = int(facts["multiple"]), facts.get("halo", "")
        reach = facts.get("reach", halo)  # of a network that pools, whose halo is not exact
        size = _SIZE.fullmatch(facts.get("size", ""))
        side = int(size[1]) if size else None
        width = int(reach) if reach.isdecimal() else 0
        if multiple < 1 or (side is not None and side < 2 * width + multiple):
            raise ValueError(f"multiple {multiple}, halo {width}, size {side}")
    level = facts.get("noise_level", "")
    return OnnxDenoiser(session, space, len(names) == 2, multiple, width, not halo.isdecimal(), side, tile, level)
