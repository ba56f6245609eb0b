"""Recipes: what is read, what is refused, and the recipes of this repository."""

from pathlib import Path

import pytest
import torch
import yaml
from pydantic import ValidationError

from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.pretrained import build
from cycleisp.utils.config import (
    ColorCorrectionSizes,
    ConfigError,
    DenoiserRecipe,
    DenoiserSizes,
    GenerationRecipe,
    IspRecipe,
    Raw2RgbSizes,
    Rgb2RawSizes,
    Synthesis,
    check_recipe,
    dump_recipe,
    find_recipe,
    load_recipe,
    read_yaml,
    shipped_recipes,
)
from cycleisp.utils.errors import UserError
from cycleisp.utils.weights.kinds import denoiser_for, sizes_for
from tests.support.paths import ROOT

# Denoisers have a recipe of their own kind.
ISP_RECIPES = sorted(
    path
    for folder in ("compact", "paper")
    for path in (ROOT / "configs" / folder).glob("*.yaml")
    if not path.name.startswith("denoiser")
)
DENOISER_RECIPES = sorted([*(ROOT / "configs").rglob("denoiser_*.yaml"), *(ROOT / "configs").rglob("gated_*.yaml")])
PAPER_DENOISERS = [path for path in DENOISER_RECIPES if path.parent.name == "paper"]
SMALLEST = "train:\n  steps: 10\n  batch_size: 2\n"


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(SMALLEST)
    return path


@pytest.mark.parametrize("path", ISP_RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_recipes_of_this_repository_load(path: Path) -> None:
    recipe = load_recipe(IspRecipe, path)
    assert recipe.train.warmup < recipe.train.steps
    assert all(milestone < recipe.train.steps for milestone in recipe.train.milestones)


@pytest.mark.parametrize("path", DENOISER_RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_denoiser_recipes_of_this_repository_load(path: Path) -> None:
    recipe = load_recipe(DenoiserRecipe, path)
    assert recipe.train.warmup < recipe.train.steps
    assert all(milestone < recipe.train.steps for milestone in recipe.train.milestones)
    kind = denoiser_for("raw" if "raw" in path.name else "srgb", recipe.network)
    with torch.device("meta"):
        network = build(kind, sizes_for(kind, recipe.network))
    assert isinstance(network, Denoiser)
    for size in (recipe.data.patch_size, recipe.data.validation_size):
        assert size % (2 * network.multiple) == 0  # RAW has half of it a side


@pytest.mark.parametrize("path", PAPER_DENOISERS, ids=lambda path: path.name)
def test_denoisers_of_the_paper_are_the_default_networks_and_synthesis(path: Path) -> None:
    recipe = load_recipe(DenoiserRecipe, path)
    assert recipe.network.denoiser == DenoiserSizes()
    noise = "sidd" if "sidd" in path.name else "dnd"
    assert recipe.synthesis == Synthesis(noise=[noise], clean_target="input")


def test_all_four_denoisers_of_the_paper_are_there() -> None:
    names = {f"denoiser_{space}_{noise}.yaml" for space in ("raw", "srgb") for noise in ("dnd", "sidd")}
    assert {path.name for path in PAPER_DENOISERS} == names


def test_the_smoke_recipe_loads_and_takes_a_moment() -> None:
    recipe = load_recipe(DenoiserRecipe, ROOT / "configs" / "denoiser_smoke.yaml")
    assert recipe.train.steps <= 20
    assert 0 < recipe.synthesis.learned_share < 1  # both kinds of camera are shown to work


# ---------------------------------------------------------------- what is read


def test_what_the_file_leaves_out_has_its_default(recipe_file: Path) -> None:
    recipe = load_recipe(IspRecipe, recipe_file)
    assert (recipe.train.steps, recipe.train.batch_size) == (10, 2)
    assert recipe == IspRecipe.model_validate({"train": {"steps": 10, "batch_size": 2}})


def test_default_networks_are_the_papers() -> None:
    for sizes in (Rgb2RawSizes(), Raw2RgbSizes()):
        assert (sizes.width, sizes.num_groups, sizes.num_blocks, sizes.reduction) == (96, 3, 5, 8)
    denoiser = DenoiserSizes()
    assert (denoiser.width, denoiser.num_groups, denoiser.num_blocks, denoiser.reduction) == (64, 4, 8, 16)
    assert denoiser.unshuffle == 1
    guide = ColorCorrectionSizes()
    assert (guide.width, guide.num_groups, guide.num_blocks, guide.reduction) == (96, 2, 2, 8)


def test_overrides_change_and_add_values(recipe_file: Path) -> None:
    overrides = ["train.steps=99", "network.rgb2raw.width=8", "train.learning_rate=1e-4", "train.milestones=[3, 7]"]
    recipe = load_recipe(IspRecipe, recipe_file, [*overrides, "data.holdout=['a*', b]", "train.schedule=cosine"])
    assert recipe.train.steps == 99
    assert recipe.train.batch_size == 2
    assert recipe.network.rgb2raw.width == 8
    assert recipe.train.learning_rate == 1e-4
    assert recipe.train.milestones == [3, 7]
    assert recipe.data.holdout == ["a*", "b"]
    assert recipe.train.schedule == "cosine"


def test_the_last_of_two_overrides_wins(recipe_file: Path) -> None:
    assert load_recipe(IspRecipe, recipe_file, ["seed=1", "seed=2"]).seed == 2


def test_a_value_may_hold_an_equals_sign() -> None:
    content = {"input": ["photos"], "output": "pairs", "noise": "shot=0.01,read=0.0005"}
    assert check_recipe(GenerationRecipe, content, "command line").noise == "shot=0.01,read=0.0005"


def test_an_override_may_hold_an_equals_sign(tmp_path: Path) -> None:
    path = tmp_path / "generate.yaml"
    path.write_text("input: [photos]\noutput: pairs\n")
    assert load_recipe(GenerationRecipe, path, ["noise=shot=0.01,read=0.0005"]).noise == "shot=0.01,read=0.0005"


def test_a_dumped_recipe_loads_as_the_same(tmp_path: Path, recipe_file: Path) -> None:
    recipe = load_recipe(IspRecipe, recipe_file, ["train.learning_rate=3e-7", "data.holdout=['*: #', 'null']"])
    again = tmp_path / "resolved.yaml"
    again.write_text(dump_recipe(recipe))
    assert load_recipe(IspRecipe, again) == recipe
    assert yaml.safe_load(dump_recipe(recipe))["network"]["raw2rgb"]["width"] == 96  # defaults are filled in


def test_values_never_change(recipe_file: Path) -> None:
    recipe = load_recipe(IspRecipe, recipe_file)
    with pytest.raises(ValidationError):
        recipe.seed = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        recipe.train.steps = 3  # type: ignore[misc]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (SMALLEST + "sede: 1\n", "sede"),
        (SMALLEST + "  step: 5\n", "train.step"),
        (SMALLEST + "network:\n  rgb2raw:\n    channels: 8\n", "network.rgb2raw.channels"),
        ("train:\n  steps: 10\n", "train.batch_size"),
        ("seed: 1\n", "train"),
        (SMALLEST + "seed: -1\n", "seed"),
        (SMALLEST + "loss:\n  beta: 1.5\n", "loss.beta"),
        (SMALLEST + "  optimizer: sgd\n", "train.optimizer"),
        (SMALLEST + "  learning_rate: fast\n", "train.learning_rate"),
        (SMALLEST + "  learning_rate: .nan\n", "train.learning_rate"),
        (SMALLEST + "data:\n  patch_size: 65\n", "data.patch_size"),
        (SMALLEST + "data: 3\n", "data"),
        ("train:\n  steps: 0\n  batch_size: 2\n", "train.steps"),
    ],
)
def test_a_bad_key_or_value_is_named_together_with_the_file(recipe_file: Path, content: str, key: str) -> None:
    recipe_file.write_text(content)
    with pytest.raises(ConfigError) as refused:
        load_recipe(IspRecipe, recipe_file)
    assert str(refused.value).startswith(f"{recipe_file}: ")
    assert f" {key}: " in str(refused.value)


