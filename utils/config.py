"""Recipes: one complete experiment per YAML file, checked before anything runs."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cycleisp.networks.synthesis.finishing import WIDEST_BLUR
from cycleisp.utils.devices import Precision
from cycleisp.utils.errors import UserError


class ConfigError(UserError):
    """A recipe that cannot be used; the message names the file, the key and what was expected."""


class Section(BaseModel):
    """A part of a recipe. Unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= span[0] <= span[1] < math.inf:
        raise ValueError(f"expected [low, high] with 0 <= low <= high, got {list(span)}")
    return span


def _positive(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] == 0:
        raise ValueError(f"expected factors above 0, got {list(span)}")
    return span


def _qualities(span: tuple[float, float]) -> tuple[float, float]:
    if not 1 <= span[0] <= span[1] <= 100:
        raise ValueError(f"expected JPEG qualities within 1 and 100, got {list(span)}")
    return span


Span = Annotated[tuple[float, float], AfterValidator(_ordered)]


def _within_kernel(span: tuple[float, float]) -> tuple[float, float]:
    if span[1] > WIDEST_BLUR:
        raise ValueError(f"expected sigmas of at most {WIDEST_BLUR} pixels, got {span[1]}")
    return span


BlurSpan = Annotated[Span, AfterValidator(_within_kernel)]
Factors = Annotated[Span, AfterValidator(_positive)]  # drawn with uniform logarithm
Qualities = Annotated[Span, AfterValidator(_qualities)]


class Rgb2RawSizes(Section):
    """Arguments of networks.Rgb2Raw; the defaults are the paper's."""

    width: Positive = 96
    num_groups: Positive = 3
    num_blocks: Positive = 5
    reduction: Positive = 8
    unshuffle: Literal[1, 2] = 1
    companded: bool = False


class Raw2RgbSizes(Section):
    """Arguments of networks.Raw2Rgb; the defaults are the paper's."""

    width: Positive = 96
    num_groups: Positive = 3
    num_blocks: Positive = 5
    reduction: Positive = 8
    companded: bool = False


class ColorCorrectionSizes(Section):
    """Arguments of networks.ColorCorrection; the defaults are the released network's."""

    width: Positive = 96
    num_groups: Positive = 2
    num_blocks: Positive = 2
    reduction: Positive = 8
    blur: Literal["released", "full"] = "released"
    unshuffle: Literal[1, 2] = 1


class IspSizes(Section):
    rgb2raw: Rgb2RawSizes = Rgb2RawSizes()
    raw2rgb: Raw2RgbSizes = Raw2RgbSizes()
    color_correction: ColorCorrectionSizes = ColorCorrectionSizes()


class IspData(Section):
    """What the ISP networks train on; the folders themselves come from the command line."""

    patch_size: Annotated[int, Field(ge=16, multiple_of=2)] = 128
    simulated_share: Share = 0.0  # of patches made from photos by simulated cameras
    holdout: list[str] = []  # shell patterns of RAW names kept for validation
    scenes: list[str] = []  # shell patterns of RAW names that show one scene, drawn equally often
    holdout_count: NotNegative = 0  # further RAW files kept for validation
    validation_patches: Positive = 32
    validation_size: Annotated[int, Field(ge=16, multiple_of=2)] = 256


class IspLoss(Section):
    log_epsilon: Annotated[float, Field(gt=0, lt=1)] = 1e-3  # darkest RAW value that the log loss tells apart
    beta: Share = 0.5  # joint stage: weight of the RGB2RAW loss
    true_raw_share: Share = 0.0  # joint stage: part of the RAW2RGB loss taken on true RAW


class Views(Section):
    """Colour matching: how the renderings of two views differ, and how far the views are apart.

    Factors f are drawn from 1/f to f with uniform logarithm.
    """

    white_balance: Annotated[float, Field(ge=1)] = 1.6  # of linear red and of linear blue
    exposure: Annotated[float, Field(ge=1)] = 1.3  # of linear light
    gamma: Annotated[float, Field(ge=1)] = 1.4  # of display-encoded values
    contrast: Span = (0.0, 0.8)  # part of an S-shaped tone curve
    saturation: Span = (0.4, 1.6)
    hue: Annotated[float, Field(ge=0, le=180)] = 20.0  # largest turn in degrees
    unchanged_share: Share = 0.1  # of renderings that leave the photo as it is
    shift: Share = 0.25  # largest distance of the views, of the patch


class Training(Section):
    """The loop."""

    steps: Positive
    batch_size: Positive
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["step", "cosine"] = "step"
    milestones: list[Positive] = []  # step schedule: steps after which the rate is multiplied by `gamma`
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    warmup: NotNegative = 0  # cosine schedule: steps of linear rise
    final_learning_rate: Annotated[float, Field(ge=0)] = 0.0  # cosine schedule: rate at the last step
    gradient_clip: Annotated[float, Field(ge=0)] = 0.0  # largest gradient norm, 0 for none
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0  # 0 for none
    precision: Precision = "auto"  # auto: bf16 on CUDA that has it, else float32
    compiled: bool = True  # on CUDA: compile the blocks, record the trunks
    save_memory: bool = False  # keep only the blocks' inputs and compute the rest again: a third slower, same result
    workers: NotNegative = 2  # loader processes
    log_every: Positive = 20
    checkpoint_every: Positive = 500
    validate_every: Positive = 2000


class TrainingRecipe(Section):
    """What every training experiment has."""

    seed: NotNegative = 0
    train: Training


class IspRecipe(TrainingRecipe):
    """One experiment with the ISP networks: train_rgb2raw.py and train_raw2rgb.py."""

    network: IspSizes = IspSizes()
    data: IspData = IspData()
    views: Views = Views()
    loss: IspLoss = IspLoss()


