"""From photos in memory to what is stored of their pairs: networks, noise, and rounding.

This is the middle of a factory, between reading and writing. Photos come as integers and pairs
leave as integers, so that the networks may be those of another process or machine
(`cycleisp.tasks.cluster.networks`), and little goes over the network.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from cycleisp.dataloaders.pairs.store import PairFiles
from cycleisp.utils.images import photo_to_tensor, tensor_to_photo, to_integers
from cycleisp.utils.pairs import NoisyCleanPair
from cycleisp.utils.raw.noise import PlaneFactors

# Photos (B, 3, H, W) in [0, 1], their seeds, and their own packed RAW (B, 4, H/2, W/2) where it is
# known -> the pairs.
Synthesize = Callable[[Tensor, Sequence[int], Tensor | None], Sequence[NoisyCleanPair[Tensor]]]


@dataclass(frozen=True)
class ComputedPair:
    """A pair as it is stored, and the noise that it has.

    Attributes:
        files: the integers to store.
        shot_noise, read_noise: the noise's variances on the [0, 1] scale.
        noise_origin: where recorded noise comes from; JSON values.
    """

    files: PairFiles
    shot_noise: PlaneFactors
    read_noise: PlaneFactors
    noise_origin: Mapping[str, Any]


# Photos of one size (H, W, 3) uint8 or uint16, their seeds, and their own packed RAW (4, H/2, W/2)
# float32, which either all have or none -> for each a function that returns its pair. Such a
# function is called in a thread that writes.
Compute = Callable[
    [Sequence[NDArray], Sequence[int], Sequence[NDArray[np.float32]]], Sequence[Callable[[], ComputedPair]]
]


@dataclass(frozen=True)
class Computing:
    """Computes pairs in this process. Each is rounded in the thread that writes it.

    Attributes:
        synthesize: makes pairs from a batch of photos.
        keep_raw, keep_srgb, keep_variance: what to store of a pair.
    """

    synthesize: Synthesize
    keep_raw: bool = True
    keep_srgb: bool = True
    keep_variance: bool = False

    def __call__(
        self, photos: Sequence[NDArray], seeds: Sequence[int], known: Sequence[NDArray[np.float32]]
    ) -> list[Callable[[], ComputedPair]]:
        """Computes the pairs of some photos, as `Compute` says."""
        tensors = [photo_to_tensor(photo).contiguous() for photo in photos]
        batch = tensors[0][None] if len(tensors) == 1 else torch.stack(tensors)
        del tensors
        clean_raw = torch.stack([torch.from_numpy(raw) for raw in known]) if known else None
        pairs = self.synthesize(batch, seeds, clean_raw)
        return [partial(self._stored, pair, photo.dtype) for pair, photo in zip(pairs, photos, strict=True)]

    def _stored(self, pair: NoisyCleanPair[Tensor], depth: DTypeLike) -> ComputedPair:
        variance = None
        if self.keep_variance:
            shot_noise, read_noise = (torch.tensor(x).view(-1, 1, 1) for x in (pair.shot_noise, pair.read_noise))
            variance = (shot_noise * pair.noisy_raw + read_noise).numpy()  # from the noisy image
        files = PairFiles(
            clean_raw=to_integers(pair.clean_raw, np.uint16) if self.keep_raw else None,
            noisy_raw=to_integers(pair.noisy_raw, np.uint16) if self.keep_raw else None,
            variance=variance if self.keep_raw else None,
            clean_srgb=_as_photo(pair.clean_srgb, depth) if self.keep_srgb else None,
            noisy_srgb=_as_photo(pair.noisy_srgb, depth) if self.keep_srgb else None,
        )
        return ComputedPair(files, pair.shot_noise, pair.read_noise, pair.noise_origin)


def _as_photo(image: Tensor | None, dtype: DTypeLike) -> NDArray | None:
    return None if image is None else tensor_to_photo(image, dtype)
