"""The noisy/clean pair that synthesis makes and pair folders store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from cycleisp.utils.raw.noise import PlaneFactors


@dataclass(frozen=True)
class NoisyCleanPair:
    """One photo's pair. RAW is packed RGGB, linear; everything lies in [0, 1].

    Attributes:
        clean_raw, noisy_raw: (4, H // 2, W // 2).
        clean_srgb, noisy_srgb: (3, H, W); None where only RAW was asked for.
        shot_noise, read_noise: the noise's variances on the [0, 1] scale.
        noise_origin: where noise that was not drawn was taken from; JSON values.
    """

    clean_raw: Tensor
    noisy_raw: Tensor
    clean_srgb: Tensor | None
    noisy_srgb: Tensor | None
    shot_noise: PlaneFactors
    read_noise: PlaneFactors
    noise_origin: Mapping[str, Any] = field(default_factory=dict)
