"""The noisy/clean pair, which networks/synthesis makes and dataloaders/pairs stores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

from cycleisp.utils.images import Image
from cycleisp.utils.raw.noise import PlaneFactors


@dataclass(frozen=True)
class NoisyCleanPair(Generic[Image]):
    """The pair of one photo.

    RAW is packed RGGB, linear. The images are tensors in [0, 1]; those of `cycleisp.synthesize` are
    like the photo that it was given.

    Attributes:
        clean_raw, noisy_raw: (4, H // 2, W // 2).
        clean_srgb, noisy_srgb: (3, H, W), arrays (H, W, 3); None where only RAW was asked for.
        shot_noise, read_noise: the noise's variances on the [0, 1] scale.
        noise_origin: where recorded noise comes from; JSON values; empty for noise that was drawn.
    """

    clean_raw: Image
    noisy_raw: Image
    clean_srgb: Image | None
    noisy_srgb: Image | None
    shot_noise: PlaneFactors
    read_noise: PlaneFactors
    noise_origin: Mapping[str, Any] = field(default_factory=dict)
