"""A PyTorch data set of noisy/clean pairs that are made while a training loop asks for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.training.denoising_patches import SRGB_MARGIN, DenoisingPatches
from cycleisp.networks.synthesis.training_pairs import TrainingPairs, open_training_pairs
from cycleisp.utils.config import DenoiserData, Synthesis, check_recipe
from cycleisp.utils.images import Space
from cycleisp.utils.raw.noise import AWGN, NoiseError


class PairDataset(Dataset[dict[str, Tensor]]):
    """Noisy/clean pairs made while training, for any training loop in PyTorch.

    Every item is a random square of a random photo, taken with noise of its own: `noisy` and
    `clean`, float32 tensors in [0, 1], and for RAW `variance`, the noise's variance at every value.
    sRGB items are (3, P, P), RAW items (4, P/2, P/2), with patch size P.

    >>> import cycleisp, skimage, torch
    >>> from pathlib import Path
    >>> photos = Path(skimage.__file__).parent / "data" / "astronaut.png"
    >>> pairs = cycleisp.PairDataset(photos, space="raw", length=8, patch_size=32, noise="sidd")
    >>> for batch in torch.utils.data.DataLoader(pairs, batch_size=4):
    ...     print({key: tuple(value.shape) for key, value in batch.items()})
    {'clean': (4, 4, 16, 16), 'noisy': (4, 4, 16, 16), 'variance': (4, 4, 16, 16)}
    {'clean': (4, 4, 16, 16), 'noisy': (4, 4, 16, 16), 'variance': (4, 4, 16, 16)}

    Item n is a function of `seed` and n alone, whatever the number of workers. The items of a
    second epoch are those of the first: give `length` the number of items of the whole training,
    or take another seed. Pairs are computed on the CPU, in the loader's processes; they may be
    forked or spawned.

    Args:
        photos: a clean photo, a folder of photos, or a sequence of both.
        space: which pairs to make.
        length: the number of items.
        patch_size: the side of a square in pixels of the photo, a multiple of 8, at least 16.
        seed: of everything that is drawn.
        noise: one or more of "dnd", "sidd", "upi_released", variances as
            "shot=0.01,read=0.0005" and noise files of cameras as "camera.yaml" or
            "camera.yaml@3200", drawn equally often; or "awgn", Gaussian noise on sRGB.
        weights: the CycleISP that makes the pairs, by shipped name or by path.
        scale: photos are reduced by a random factor of this span; below 1 they are enlarged.
        brightness: the light of a photo is multiplied by a random factor of this span.
        synthesis: any other key of a recipe's section `synthesis`, such as `learned_share=0`, which
            replaces CycleISP by simulated cameras and is several times as fast.

    Raises:
        UserError: no usable photo, unknown noise or weights, or a value outside of its range.
    """

    def __init__(
        self,
        photos: Path | str | Sequence[Path | str],
        space: Space = "srgb",
        *,
        length: int,
        patch_size: int = 128,
        seed: int = 0,
        noise: str | Sequence[str] = "dnd",
        weights: str = "compact_isp",
        scale: tuple[float, float] = (1.0, 1.0),
        brightness: tuple[float, float] = (1.0, 1.0),
        **synthesis: Any,
    ) -> None:
        names = [noise] if isinstance(noise, str) else list(noise)
        if AWGN in names and (space == "raw" or len(names) > 1):
            raise NoiseError("noise awgn is for sRGB and stands alone; RAW noise has the profiles dnd and sidd")
        origin = type(self).__name__
        data = check_recipe(DenoiserData, {"patch_size": patch_size, "scale": scale, "brightness": brightness}, origin)
        self._synthesis = check_recipe(Synthesis, {"noise": names, **synthesis}, origin)
        self._space, self._weights, self._length = space, weights, length
        store = PhotoStore([photos] if isinstance(photos, Path | str) else photos)
        margin = SRGB_MARGIN if space == "srgb" else 0
        self._patches = DenoisingPatches(store, data, self._synthesis, seed, length, margin)
        self._pairs: TrainingPairs | None = self._open()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        if not -self._length <= number < self._length:
            raise IndexError(f"item {number} of {self._length}")
        if self._pairs is None:
            self._pairs = self._open()
        pair = self._pairs(default_collate([self._patches[number % self._length]]))
        return {key: value[0].contiguous() for key, value in pair.items()}

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the networks out of a copy for another process, which opens its own."""
        return {**self.__dict__, "_pairs": None}

    def _open(self) -> TrainingPairs:
        return open_training_pairs(self._synthesis, self._space, self._weights, torch.device("cpu"))
