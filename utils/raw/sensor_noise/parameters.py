"""The parts of a sensor's noise for a batch of images, and the variance that they add up to."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from torch import Tensor

from cycleisp.utils.raw.noise import NoiseLevels


@dataclass(frozen=True)
class SensorNoise:
    """The noise of a batch of packed RAW, with parameters of their own for each image.

    All parts but shot and read noise are optional: None is none in any image, and a value named
    below is none in one image. Variances, amplitudes and densities are on the [0, 1] scale.

    Attributes:
        shot_noise: (B,) or (B, 4) variance per unit of signal: a sensor's gain, in units of white
            per electron.
        read_noise: (B,) or (B, 4) variance of what each photosite adds by itself.
        row_noise: (B,) or (B, 4) variance of the offset that the photosites of a row of the mosaic
            share; 0 for none.
        column_noise: (B,) or (B, 4) likewise of columns.
        tail: (B,) shape lambda of read noise by Tukey's lambda distribution; NaN for a Gaussian.
        hot_pixels: (B,) the share of photosites with dark current of their own; 0 for none.
        hot_amplitude: (B,) its mean.
        dead_pixels: (B,) the share of photosites that stay black; 0 for none.
        quantization_bits: (B,) values are multiples of 2^-bits; 0 for no rounding.
        poisson: (B,) bool, whether few electrons are counted, instead of Gaussian shot noise.
    """

    shot_noise: Tensor
    read_noise: Tensor
    row_noise: Tensor | None = None
    column_noise: Tensor | None = None
    tail: Tensor | None = None
    hot_pixels: Tensor | None = None
    hot_amplitude: Tensor | None = None
    dead_pixels: Tensor | None = None
    quantization_bits: Tensor | None = None
    poisson: Tensor | None = None

    @classmethod
    def from_batch(cls, batch: Mapping[str, Tensor]) -> "SensorNoise":
        """Returns the noise of a batch of patches, whose keys are named as the attributes."""
        return cls(**{field.name: batch[field.name] for field in fields(cls) if field.name in batch})

    def levels(self) -> NoiseLevels:
        """Returns shot noise, and the variance of all that does not depend on the signal.

        That is the sum of read, row and column noise and of rounding, 2^(-2 bits) / 12 (Widrow,
        "Statistical analysis of amplitude-quantized sampled-data systems", 1961; good where the
        noise's deviation is above 0.4 steps). Hot and dead pixels are not in it: they are errors of
        few places.

        Returns:
            Each (B,) or (B, 4). Without further parts these are the tensors of this object.
        """
        read = self.read_noise
        for part in (self.row_noise, self.column_noise, self._rounding()):
            if part is not None:
                read = _sum(read, part)
        return NoiseLevels(self.shot_noise, read)

    def _rounding(self) -> Tensor | None:
        if self.quantization_bits is None:
            return None
        return (self.quantization_bits > 0) * 0.25**self.quantization_bits / 12


def _sum(first: Tensor, second: Tensor) -> Tensor:
    """Adds factors (B,) or (B, 4)."""
    if first.dim() == second.dim():
        return first + second
    return first.reshape(len(first), -1) + second.reshape(len(second), -1)
