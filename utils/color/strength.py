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

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cycleisp.utils.color.colorimetry import RGB2YCC
from cycleisp.utils.errors import UserError

LUMA = torch.from_numpy(RGB2YCC[0]).float()  # weights of red, green and blue, which add up to 1
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
    def of(cls, strength: float = 1.0, luma: float | None = None, chroma: float | None = None) -> "Strength":
        """Returns one strength for both, or for that of the two which is not given by itself.

        Raises:
            UserError: one of the three is outside of 0 to 1.
        """
        _check_share("strength", strength)
        return cls(strength if luma is None else luma, strength if chroma is None else chroma)

    def denoise(
        self,
        denoise: Callable[..., Tensor],
        noisy: Tensor,
        *variance: Tensor,
        white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> Tensor:
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
        beyond = noisy.numel() > 0 and bool(noisy.amin() < 0 or noisy.amax() > 1)
        denoised = denoise(noisy.clamp(0, 1) if beyond else noisy, *variance)
        if self.luma == self.chroma == 1:
            return denoised
        mixed = torch.empty_like(noisy)
        for top in range(0, noisy.shape[-2], _ROWS):
            rows = (..., slice(top, top + _ROWS), slice(None))
            mixed[rows] = self.mix(noisy[rows], denoised[rows].to(noisy), white_balance)
        return mixed

    def kept_noise(
        self, shot_noise: Tensor, read_noise: Tensor, white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ) -> tuple[Tensor, Tensor]:
        """Returns the noise that is left in packed RAW if the denoiser's own result has none.

        That is the least that is left: (1 - strength)^2 of the variance. Where luma and chroma
        differ, a plane keeps some of the noise of the others, and the result holds for neutral
        surfaces, whose values in one plane tell those in the others.

        Args:
            shot_noise, read_noise: (4,) variances of the planes R, G_r, G_b, B.
            white_balance: gains of R, G and B.
        """
        one_each = torch.eye(4)[..., None, None]  # noise in one plane alone
        kept = self.mix(one_each, torch.zeros_like(one_each), white_balance)[..., 0, 0].T ** 2  # into a plane, from one
        gains = torch.tensor([white_balance[color] for color in (0, 1, 1, 2)])
        return (kept * gains[:, None] / gains) @ shot_noise, kept @ read_noise

    def mix(
        self, noisy: Tensor, denoised: Tensor, white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ) -> Tensor:
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
            luma = torch.einsum("bchw,c->bhw", residual, LUMA.to(residual))[:, None]
            return (noisy + self.luma * luma + self.chroma * (residual - luma)).clamp(0, 1)
        gains = noisy.new_tensor([white_balance[color] for color in (0, 1, 1, 2)]).view(1, 4, 1, 1)
        luma = _luma_of_planes(gains * residual) / gains
        return noisy + self.luma * luma + self.chroma * (residual - luma)


def _luma_of_planes(balanced: Tensor) -> Tensor:
    """Returns the part of a residual (B, 4, H, W) of white-balanced planes that is no colour."""
    red, green_r, green_b, blue = balanced.unbind(1)
    common = LUMA[0] * red + LUMA[1] * (green_r + green_b) / 2 + LUMA[2] * blue
    fine = (green_r - green_b) / 2
    return torch.stack([common, common + fine, common - fine, common], dim=1)


def _check_share(option: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise UserError(f"--{option} {share:g}: expected a number from 0 (the input) to 1 (the denoiser's result)")


FULL = Strength()
