"""The functions that train: recipes by name, path or object, stopping, resuming, weights."""

from pathlib import Path

import pytest

from cycleisp.networks import CycleISP, GuidedRaw2Rgb, RawDenoiser, Rgb2Raw
from cycleisp.networks.pretrained import load_network
from cycleisp.tasks.training import train_denoiser, train_raw2rgb, train_rgb2raw
from cycleisp.utils.config import DenoiserRecipe, IspRecipe, dump_recipe, load_recipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.training.errors import TrainingError
from tests.support.pictures import random_picture, write_png
from tests.support.training import metrics

SHORT = ("train.steps=2", "train.log_every=1", "train.checkpoint_every=1", "train.validate_every=1")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write_png(tmp_path / "photo.png", random_picture(80, 96))


@pytest.fixture
def isp_recipe() -> IspRecipe:
    return load_recipe(IspRecipe, "smoke.yaml", SHORT)


def test_a_run_stops_and_the_same_call_resumes_it(tmp_path: Path, photo: Path, tiny_weights: Path) -> None:
    recipe = load_recipe(DenoiserRecipe, "denoiser_smoke.yaml", SHORT)
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe))
    options = {"photos": photo, "weights": str(tiny_weights), "device": "cpu"}
    assert not train_denoiser(recipe, tmp_path / "run", "raw", **options, stop_after=0)
    assert [record["step"] for record in metrics(tmp_path / "run")] == [1]
    assert train_denoiser(tmp_path / "recipe.yaml", str(tmp_path / "run"), "raw", **options)
    assert [record["step"] for record in metrics(tmp_path / "run")] == [1, 2]
    load_network(tmp_path / "run" / "weights.safetensors", RawDenoiser)
    with pytest.raises(TrainingError, match=r"differs in .*train\.steps"):
        train_denoiser("denoiser_smoke.yaml", tmp_path / "run", "raw", **options)


def test_branches_are_trained_alone_and_then_together(tmp_path: Path, photo: Path, isp_recipe: IspRecipe) -> None:
    data = {"photos": [photo], "device": "cpu"}
    paths = {name: tmp_path / name / "weights.safetensors" for name in ("rgb2raw", "raw2rgb", "joint", "matching")}
    assert train_rgb2raw(isp_recipe, tmp_path / "rgb2raw", **data)
    assert train_raw2rgb(isp_recipe, tmp_path / "raw2rgb", **data)
    starts = {"rgb2raw": paths["rgb2raw"], "raw2rgb": paths["raw2rgb"]}
    assert train_raw2rgb(isp_recipe, tmp_path / "joint", stage="joint", **starts, **data)
    assert train_raw2rgb(isp_recipe, tmp_path / "matching", stage="matching", isp=paths["joint"], **data)
    load_network(paths["rgb2raw"], Rgb2Raw)
    load_network(paths["raw2rgb"], GuidedRaw2Rgb)
    load_network(paths["matching"], CycleISP)


def test_what_cannot_be_is_said_before_anything_is_written(tmp_path: Path, isp_recipe: IspRecipe) -> None:
    with pytest.raises(UserError, match="give --photos"):
        train_rgb2raw(isp_recipe, tmp_path / "run", device="cpu")
    with pytest.raises(UserError, match="start the stages joint and matching"):
        train_raw2rgb(isp_recipe, tmp_path / "run", isp="compact_isp", device="cpu")
    with pytest.raises(ValueError, match="expected one of raw2rgb, joint, matching"):
        train_raw2rgb(isp_recipe, tmp_path / "run", stage="both", device="cpu")  # type: ignore
    assert not (tmp_path / "run").exists()
