"""The functions that `import cycleisp` offers to other people's programs, for images in memory.

An image is a numpy array or a torch tensor, in one of the forms of `cycleisp.layouts`:

    image         numpy                          torch
    photo         (H, W, 3)                      (3, H, W)
    packed RAW    (4, H/2, W/2)                  (4, H/2, W/2)
    batch         one more dimension in front    one more dimension in front

Floats lie in [0, 1]; unsigned integers of 8 and 16 bits are scaled. Results are of the kind, number
type and device of the images that came in. What works on files lies in `cycleisp.tasks`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from cycleisp.dataloaders.pairs.factory import pair_seed as seed_of_pair
from cycleisp.layouts import Images, read_images
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.pretrained import SHIPPED_DENOISERS, load_any, load_cycleisp, load_denoiser
from cycleisp.networks.synthesis.learned_camera import CleanTarget, LearnedCamera
from cycleisp.networks.synthesis.photo_pairs import PairSynthesizer
from cycleisp.utils.color.brightness import keeping_brightness
from cycleisp.utils.color.strength import Strength
from cycleisp.utils.devices import inference_precision, pick_device
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Image, Space
from cycleisp.utils.pairs import NoisyCleanPair
from cycleisp.utils.raw.noise import FixedNoise, NoiseError, NoiseModel, noise_level_function
from cycleisp.utils.raw.noise_estimate import estimate_noise
from cycleisp.utils.raw.sensor_noise.cameras import CameraNoise
from cycleisp.utils.raw.sensor_noise.names import find_noise
from cycleisp.utils.weights.kinds import denoisers_of

Level = float | Sequence[float]  # of all planes, or of R, G_r, G_b, B
NoiseLevel = str | FixedNoise | tuple[Level, Level]


def load(name_or_path: str | Path, device: str | torch.device = "cpu") -> nn.Module:
    """Loads a network of any kind, ready for inference.

    >>> import cycleisp
    >>> network = cycleisp.load("compact_srgb")
    >>> type(network).__name__
    'SrgbDenoiser'

    Args:
        name_or_path: the name of shipped or registered weights; a `.safetensors` file of this
            project; a `.pth` file of the authors, or a folder with their three files of CycleISP.
            Registered weights that are not there are downloaded.
        device: where the network computes: "cpu", "cuda", "mps", or "auto" for a GPU if there is
            one. `to` moves the network later.

    Raises:
        UserError: no such weights, damaged ones, or a device that is not there.
    """
    return to_device(load_any(name_or_path), _pick(device))


def denoise(
    image: Image,
    *,
    weights: str | Path | nn.Module | None = None,
    noise: NoiseLevel | None = None,
    strength: float = 1.0,
    luma: float | None = None,
    chroma: float | None = None,
    white_balance: Sequence[float] | None = None,
    keep_brightness: bool = False,
    space: Space | None = None,
    tile: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "auto",
) -> Image:
    """Denoises a photo, packed RAW, or a batch of either.

    >>> import cycleisp, numpy as np
    >>> photo = np.random.default_rng(0).integers(100, 156, (48, 64, 3), dtype=np.uint8)
    >>> denoised = cycleisp.denoise(photo)
    >>> denoised.shape, denoised.dtype, bool(denoised.std() < photo.std() / 2)
    ((48, 64, 3), dtype('uint8'), True)

    Packed RAW comes with the level of its noise; without one it is estimated from the image.

    >>> raw = np.full((4, 32, 32), 0.2, np.float32)
    >>> raw += 0.05 * np.random.default_rng(0).standard_normal(raw.shape, np.float32)
    >>> denoised = cycleisp.denoise(raw.clip(0, 1), noise="shot=0.01,read=0.0005")
    >>> bool(denoised.std() < 0.01)
    True

    Args:
        image: a photo or packed RAW, of a layout and range that the module `cycleisp.layouts`
            lists.
        weights: a denoiser, by shipped name, by path, or as `load` returned it, which saves loading
            it for every image. None takes compact_srgb for photos and compact_raw for RAW.
        noise: of RAW: the variances shot_noise and read_noise on the [0, 1] scale, as a tuple or as
            "shot=0.01,read=0.0005"; either of the tuple may be four numbers, of R, G_r, G_b, B. Or
            a camera's noise file at an ISO setting, as "camera.yaml@3200".
        strength: how much of what the network changes is taken, from 0, the very image, to 1, the
            network's result.
        luma, chroma: the same for brightness and for colour alone; None takes `strength`.
        white_balance: of RAW: the gains of R, G and B that make grey grey, by which brightness and
            colour are told apart where `luma` and `chroma` differ.
        keep_brightness: of a photo: whether to give the result the brightness that the photo has
            over large areas.
        space: "srgb" or "raw", for the few shapes that fit both.
        tile: the side of a tile in pixels of the network's input, to save memory; None denoises
            images whole.
        device: where a network given by name computes: "auto", "cpu", "cuda" or "mps". None takes
            the device of a tensor, and "auto" for an array.
        precision: "auto", "float32", "tf32", "bf16" or "fp16"; "auto" is tf32 on CUDA, else
            float32.

    Returns:
        An image like `image`, in [0, 1]; integers are rounded to nearest.

    Raises:
        TypeError: neither an array nor a tensor.
        ValueError: a shape, number type or range that does not fit, or a noise level that is
            impossible, superfluous or cannot be estimated.
        UserError: weights or a device that cannot be used.
    """
    images = read_images(image, space)
    share = _strength(strength, luma, chroma)
    gains = _gains(images.space, share, white_balance)
    if images.space == "srgb" and noise is not None:
        raise ValueError("noise is for packed RAW; the denoiser of photos takes no noise level")
    network = _open_denoiser(weights, images.space, _pick(device, image))
    precision = inference_precision(precision, next(network.parameters()).device)
    denoiser = TiledDenoiser(network, tile, precision)
    by_photo = keeping_brightness(denoiser) if keep_brightness else denoiser
    denoised = []
    for one in images.batch.cpu().split(1):
        if images.space == "srgb":
            denoised.append(share.denoise(by_photo, one))
        else:
            variance = noise_level_function(one, *_noise_level(noise, one[0]))
            denoised.append(share.denoise(denoiser, one, variance, white_balance=gains))
    return images.restore(torch.cat(denoised), image)


def synthesize(
    photo: Image | Sequence[Image],
    *,
    noise: str | NoiseModel = "dnd",
    seed: int = 0,
    pair_seed: int | Sequence[int] | None = None,
    space: Literal["raw", "both"] = "both",
    weights: str | Path | nn.Module = "compact_isp",
    clean_target: CleanTarget = "residual",
    blur: float = 1.0,
    device: str | torch.device | None = None,
    precision: str = "auto",
) -> NoisyCleanPair[Image] | list[NoisyCleanPair[Image]]:
    """Makes a realistic noisy/clean pair of a clean photo, in RAW and in sRGB.

    >>> import cycleisp, numpy as np
    >>> photo = np.tile(np.linspace(60, 200, 64).astype(np.uint8)[:, None], (48, 1, 3))
    >>> pair = cycleisp.synthesize(photo, noise="sidd", seed=1)
    >>> pair.noisy_srgb.shape, pair.noisy_srgb.dtype
    ((48, 64, 3), dtype('uint8'))
    >>> pair.noisy_raw.shape, pair.noisy_raw.dtype
    ((4, 24, 32), dtype('float32'))
    >>> len(cycleisp.synthesize([photo, photo[:32]], space="raw"))
    2

    A pair depends on the photo and on `seed` alone, not on its place in a batch, as with
    generate_data.py. That script derives the noise from the bytes of the photo's file, this
    function from the pixels; the script's pair is made again by the `pair_seed` of its manifest.

    Args:
        photo: a clean photo of at least 2x2 pixels, of a layout and range that the module
            `cycleisp.layouts` lists; or a batch of photos, or a sequence of photos of any sizes.
        noise: "dnd", "sidd", "upi_released", variances as "shot=0.01,read=0.0005", a camera's noise
            file as "camera.yaml" or "camera.yaml@3200", or a noise model such as
            `dataloaders.real_noise.residuals.ResidualNoise`.
        seed: with the pixels of each photo, the seed of its noise.
        pair_seed: the very seed of the noise, one for each photo, in place of `seed`.
        space: "raw" leaves the sRGB pair out, which takes half of the time.
        weights: a CycleISP, by shipped name, by path, or as `load` returned it.
        clean_target: the clean sRGB image: "residual" is the photo, to which the networks' noise
            is added, "cycle" the photo as the networks render it without noise, "input" the photo,
            whose noisy partner has the networks' errors, too, as in the paper.
        blur: the sigma in pixels of the Gaussian that removes the photo's own noise; 0 for none.
        device: where a network given by name computes: "auto", "cpu", "cuda" or "mps". None takes
            the device of a tensor, and "auto" for an array.
        precision: "auto", "float32", "tf32", "bf16" or "fp16"; "auto" is tf32 on CUDA, else
            float32.

    Returns:
        A pair for one photo, a list of pairs for several. Its sRGB images are like the photo, its
        packed RAW is float32.

    Raises:
        TypeError: neither an array nor a tensor.
        ValueError: a shape, number type or range that does not fit, or unknown noise.
        UserError: weights or a device that cannot be used.
    """
    photos = list(photo) if isinstance(photo, Sequence) else [photo]
    batches = [read_images(one, "srgb") for one in photos]
    for images in batches:
        if min(images.batch.shape[2:]) < 2:  # there is no Bayer tile to put noise on
            height, width = images.batch.shape[2:]
            raise ValueError(f"expected a photo of at least 2x2 pixels, got {height}x{width}")
    isp = _open_isp(weights, _pick(device, photos[0] if photos else None))
    camera = LearnedCamera(isp, clean_target, inference_precision(precision, next(isp.parameters()).device))
    model = find_noise(noise) if isinstance(noise, str) else noise
    make = PairSynthesizer(camera, model, blur, with_srgb=space != "raw")
    seeds = _pair_seeds(batches, seed, pair_seed)
    pairs: list[NoisyCleanPair[Image]] = []
    for images, like in zip(batches, photos, strict=True):
        own = seeds[len(pairs) : len(pairs) + len(images.batch)]
        pairs += [_pair_like(pair, images, like) for pair in make(images.batch.cpu(), own)]
    return pairs if isinstance(photo, Sequence) or not batches[0].alone else pairs[0]


# ---------------------------------------------------------------- networks, noise, pairs


def _pick(device: str | torch.device | None, like: object = None) -> torch.device:
    """Returns the device that is meant. None means that of a tensor, or a GPU if there is one."""
    if device is None:
        return like.device if isinstance(like, Tensor) else pick_device("auto")
    if isinstance(device, torch.device) or ":" in device:
        return torch.device(device)
    return pick_device(device)


def _open_denoiser(weights: str | Path | nn.Module | None, space: Space, device: torch.device) -> Denoiser:
    if isinstance(weights, nn.Module):
        if not isinstance(weights, Denoiser) or weights.space != space:
            wanted = " or a ".join(denoisers_of(space))
            raise ValueError(f"this image is {space} and needs a {wanted}, got a {type(weights).__name__}")
        return weights
    return to_device(load_denoiser(weights or SHIPPED_DENOISERS[space], space)[0], device)


def _open_isp(weights: str | Path | nn.Module, device: torch.device) -> CycleISP:
    if not isinstance(weights, nn.Module):
        return to_device(load_cycleisp(weights)[0], device)
    if not isinstance(weights, CycleISP):
        raise ValueError(f"pairs are made by a CycleISP, got a {type(weights).__name__}")
    return weights


def _strength(strength: float, luma: float | None, chroma: float | None) -> Strength:
    try:
        return Strength.of(strength, luma, chroma)
    except UserError as error:  # which names the option of a script
        raise ValueError(str(error).removeprefix("--")) from None


def _gains(space: Space, share: Strength, given: Sequence[float] | None) -> tuple[float, float, float]:
    """Returns the gains of R, G and B; ones where they are of no account."""
    if space == "srgb" and given is not None:
        raise ValueError("white_balance is for packed RAW; a photo is balanced")
    if given is None:
        if space == "raw" and share.luma != share.chroma:
            raise ValueError("luma and chroma of packed RAW differ; give white_balance=(R, G, B), the gains of grey")
        return 1.0, 1.0, 1.0
    gains = [float(gain) for gain in given]
    if len(gains) != 3 or not all(0 < gain < float("inf") for gain in gains):
        raise ValueError(f"white_balance {tuple(gains)}: expected three gains above 0, of R, G and B")
    return gains[0], gains[1], gains[2]


def _noise_level(noise: NoiseLevel | None, packed_raw: Tensor) -> tuple[Tensor, Tensor]:
    """Returns shot and read noise of packed RAW (4, H, W), each (1, 1) or (1, 4)."""
    if noise is None:
        try:
            noise = estimate_noise(packed_raw)
        except ValueError:
            raise ValueError(
                "the image is too small, too dark or too uniform to estimate its noise; give noise=(shot, read)"
            ) from None
    if isinstance(noise, str):
        noise = _own_level(noise)
    shot, read = (noise.shot_noise, noise.read_noise) if isinstance(noise, FixedNoise) else noise
    return _level("shot", shot), _level("read", read)


def _own_level(noise: str) -> FixedNoise | tuple[Level, Level]:
    """Returns the one noise level that a text names. Raises NoiseError."""
    parsed = find_noise(noise)
    if isinstance(parsed, CameraNoise) and parsed.iso is not None:
        return parsed.levels()
    if isinstance(parsed, FixedNoise):
        return parsed
    advice = f"{noise}@ISO" if isinstance(parsed, CameraNoise) else "shot=0.01,read=0.0005"
    raise NoiseError(f"noise {noise!r} is a range of levels; give this image's own, as {advice}")


def _level(name: str, value: Level) -> Tensor:
    level = torch.as_tensor(value, dtype=torch.float32).reshape(1, -1)
    if level.shape[1] not in (1, 4) or not (level.min() >= 0 and level.max() <= 1):
        raise NoiseError(f"{name} noise {value}: expected a variance in [0, 1], or four, of R, G_r, G_b and B")
    return level


def _pair_seeds(batches: Sequence[Images], seed: int, given: int | Sequence[int] | None) -> list[int]:
    """Returns the seed of every photo's noise."""
    photos = [photo for images in batches for photo in images.batch]
    if given is None:
        return [seed_of_pair(seed, _digest(photo)) for photo in photos]
    exact = list(given) if isinstance(given, Sequence) else [given]
    if len(exact) != len(photos):
        raise ValueError(f"expected one pair_seed for each photo, {len(photos)} in all, got {len(exact)}")
    return exact


def _digest(image: Tensor) -> str:
    """Returns a hash of the values and the shape of an image."""
    pixels = np.ascontiguousarray(image.cpu().numpy())
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()


def _pair_like(pair: NoisyCleanPair[Tensor], images: Images, like: Image) -> NoisyCleanPair[Image]:
    """Returns a pair in the form of the photo that it was made of; RAW stays float32."""
    one = replace(images, alone=True)

    def srgb(image: Tensor | None) -> Image | None:
        return None if image is None else one.restore(image[None], like)

    def raw(image: Tensor) -> Image:
        return image.to(like.device) if isinstance(like, Tensor) else np.ascontiguousarray(image.cpu())

    return NoisyCleanPair(
        clean_raw=raw(pair.clean_raw),
        noisy_raw=raw(pair.noisy_raw),
        clean_srgb=srgb(pair.clean_srgb),
        noisy_srgb=srgb(pair.noisy_srgb),
        shot_noise=pair.shot_noise,
        read_noise=pair.read_noise,
        noise_origin=pair.noise_origin,
    )
