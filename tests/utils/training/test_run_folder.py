"""The run folder refuses another recipe, and names what it keeps as earlier versions did."""

from pathlib import Path

import pytest

from cycleisp.utils.config import DenoiserRecipe, dump_recipe
from cycleisp.utils.config.yaml_text import parse_yaml
from cycleisp.utils.training import run_folder
from cycleisp.utils.training.errors import TrainingError
from cycleisp.utils.weights.files import read_metadata
from tests.support.training import SIZES, Patches, checkpoint, recipe, trainer


def test_another_recipe_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path / "run", recipe()).fit(Patches(24), Patches(2))
    with pytest.raises(TrainingError, match=r"differs in train\.learning_rate"):
        trainer(tmp_path / "run", recipe(learning_rate=2e-3))
    trainer(tmp_path / "run", recipe(log_every=1, workers=1))  # housekeeping may change


def test_names_and_keys_stay_so_that_older_runs_resume(tmp_path: Path) -> None:
    trainer(tmp_path / "run", recipe()).fit(Patches(24), Patches(2))
    names = {path.name for path in (tmp_path / "run").iterdir() if not path.name.startswith("events.")}
    assert names == {"checkpoint.ckpt", "metrics.jsonl", "recipe.yaml", "weights.safetensors"}
    state = checkpoint(tmp_path / "run")
    assert state.keys() == {
        "network",
        "optimizer",
        "step",
        "recipe",
        "version",
        "rng",
        "cuda_rng",
        "average",
        "threads",
        "trains",
    }
    assert state["average"].keys() == {"n_averaged", *(f"module.{name}" for name in state["network"])}
    header = read_metadata(tmp_path / "run" / "weights.safetensors")
    assert header.keys() == {"network", "sizes", "recipe", "step", "version"}
    assert header["network"] == "Rgb2Raw" and header["sizes"] == SIZES and header["step"] == 12


def test_a_recipe_without_the_later_parts_of_noise_is_the_same_recipe() -> None:
    """Stored recipes lack keys that came later; a missing key means what the default means."""
    now = dump_recipe(DenoiserRecipe.model_validate({"train": {"steps": 10, "batch_size": 2}}))
    stored = parse_yaml(now)
    for key in ("poisson", "tail", "row_noise", "hot_pixels", "quantization_bits"):
        del stored["synthesis"][key]
    del stored["network"]["gated"]
    assert run_folder._differences(stored, now) == []
    stored["synthesis"]["row_noise"] = [0.0, 1.0]
    assert run_folder._differences(stored, now) == ["synthesis.row_noise: [0.0, 1.0] there, [0.0, 0.0] here"]
