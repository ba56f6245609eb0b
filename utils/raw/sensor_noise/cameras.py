"""A camera's noise model: what its file states, what lies between the ISO settings, and draws."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cycleisp.utils.raw.noise import NoiseError, NoisyRaw, PlaneFactors
from cycleisp.utils.raw.sensor_noise.camera_files import CameraFile, IsoNoise, Sites

if TYPE_CHECKING:  # levels are needed where there is no PyTorch, too; functions that draw import it
    import torch
    from torch import Tensor

    from cycleisp.utils.raw.sensor_noise.parameters import SensorNoise

Parameters = dict[str, Any]  # of one image, by the file's keys: numbers, or four of R, G_r, G_b, B


@dataclass(frozen=True)
class CameraNoise:
    """The noise of one camera: a noise model as `utils.raw.noise.NoiseModel` describes it.

    Between two ISO settings of the file, the logarithms of all variances and densities are linear
    in the logarithm of the ISO, and so are shapes and bits themselves. Outside of the settings
    nothing is known.

    Attributes:
        name: the file, as the user has written it.
        file: its content.
        sha256: of its bytes.
        iso: the setting to use. None draws one for each image, with uniform logarithm, and then the
            deviations that the file gives as `scatter`.
    """

    name: str
    file: CameraFile
    sha256: str
    iso: float | None = None

    def __post_init__(self) -> None:
        if self.iso is not None:
            self.at(self.iso)  # raises NoiseError

    @property
    def settings(self) -> Mapping[str, Any]:
        """Returns what the noise depends on besides the name: the file's content."""
        return {"noise_sha256": self.sha256}

    @property
    def states(self) -> frozenset[str]:
        """Returns the keys of the parts that the file states."""
        return next(iter(self.file.iso.values())).stated()

    def at(self, iso: float) -> Parameters:
        """Returns the parameters at an ISO setting, by the file's keys.

        Where the file has several equally likely shapes, the first ones count.

        Raises:
            NoiseError: the setting lies outside of those of the file.
        """
        return self._at(iso, 0.0)

    def levels(self, iso: float | None = None) -> tuple[Sites, Sites]:
        """Returns shot noise and all noise that is independent of the signal, as a denoiser needs.

        Args:
            iso: the setting of a picture; the model's own one comes first.

        Returns:
            The variances of the planes R, G_r, G_b, B.

        Raises:
            NoiseError: neither the model nor the picture has an ISO setting, or the file ends
                before it.
        """
        setting = iso if self.iso is None else self.iso
        if setting is None:
            raise NoiseError(f"the picture states no ISO setting; give --noise {self.name}@ISO, as {self.name}@800")
        levels = _batch([self.at(setting)], self.file.poisson).levels()
        return _four(levels.shot_noise[0]), _four(levels.read_noise[0])

    def draw(self, generator: torch.Generator) -> Parameters:
        """Draws the parameters of one image, by the file's keys, and `iso`."""
        import torch

        lots = torch.rand(2, generator=generator, device=generator.device, dtype=torch.float64).tolist()
        normal = torch.randn(3, generator=generator, device=generator.device, dtype=torch.float64).tolist()
        if self.iso is not None:
            return {"iso": self.iso, **self._at(self.iso, lots[1])}
        low, high = min(self.file.iso), max(self.file.iso)
        iso = min(max(low * (high / low) ** lots[0], low), high)
        drawn = {"iso": iso, **self._at(iso, lots[1])}
        scatter = self.file.scatter
        for key, deviation in zip(("read_noise", "row_noise", "column_noise"), normal, strict=True):
            spread = getattr(scatter, key)
            if spread and key in drawn:
                drawn[key] = tuple(min(value * math.exp(spread * deviation), 1.0) for value in drawn[key])
        return drawn

    def sample(self, count: int, generator: torch.Generator) -> SensorNoise:
        """Draws the noise of `count` images, float32, on the generator's device."""
        drawn = [self.draw(generator) for _ in range(count)]
        return _batch(drawn, self.file.poisson, generator.device)

    def sample_of_seed(self, seed: int) -> SensorNoise:
        """Draws the noise of one image, on the CPU, from a stream of the image's seed."""
        return _batch([self.draw(_levels_stream(seed))], self.file.poisson)

    def add(self, clean: Tensor, seed: int) -> NoisyRaw:
        """Adds noise to one image (4, H, W), as a function of the image and the seed alone.

        The result's `origin` has the drawn parameters under `sensor_noise`. Its `read_noise` is the
        variance of all that does not depend on the signal.
        """
        from cycleisp.utils.raw.sensor_noise.sampling import add_sensor_noise

        drawn = self.draw(_levels_stream(seed))
        noise = _batch([drawn], self.file.poisson)
        noisy = add_sensor_noise(clean[None], noise, [seed])[0]
        levels = noise.levels()
        record = {"name": self.file.name or self.name, **{key: _plain(value) for key, value in drawn.items()}}
        shot, read = (_plain(_four(values[0])) for values in (levels.shot_noise, levels.read_noise))
        return NoisyRaw(noisy, shot, read, {"sensor_noise": record})

    def _at(self, iso: float, lot: float) -> Parameters:
        """Returns the parameters at an ISO setting; `lot`, in [0, 1), chooses among shapes."""
        settings = sorted(self.file.iso)
        low, high = settings[0], settings[-1]
        if not low <= iso <= high:
            span = f"ISO {low:g}" if low == high else f"ISO {low:g} to {high:g}"
            raise NoiseError(f"{self.name}: knows {span}, asked for ISO {iso:g}; calibrate it, or give @ISO of these")
        after = max(bisect.bisect_left(settings, iso), 1) if len(settings) > 1 else 0
        before = max(after - 1, 0)
        first, second = self.file.iso[settings[before]], self.file.iso[settings[after]]
        part = math.log(iso / settings[before]) / math.log(settings[after] / settings[before]) if after else 0.0
        return _between(first, second, part, lot)