def test_spans_are_read_as_pairs(recipe_file: Path) -> None:
    recipe = load_recipe(DenoiserRecipe, recipe_file, ["data.scale=[0.5, 2]", "synthesis.luma_blur=[0, 0]"])
    assert recipe.data.scale == (0.5, 2.0)
    assert recipe.synthesis.luma_blur == (0.0, 0.0)


@pytest.mark.parametrize("span", ["[2, 1]", "[-1, 1]", "[1]", "[1, 2, 3]", "1", "[a, b]", "[.nan, 1]", "[1, .inf]"])
@pytest.mark.parametrize("key", ["data.scale", "synthesis.awgn_sigma", "synthesis.jpeg_quality"])
def test_a_bad_span_is_refused_by_name(recipe_file: Path, key: str, span: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_recipe(DenoiserRecipe, recipe_file, [f"{key}={span}"])
    assert f" {key}" in str(refused.value)


def test_a_span_the_wrong_way_round_is_explained(recipe_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected \[low, high\] with 0 <= low <= high, got \[2\.0, 1\.0\]"):
        load_recipe(DenoiserRecipe, recipe_file, ["synthesis.contrast=[2, 1]"])


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("data.scale=[0, 1]", "data.scale"),  # a factor of 0 has no logarithm
        ("data.brightness=[0, 0]", "data.brightness"),
        ("synthesis.jpeg_quality=[0, 90]", "synthesis.jpeg_quality"),
        ("synthesis.jpeg_quality=[80, 101]", "synthesis.jpeg_quality"),
        ("synthesis.noise=[]", "synthesis.noise"),
        ("synthesis.noise=dnd", "synthesis.noise"),
        ("synthesis.learned_share=1.1", "synthesis.learned_share"),
        ("synthesis.clean_target=photo", "synthesis.clean_target"),
        ("synthesis.blur=6", "synthesis.blur"),
        ("data.patch_size=60", "data.patch_size"),
        ("data.validation_size=8", "data.validation_size"),
        ("network.denoiser.unshuffle=3", "network.denoiser.unshuffle"),
        ("network.rgb2raw.width=8", "network.rgb2raw"),
    ],
)
def test_a_value_that_no_denoiser_can_train_with_is_refused_by_name(recipe_file: Path, override: str, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_recipe(DenoiserRecipe, recipe_file, [override])
    assert f" {key}: " in str(refused.value)


def test_every_problem_is_told_at_once(recipe_file: Path) -> None:
    recipe_file.write_text(SMALLEST + "sede: 1\nloss:\n  beta: 2\n")
    with pytest.raises(ConfigError, match=r"(?s)loss\.beta.*sede|sede.*loss\.beta"):
        load_recipe(IspRecipe, recipe_file)


@pytest.mark.parametrize("override", ["train.step=5", "sede=1", "loss.gamma.x=1"])
def test_an_override_of_an_unknown_key_is_refused_by_name(recipe_file: Path, override: str) -> None:
    key = override.partition("=")[0].removesuffix(".x")
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        load_recipe(IspRecipe, recipe_file, [override])


@pytest.mark.parametrize("override", ["train.steps", "=5", "", "train.steps.more=5", "train.steps=", "train.steps=0"])
def test_a_senseless_override_is_refused(recipe_file: Path, override: str) -> None:
    with pytest.raises(ConfigError):
        load_recipe(IspRecipe, recipe_file, [override])


@pytest.mark.parametrize("override", ["train.milestones=[3, 7", "data.holdout=*.dng", "seed={", "seed='1"])
def test_an_override_that_is_no_yaml_is_refused_and_named(recipe_file: Path, override: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_recipe(IspRecipe, recipe_file, [override])
    assert override in str(refused.value)


@pytest.mark.parametrize("content", ["train: [1, 2\n", "a: b: c\n", "\t- x\n", "train: *nowhere\n"])
def test_what_is_no_yaml_is_refused_with_the_file(recipe_file: Path, content: str) -> None:
    recipe_file.write_text(content)
    with pytest.raises(ConfigError, match=r"recipe\.yaml: not YAML"):
        read_yaml(recipe_file)


@pytest.mark.parametrize(
    "content", [b"\x80\x02}q\x00.", b"PK\x03\x04\xff\xfe", b"\x00\x01"], ids=["pickle", "zip", "nul"]
)
def test_a_binary_file_is_refused_with_its_name(recipe_file: Path, content: bytes) -> None:
    """For example a checkpoint given as --config."""
    recipe_file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"recipe\.yaml"):
        load_recipe(IspRecipe, recipe_file)


@pytest.mark.parametrize("content", ["", "# nothing but a comment\n", "- a\n- list\n", "word\n"])
def test_a_file_without_keys_is_refused(recipe_file: Path, content: str) -> None:
    recipe_file.write_text(content)
    with pytest.raises(ConfigError, match=r"recipe\.yaml: expected keys and values"):
        read_yaml(recipe_file)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read"):
        load_recipe(IspRecipe, tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(IspRecipe, tmp_path)


# ---------------------------------------------------------------- shipped recipes


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "shipped").glob("*.yaml")), ids=lambda path: path.name)
def test_recipes_of_shipped_weights_differ_from_those_for_any_files_in_what_they_hold_out(path: Path) -> None:
    kind = DenoiserRecipe if path.name.startswith("denoiser") else IspRecipe
    exact, any_files = (load_recipe(kind, f"{folder}/{path.name}").model_dump() for folder in ("shipped", "compact"))
    held = ("holdout", "scenes", "holdout_share")
    exact_holds, any_holds = ([recipe["data"].pop(key, []) for key in held] for recipe in (exact, any_files))
    assert exact == any_files
    assert exact_holds[2] == 0 or (exact_holds[0] and exact_holds[1])
    assert any_holds == [[], [], 0.1]