class DenoiserSizes(Section):
    """Arguments of networks.RawDenoiser and networks.SrgbDenoiser; the defaults are the paper's."""

    width: Positive = 64
    num_groups: Positive = 4
    num_blocks: Positive = 8
    reduction: Positive = 16
    unshuffle: Literal[1, 2, 4] = 1


class DenoiserNetwork(Section):
    denoiser: DenoiserSizes = DenoiserSizes()
    stabilized: bool = False  # RAW: work behind a variance-stabilising transform


class DenoiserData(Section):
    """What a denoiser trains on; the folders themselves come from the command line."""

    patch_size: Annotated[int, Field(ge=16, multiple_of=8)] = 128
    scale: Factors = (1.0, 1.0)  # photos are reduced by a factor of this span before use; below 1 they are enlarged
    brightness: Factors = (1.0, 1.0)  # linear light of a photo is multiplied by a factor of this span
    validation_patches: Positive = 32
    validation_size: Annotated[int, Field(ge=16, multiple_of=8)] = 256


class Synthesis(Section):
    """How a clean photo becomes noisy; spans are drawn from anew for every patch. The defaults are the paper's."""

    noise: Annotated[list[str], Field(min_length=1)] = [
        "dnd"
    ]  # profiles, each as likely as the others; or awgn: Gaussian noise on sRGB
    awgn_sigma: Span = (0.0, 55.0)  # of awgn, in 8 bit levels
    learned_share: Share = 1.0  # of patches that pass CycleISP; the others pass classical cameras
    clean_target: Literal["input", "cycle", "residual"] = "input"  # of CycleISP, see docs/generate_data.md
    blur: Annotated[float, Field(ge=0, le=5)] = 1.0  # sigma in pixels that takes a photo's own noise away
    read_noise_factor: Factors = (1.0, 1.0)  # the profile's read noise is multiplied by a factor of this span
    light_spread: Annotated[float, Field(ge=0)] = 45.0  # classical cameras: deviation from daylight, 5500 K, in mired
    frame_average: Share = 0.0  # sRGB: how far the target goes to the average of many frames, each clipped to [0, 1]
    demosaicking: Span = (0.0, 1.0)  # classical cameras: 0 bilinear, 1 gradient-corrected (Malvar et al.)
    color_matrix: Span = (1.0, 1.0)  # classical cameras: 1 the sensor's matrix, 0 none; its noise couples the channels
    contrast: Span = (0.0, 0.0)  # classical cameras: part of an S-shaped tone curve in the display curve
    binned_share: Share = 0.0  # classical cameras: downscaled by two, which leaves the noise without correlation
    noise_reduction_share: Share = 0.0  # of patches whose noise the camera has smoothed
    luma_blur: BlurSpan = (0.0, 0.0)  # by a Gaussian of this sigma in pixels
    chroma_blur: BlurSpan = (0.0, 0.0)
    sharpening: Factors = (1.0, 1.0)  # which multiplies the noise that noise reduction has left
    jpeg_share: Share = 0.0  # of patches that the camera stores as JPEG
    jpeg_quality: Qualities = (80.0, 98.0)


class DenoiserLoss(Section):
    """L1."""

    relative: bool = False  # RAW: of every image in units of its noise's deviation


class DenoiserRecipe(TrainingRecipe):
    """One experiment with a denoiser: train_denoiser.py."""

    network: DenoiserNetwork = DenoiserNetwork()
    data: DenoiserData = DenoiserData()
    synthesis: Synthesis = Synthesis()
    loss: DenoiserLoss = DenoiserLoss()


Recipe = TypeVar("Recipe", bound=Section)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        ConfigError: missing file, no YAML, or no keys.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML ({error})") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(content).__name__}")
    return content


def check_recipe(kind: type[Recipe], content: dict[str, Any], origin: str) -> Recipe:
    """A recipe of `kind` from keys and values; `origin` is for messages.

    Raises:
        ConfigError: unknown or missing key, or a value outside its range.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"{origin}: {problems}") from None


def load_recipe(kind: type[Recipe], path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe of `kind` from YAML and apply `key=value` overrides, nested keys joined by dots.

    Raises:
        ConfigError: missing file, no YAML, unknown key, or a value outside its range.
    """
    content = read_yaml(path)
    for override in overrides:
        _apply(override, content)
    return check_recipe(kind, content, str(path))


def _apply(override: str, content: dict[str, Any]) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r}: expected key=value, as train.steps=1000")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(
            f"override {override!r}: its value is not YAML; quote what YAML reads as a sign of its own"
        ) from None
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise ConfigError(f"override {override!r}: {parent} holds a value, no keys")
    content[last] = parsed


def dump_recipe(recipe: Section) -> str:
    """The whole recipe as YAML, defaults filled in."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


class GenerationRecipe(Section):
    """What generate_data.py makes; every key is also an option of its command line."""

    input: list[str]
    output: str
    space: Literal["raw", "srgb", "both"] = "both"
    noise: str = "dnd"
    residual_source: str | None = None  # of real noise, with noise: residual
    residual_match: Positive = 8  # real noise comes from the best of so many random crops; paper: 1
    weights: str = "compact_isp"
    clean_target: Literal["input", "cycle", "residual"] = "input"
    blur: Annotated[float, Field(ge=0, le=5)] = 1.0  # sigma in pixels; paper
    seed: NotNegative = 0
    limit: Positive | None = None
    variance: bool = False
    preview: bool = False
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Precision = "auto"  # auto: tf32 on CUDA, else float32
    batch_size: Positive = 1
    workers: Annotated[int, Field(ge=1, default_factory=lambda: min(8, os.cpu_count() or 1))]  # threads