def _between(first: IsoNoise, second: IsoNoise, part: float, lot: float) -> Parameters:
    """Returns what lies at a part, 0 to 1, of the way from one setting to the next."""
    result: Parameters = {}
    for key in IsoNoise.model_fields:
        low, high = getattr(first, key), getattr(second, key)
        if low is None or high is None:
            continue
        if key == "tukey_lambda":
            result[key] = _linear(low[int(lot * len(low))], high[int(lot * len(high))], part)
        elif key == "quantization_bits":
            result[key] = _linear(low, high, part)
        elif isinstance(low, tuple):
            result[key] = tuple(_log_linear(a, b, part) for a, b in zip(low, high, strict=True))
        else:
            result[key] = _log_linear(low, high, part)
    return result


def _linear(low: float, high: float, part: float) -> float:
    return low if part == 0 else high if part == 1 else low + part * (high - low)


def _log_linear(low: float, high: float, part: float) -> float:
    """Interpolates logarithms, or the values themselves where one of them is 0."""
    if low <= 0 or high <= 0 or part in (0, 1):
        return _linear(low, high, part)
    return low * (high / low) ** part


def _batch(each: Sequence[Parameters], poisson: bool, device: torch.device | str = "cpu") -> SensorNoise:
    """Returns the parameters of images of one file as tensors."""
    import torch

    from cycleisp.utils.raw.sensor_noise.parameters import SensorNoise

    def tensor(key: str) -> Tensor | None:
        if key not in each[0]:
            return None
        return torch.tensor([one[key] for one in each], dtype=torch.float32, device=device)

    shot, read = tensor("shot_noise"), tensor("read_noise")
    assert shot is not None and read is not None
    return SensorNoise(
        shot,
        read,
        row_noise=tensor("row_noise"),
        column_noise=tensor("column_noise"),
        tail=tensor("tukey_lambda"),
        hot_pixels=tensor("hot_pixel_density"),
        hot_amplitude=tensor("hot_pixel_amplitude"),
        dead_pixels=tensor("dead_pixel_density"),
        quantization_bits=tensor("quantization_bits"),
        poisson=torch.full((len(each),), poisson, device=device),
    )


def _levels_stream(seed: int) -> torch.Generator:
    import torch

    from cycleisp.utils.raw.sensor_noise.sampling import part_seed

    return torch.Generator().manual_seed(part_seed(seed, "levels"))


def _four(values: Tensor) -> Sites:
    first, second, third, fourth = values.expand(4).tolist()
    return first, second, third, fourth


def _plain(value: Any) -> PlaneFactors:
    """Returns a number for four equal ones, and everything else as it is."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
