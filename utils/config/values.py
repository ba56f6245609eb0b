"""What the sections of a recipe are made of: a base class, and types of values with ranges."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

FARTHEST_SCALE = 1000  # photos are neither enlarged nor reduced by more
WIDEST_BLUR = 4.0  # pixels: the largest sigma of a noise reduction, on which its kernel is cut


class Section(BaseModel):
    """A part of a recipe. Unknown keys are errors, and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= span[0] <= span[1] < math.inf:
        raise ValueError(f"expected [low, high] with 0 <= low <= high, got {list(span)}")
    return span


def _positive(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] == 0:
        raise ValueError(f"expected factors above 0, got {list(span)}")
    return span


def _scales(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] < 1 / FARTHEST_SCALE or span[1] > FARTHEST_SCALE:
        raise ValueError(f"expected factors within 1/{FARTHEST_SCALE} and {FARTHEST_SCALE}, got {list(span)}")
    return span


def _qualities(span: tuple[float, float]) -> tuple[float, float]:
    if not 1 <= span[0] <= span[1] <= 100:
        raise ValueError(f"expected JPEG qualities within 1 and 100, got {list(span)}")
    return span


def _within_kernel(span: tuple[float, float]) -> tuple[float, float]:
    if span[1] > WIDEST_BLUR:
        raise ValueError(f"expected sigmas of at most {WIDEST_BLUR} pixels, got {span[1]}")
    return span


# Bounds far above what any machine trains, so that a slip of the keyboard costs no memory.
MOST_PIXELS = 1 << 14  # of the side of a patch
MOST_CHANNELS, MOST_BLOCKS, MOST_LEVELS, LARGEST_BATCH = 1 << 14, 1 << 10, 8, 1 << 16
Channels = Annotated[int, Field(gt=0, le=MOST_CHANNELS)]
Blocks = Annotated[int, Field(gt=0, le=MOST_BLOCKS)]
BatchSize = Annotated[int, Field(gt=0, le=LARGEST_BATCH)]

Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(gt=0, le=2**31 - 1)]
NotNegative = Annotated[int, Field(ge=0, le=2**63 - 1)]
Workers = Annotated[int, Field(ge=0, le=256)]  # processes
Share = Annotated[float, Field(ge=0, le=1)]
PhotoBlur = Annotated[float, Field(ge=0, le=5)]  # sigma in pixels that removes a photo's own noise
Span = Annotated[tuple[float, float], AfterValidator(_ordered)]  # [low, high]
Factors = Annotated[Span, AfterValidator(_positive)]  # drawn with uniform logarithm
Scales = Annotated[Factors, AfterValidator(_scales)]
BlurSpan = Annotated[Span, AfterValidator(_within_kernel)]
Qualities = Annotated[Span, AfterValidator(_qualities)]
HoldoutBy = Literal["time", "folder", "file"]  # which RAW files show one scene, see docs/guides/train_isp.md
Render = Literal["libraw", "camera"]  # the photo of a RAW file: LibRaw's rendering, or the camera's own JPEG
CleanTarget = Literal["input", "cycle", "residual"]  # the sRGB target of pairs, see docs/guides/make_pairs.md
