"""How much of what a denoiser changes is taken, in brightness (luma) and in colour (chroma) apart.

A denoiser adds a residual to the noisy image. The residual is split into two parts that add up to
it, and each part is taken by its own share between 0 and 1:

- photos: the luma part moves red, green and blue by the same amount, the change of luma by BT.601
  as in JPEG. The chroma part is the rest: it leaves luma as it was. So `luma` removes grain and
  leaves coloured blotches, `chroma` does the reverse.
- packed RAW: the same in white-balanced values, in which a neutral surface has one value in all
  planes: the luma part moves all balanced planes by the same amount, and what is neutral stays so.
  The two greens count as one green. Their difference is no colour but the finest detail of
  brightness, so it belongs to luma.

Photos are split in display values, not in linear light, for three reasons: the file's colours are
not converted, so that its curve may be unknown; equal steps of display values are about equally
visible; and equal steps of linear light would take the colour out of shadows. RAW is linear, and a
gain for each plane is all that is known for certain on the way to its display.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.color.colorimetry import RGB2YCC, backend_of
from cycleisp.utils.errors import UserError

if TYPE_CHECKING:  # arrays need no PyTorch
    from torch import Tensor

Values = TypeVar("Values", "Tensor", NDArray)  # images as tensors or as arrays, which come back as they came
LUMA = tuple(float(weight) for weight in RGB2YCC[0].astype(np.float32))  # of red, green and blue, which add up to 1
_ROWS = 1024  # mixed at a time, so that a large photo needs no further copies of itself


@dataclass(frozen=True)
class Strength:
    """Shares of the residual that are taken, each from 0 (none) to 1 (all, the denoiser's result).

    Attributes:
        luma: of its brightness.
        chroma: of its colour.

    Raises:
        UserError: a share outside of 0 to 1. The message names the options of the scripts.
    """

    luma: float = 1.0
    chroma: float = 1.0

    def __post_init__(self) -> None:
        for name in ("luma", "chroma"):
            _check_share(name, getattr(self, name))

    @classmethod
    def of(cls, strength: float = 1.0, luma: float | None = None, chroma: float | None = None) -> Strength:
        """Returns one strength for both, or for that of the two which is not given by itself.

        Raises:
            UserError: one of the three is outside of 0 to 1.
        """
        _check_share("strength", strength)
        return cls(strength if luma is None else luma, strength if chroma is None else chroma)

    def denoise(
        self,
        denoise: Callable[..., Values],
        noisy: Values,
        *variance: Values,
        white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> Values:
        """Denoises an image by this strength.

        At 1 the result is that of `denoise`, bit for bit. At 0 it is `noisy` itself, values outside
        of [0, 1] included, and `denoise` is not called.

        Args:
            denoise: a denoiser. It gets `noisy` clipped to [0, 1], and `variance`.
            noisy: (B, 3, H, W) display values in [0, 1], or (B, 4, H, W) packed RAW, also beyond.
            variance: of RAW: that of the noise, of the same shape.
            white_balance: of RAW: the gains of R, G and B that make a neutral surface neutral.

        Returns:
            An image like `noisy`.
        """
        if self.luma == self.chroma == 0:
            return noisy
        # a copy only where it is needed, which large photos feel
        beyond = 0 not in noisy.shape and bool(noisy.min() < 0 or noisy.max() > 1)
        denoised = denoise(noisy.clip(0, 1) if beyond else noisy, *variance)
        if self.luma == self.chroma == 1:
            return denoised
        mixed = backend_of(noisy).empty_like(noisy)
        for top in range(0, noisy.shape[-2], _ROWS):
            rows = (..., slice(top, top + _ROWS), slice(None))
            mixed[rows] = self.mix(noisy[rows], denoised[rows], white_balance)
        return mixed

    def kept_noise(
        self,
        shot_noise: NDArray[np.float32],
        read_noise: NDArray[np.float32],
        white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns the noise that is left in packed RAW if the denoiser's own result has none.

        That is the least that is left: (1 - strength)^2 of the variance. Where luma and chroma
        differ, a plane keeps some of the noise of the others, and the result holds for neutral
        surfaces, whose values in one plane tell those in the others.

        Args:
            shot_noise, read_noise: (4,) variances of the planes R, G_r, G_b, B.
            white_balance: gains of R, G and B.
        """
        one_each = np.eye(4, dtype=np.float32)[..., None, None]  # noise in one plane alone
        kept = self.mix(one_each, np.zeros_like(one_each), white_balance)[..., 0, 0].T ** 2  # into a plane, from one
        gains = np.array([white_balance[color] for color in (0, 1, 1, 2)], dtype=np.float32)
        left = (kept * gains[:, None] / gains) @ shot_noise, kept @ read_noise
        return left[0].astype(np.float32), left[1].astype(np.float32)

    def mix(
        self, noisy: Values, denoised: Values, white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ) -> Values:
        """Returns an image between a noisy one and its denoised one; see the top of this file.

        Args:
            noisy, denoised: (B, 3, H, W) display values, or (B, 4, H, W) packed RAW.
            white_balance: of RAW: gains of R, G and B.

        Returns:
            (B, C, H, W); a photo is clipped to [0, 1].
        """
        residual = denoised - noisy
        if self.luma == self.chroma:
            return noisy + self.luma * residual
        if noisy.shape[1] == 3:
            luma = sum(weight * residual[:, place : place + 1] for place, weight in enumerate(LUMA))
            return (noisy + self.luma * luma + self.chroma * (residual - luma)).clip(0, 1)
        values: Any = residual
        gains = values.new_tensor if hasattr(values, "new_tensor") else partial(np.asarray, dtype=values.dtype)
        by_plane = gains([white_balance[color] for color in (0, 1, 1, 2)]).reshape(1, 4, 1, 1)
        luma = _luma_of_planes(by_plane * residual) / by_plane
        return noisy + self.luma * luma + self.chroma * (residual - luma)


def _luma_of_planes(balanced: Values) -> Values:
    """Returns the part of a residual (B, 4, H, W) of white-balanced planes that is no colour."""
    red, green_r, green_b, blue = (balanced[:, plane] for plane in range(4))
    common = LUMA[0] * red + LUMA[1] * (green_r + green_b) / 2 + LUMA[2] * blue
    fine = (green_r - green_b) / 2
    return backend_of(balanced).stack([common, common + fine, common - fine, common], 1)


def _check_share(option: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise UserError(f"--{option} {share:g}: expected a number from 0 (the input) to 1 (the denoiser's result)")


FULL = Strength()
