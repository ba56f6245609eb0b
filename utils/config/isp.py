"""Recipes of the ISP networks: train_rgb2raw.py and train_raw2rgb.py."""

from typing import Annotated

from pydantic import Field

from cycleisp.utils.config.sizes import IspSizes
from cycleisp.utils.config.training import TrainingRecipe
from cycleisp.utils.config.values import (
    MOST_PIXELS,
    HoldoutBy,
    NotNegative,
    Positive,
    Render,
    Section,
    Share,
    Span,
)


class IspData(Section):
    """What the ISP networks train on. The folders themselves are options of the command line."""

    render: Render = "libraw"  # what the photo of a RAW file is: LibRaw's rendering of it, or the camera's own JPEG
    patch_size: Annotated[int, Field(ge=16, le=MOST_PIXELS, multiple_of=2)] = 128
    simulated_share: Share = 0.0  # of patches that simulated cameras make from photos
    # What is kept for validation: names and a count, or else a share.
    holdout: list[str] = Field(default_factory=list)  # shell patterns of RAW names
    holdout_count: NotNegative = 0  # further RAW files
    holdout_share: Share = 0.1  # of the RAW files, or of the photos without RAW, where neither says any; at least one
    holdout_by: HoldoutBy = "time"  # files that were taken within seconds are kept together; or folder, or file
    scene_gap: Annotated[float, Field(ge=0)] = 10.0  # seconds: the longest pause within a scene, with holdout_by: time
    scenes: list[str] = Field(default_factory=list)  # patterns of names that show one scene, drawn equally often
    validation_patches: Positive = 32
    validation_size: Annotated[int, Field(ge=16, le=MOST_PIXELS, multiple_of=2)] = 256


class IspLoss(Section):
    """The weights of the losses."""

    log_epsilon: Annotated[float, Field(gt=0, lt=1)] = 1e-3  # darkest RAW value that the log loss tells apart
    beta: Share = 0.5  # joint stage: weight of the RGB2RAW loss
    true_raw_share: Share = 0.0  # joint stage: part of the RAW2RGB loss that is taken on true RAW


class Views(Section):
    """Colour matching: how the renderings of two views differ, and how far apart the views are.

    A factor f here means that factors are drawn from 1/f to f, with uniform logarithm.
    """

    white_balance: Annotated[float, Field(ge=1)] = 1.6  # of linear red and of linear blue
    exposure: Annotated[float, Field(ge=1)] = 1.3  # of linear light
    gamma: Annotated[float, Field(ge=1)] = 1.4  # of display-encoded values
    contrast: Span = (0.0, 0.8)  # part of an S-shaped tone curve
    saturation: Span = (0.4, 1.6)
    hue: Annotated[float, Field(ge=0, le=180)] = 20.0  # largest rotation in degrees
    unchanged_share: Share = 0.1  # of renderings that leave the photo as it is
    shift: Share = 0.25  # largest distance of the views, in sides of the patch


class IspRecipe(TrainingRecipe):
    """One experiment with the ISP networks."""

    network: IspSizes = IspSizes()
    data: IspData = IspData()
    views: Views = Views()
    loss: IspLoss = IspLoss()
