"""Draws the sensor's noise of a patch: the levels, and the parts that a recipe asks for."""

import math
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from cycleisp.utils.config import Synthesis
from cycleisp.utils.raw.noise import AWGN, FixedNoise, NoiseProfile
from cycleisp.utils.raw.sensor_noise.cameras import CameraNoise
from cycleisp.utils.raw.sensor_noise.names import find_noise

# What a camera's file calls a part, and how a patch without that part says so.
_PARTS = {
    "row_noise": ("row_noise", 0.0),
    "column_noise": ("column_noise", 0.0),
    "tail": ("tukey_lambda", math.nan),
    "hot_pixels": ("hot_pixel_density", 0.0),
    "hot_amplitude": ("hot_pixel_amplitude", 0.0),
    "dead_pixels": ("dead_pixel_density", 0.0),
    "quantization_bits": ("quantization_bits", 0.0),
}


class NoiseDraws:
    """The noises of a recipe, and what is drawn of them for one patch.

    The keys of a patch are named as the attributes of `SensorNoise`. They are the same for all
    patches of a recipe. Recipes of profiles alone have `shot_noise` and `read_noise`, as numbers.
    With a camera's file among the noises both are four numbers, of R, G_r, G_b, B.

    Args:
        synthesis: the recipe's section.

    Raises:
        UserError: the recipe names an unknown noise, or a file of a camera that cannot be used.
    """

    def __init__(self, synthesis: Synthesis) -> None:
        self._synthesis = synthesis
        self._noises = [None if name == AWGN else find_noise(name) for name in synthesis.noise]
        cameras = [noise for noise in self._noises if isinstance(noise, CameraNoise)]
        self._sites = bool(cameras)
        stated = frozenset[str]().union(*(camera.states for camera in cameras))
        self._parts = [part for part, (key, _) in _PARTS.items() if key in stated or self._asks_for(part)]
        self._poisson = synthesis.poisson or bool(cameras)

    def choose(self, rng: np.random.Generator) -> NoiseProfile | FixedNoise | CameraNoise | None:
        """Draws one of the noises; None is Gaussian noise on sRGB."""
        return self._noises[int(rng.integers(len(self._noises)))]

    def levels(self, noise: NoiseProfile | FixedNoise | CameraNoise, seed: int) -> dict[str, Tensor]:
        """Draws shot and read noise, and the parts that a camera's file states.

        Args:
            noise: one of the recipe's.
            seed: of the patch.
        """
        if isinstance(noise, CameraNoise):
            drawn = noise.sample_of_seed(seed)
            values = {field.name: getattr(drawn, field.name) for field in fields(drawn)}
            return {key: value[0] for key, value in values.items() if value is not None}
        levels = noise.sample(1, torch.Generator().manual_seed(seed))
        shot, read = levels.shot_noise[0], levels.read_noise[0]
        if self._sites:
            shot, read = shot.expand(4), read.expand(4)
        return {"shot_noise": shot, "read_noise": read}

    def with_parts(self, levels: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
        """Adds the recipe's parts to drawn levels which do not have them.

        Args:
            levels: what `levels` has returned, its read noise multiplied by the recipe's factor.
            rng: of the parts alone.
        """
        result, lots = dict(levels), dict(zip(_PARTS, rng.uniform(size=len(_PARTS)), strict=True))
        for part in self._parts:
            result.setdefault(part, self._drawn(part, levels["read_noise"], lots[part]))
        if self._poisson:
            result.setdefault("poisson", torch.tensor(self._synthesis.poisson))
        return result

    def _asks_for(self, part: str) -> bool:
        """Returns whether the recipe asks for a part of all noises."""
        span = getattr(self._synthesis, "hot_pixels" if part == "hot_amplitude" else part)
        return span is not None and (part == "tail" or span[1] > 0)

    def _drawn(self, part: str, read_noise: Tensor, lot: float) -> Tensor:
        """Returns a part by the recipe and a uniform number, or the value that stands for none."""
        if not self._asks_for(part):
            none = torch.tensor(_PARTS[part][1])
            return none.expand(read_noise.shape) if part in ("row_noise", "column_noise") else none
        low, high = getattr(self._synthesis, part)
        if part == "quantization_bits":
            return torch.tensor(float(low + math.floor(lot * (high - low + 1))))
        value = torch.tensor(low + lot * (high - low), dtype=torch.float32)
        return value * read_noise if part in ("row_noise", "column_noise") else value
