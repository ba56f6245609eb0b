"""Recipes: one complete experiment per YAML file, checked before anything runs.

    values      what every section of a recipe is made of: ranges, shares, spans
    sizes       the sizes of the networks
    training    the training loop
    isp         recipes of train_rgb2raw.py and train_raw2rgb.py
    denoiser    recipes of train_denoiser.py
    generation  recipes of generate_data.py
    files       reading recipes from YAML, with overrides, and writing them

Other rooms import from this one: `from cycleisp.utils.config import IspRecipe, load_recipe`.
"""

from cycleisp.utils.config.denoiser import DenoiserData, DenoiserLoss, DenoiserRecipe, Synthesis
from cycleisp.utils.config.files import (
    ConfigError,
    Recipe,
    check_recipe,
    dump_recipe,
    find_recipe,
    load_recipe,
    read_yaml,
    shipped_recipes,
)
from cycleisp.utils.config.generation import GenerationRecipe
from cycleisp.utils.config.isp import IspData, IspLoss, IspRecipe, Views
from cycleisp.utils.config.sizes import (
    ColorCorrectionSizes,
    DenoiserNetwork,
    DenoiserSizes,
    IspSizes,
    Raw2RgbSizes,
    Rgb2RawSizes,
)
from cycleisp.utils.config.training import Training, TrainingRecipe
from cycleisp.utils.config.values import Section

__all__ = [
    "ColorCorrectionSizes",
    "ConfigError",
    "DenoiserData",
    "DenoiserLoss",
    "DenoiserNetwork",
    "DenoiserRecipe",
    "DenoiserSizes",
    "GenerationRecipe",
    "IspData",
    "IspLoss",
    "IspRecipe",
    "IspSizes",
    "Raw2RgbSizes",
    "Recipe",
    "Rgb2RawSizes",
    "Section",
    "Synthesis",
    "Training",
    "TrainingRecipe",
    "Views",
    "check_recipe",
    "dump_recipe",
    "find_recipe",
    "load_recipe",
    "read_yaml",
    "shipped_recipes",
]
