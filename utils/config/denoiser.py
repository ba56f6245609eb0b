"""Recipes of the denoisers: train_denoiser.py."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from cycleisp.utils.config.sizes import DenoiserNetwork
from cycleisp.utils.config.training import TrainingRecipe
from cycleisp.utils.config.values import (
    MOST_PIXELS,
    BlurSpan,
    CleanTarget,
    Factors,
    PhotoBlur,
    Positive,
    Qualities,
    Scales,
    Section,
    Share,
    Span,
)
from cycleisp.utils.raw.sensor_noise.ranges import FINEST, HEAVIEST, LIGHTEST


def _shapes(span: tuple[float, float]) -> tuple[float, float]:
    if not HEAVIEST <= span[0] <= span[1] <= LIGHTEST:
        raise ValueError(f"expected [low, high] within {HEAVIEST} and {LIGHTEST}, got {list(span)}")
    return span


def _densities(span: tuple[float, float]) -> tuple[float, float]:
    if span[1] > 1:
        raise ValueError(f"expected [low, high] of at most 1, got {list(span)}")
    return span


def _bits(span: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= span[0] <= span[1] <= FINEST:
        raise ValueError(f"expected [low, high] within 1 and {FINEST} bits, got {list(span)}")
    return span


Shapes = Annotated[tuple[float, float], AfterValidator(_shapes)]
Densities = Annotated[Span, AfterValidator(_densities)]
Bits = Annotated[tuple[int, int], AfterValidator(_bits)]


class DenoiserData(Section):
    """What a denoiser trains on. The folders themselves are options of the command line."""

    patch_size: Annotated[int, Field(ge=16, le=MOST_PIXELS, multiple_of=8)] = 128
    scale: Scales = (1.0, 1.0)  # photos are reduced by a factor of this span; a factor below 1 enlarges them
    brightness: Factors = (1.0, 1.0)  # linear light of a photo is multiplied by a factor of this span
    holdout_share: Share = 0.1  # of the photos, or of the pairs' photos, kept for validation; at least one
    pair_shares: list[Annotated[float, Field(gt=0)]] = Field(default_factory=list)  # how often each folder is drawn
    validation_patches: Positive = 32
    validation_size: Annotated[int, Field(ge=16, le=MOST_PIXELS, multiple_of=8)] = 256


class Synthesis(Section):
    """How a clean photo becomes noisy. The defaults are the paper's, but for the clean target.

    Every patch draws its own values from the spans.
    """

    # Noise profiles, and noise files of cameras (camera.yaml, camera.yaml@ISO), each as likely as
    # the others; or awgn, which is Gaussian noise on sRGB.
    noise: list[str] = Field(min_length=1, default_factory=lambda: ["dnd"])
    awgn_sigma: Span = (0.0, 55.0)  # of awgn, in 8 bit levels
    learned_share: Share = 1.0  # of patches that pass CycleISP; the others pass simulated cameras
    clean_target: CleanTarget = "residual"  # of CycleISP; paper: input
    blur: PhotoBlur = 1.0  # sigma in pixels that removes a photo's own noise
    read_noise_factor: Factors = (1.0, 1.0)  # the profile's read noise is multiplied by a factor of this span
    # Further parts of the sensor's noise, off by default. What a camera's file states comes first.
    poisson: bool = False  # counts electrons where they are few
    tail: Shapes | None = None  # of Tukey's lambda distribution of read noise, from -0.3 (heavy) to 1; none is Gaussian
    row_noise: Span = (0.0, 0.0)  # variance of the offset of a mosaic's row, as a multiple of the read noise
    column_noise: Span = (0.0, 0.0)  # likewise of a column
    hot_pixels: Densities = (0.0, 0.0)  # share of the photosites with dark current of their own
    hot_amplitude: Densities = (0.05, 0.5)  # its mean, in units of white
    dead_pixels: Densities = (0.0, 0.0)  # share of the photosites that are black
    quantization_bits: Bits | None = None  # whole numbers: values are rounded to multiples of 2^-bits
    light_center: Annotated[float, Field(ge=2500, le=9000)] = 5500.0  # simulated cameras: the middle light, in kelvin
    light_spread: Annotated[float, Field(ge=0)] = 45.0  # simulated cameras: deviation from it, in mired
    frame_average: Share = 0.0  # sRGB: how far the target goes to the mean of many frames, each clipped to [0, 1]
    demosaicking: Span = (0.0, 1.0)  # simulated cameras: 0 bilinear, 1 gradient-corrected (Malvar et al.)
    color_matrix: Span = (1.0, 1.0)  # simulated cameras: 1 the sensor's, 0 none; its noise couples the channels
    contrast: Span = (0.0, 0.0)  # simulated cameras: part of an S-shaped tone curve in the display curve
    plain_contrast: Share = 1.0  # multiplies it where the camera does not smooth noise, as where RAW is just developed
    binned_share: Share = 0.0  # simulated cameras: downscaled by two, which leaves the noise without correlation
    noise_reduction_share: Share = 0.0  # of patches whose noise the camera has smoothed
    luma_blur: BlurSpan = (0.0, 0.0)  # by a Gaussian of this sigma in pixels
    chroma_blur: BlurSpan = (0.0, 0.0)
    chroma_noise: Factors = (1.0, 1.0)  # multiplies the colour noise, fine and coarse, that this blur has left
    sharpening: Factors = (1.0, 1.0)  # multiplies the noise that noise reduction has left
    jpeg_share: Share = 0.0  # of patches that the camera stores as JPEG
    jpeg_quality: Qualities = (80.0, 98.0)


class DenoiserLoss(Section):
    """How far a denoised image is from the clean one."""

    kind: Literal["l1", "psnr"] = "l1"  # paper: l1; psnr is each image's own, so clean images count as noisy ones do
    ceiling: Annotated[float, Field(gt=0, le=100)] = 60.0  # psnr, dB: so good an image counts half
    relative: bool = False  # RAW, l1: in units of the deviation of each image's noise
    teachers: tuple[str, ...] = ()  # denoisers, by shipped name or path, whose mean result is learned; paper: none
    teachers_share: Share = 1.0  # how far the target goes from the clean image to theirs
    teachers_turned: bool = False  # sRGB: they see the images mirrored and turned, so their mean over that is learned

    @model_validator(mode="after")
    def _fit(self) -> "DenoiserLoss":
        if self.relative and self.kind == "psnr":
            raise ValueError("relative is for l1: with psnr each image counts alike already")
        return self


class DenoiserRecipe(TrainingRecipe):
    """One experiment with a denoiser."""

    network: DenoiserNetwork = DenoiserNetwork()
    data: DenoiserData = DenoiserData()
    synthesis: Synthesis = Synthesis()
    loss: DenoiserLoss = DenoiserLoss()