def test_a_shipped_recipe_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe("compact/joint.yaml") == ROOT / "configs" / "compact" / "joint.yaml"
    assert find_recipe("configs/compact/joint.yaml") == find_recipe("compact/joint.yaml")
    recipe = load_recipe(DenoiserRecipe, Path("denoiser_smoke.yaml"), ["train.steps=7"])
    assert recipe.train.steps == 7
    names = {path.relative_to(ROOT / "configs").as_posix() for path in (ROOT / "configs").rglob("*.yaml")}
    names = {name for name in names if not name.startswith("noise/")}  # noise files of cameras
    assert set(shipped_recipes()) == names


def test_a_file_comes_before_a_shipped_recipe_of_its_name(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "smoke.yaml"
    own.write_text(recipe_file.read_text())
    assert find_recipe("smoke.yaml") == Path("smoke.yaml")


@pytest.mark.parametrize("name", ["compact", "compact/none.yaml", "../setup.py", "joint.yaml"])
def test_a_recipe_that_is_not_shipped_is_refused_and_the_others_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigError, match=r"cannot be read .*; shipped recipes: compact/color_matching\.yaml, "
    ) as refused:
        load_recipe(IspRecipe, name)
    assert str(refused.value).startswith(f"{name}: ")


def test_a_refused_recipe_is_a_user_error() -> None:
    assert issubclass(ConfigError, UserError)
