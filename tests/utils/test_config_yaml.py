"""YAML that people damage, and YAML that is meant to do damage: one error each, at once."""

from pathlib import Path

import pytest

from cycleisp.utils.config import ConfigError, TrainingRecipe, load_recipe
from cycleisp.utils.config.files import LARGEST
from cycleisp.utils.config.yaml_text import parse_yaml

SMALLEST = b"train: {steps: 10, batch_size: 2}\n"
LAUGHS = "\n".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]" for n in range(9))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(range(256)), "utf-8"),
        (b"a: \xe4", "utf-8"),
        (b"a: \0", "special characters are not allowed"),
        (b"a: " + b"[" * 5000, "recursion"),
        (b"{a: " * 5000, "recursion"),
        (f"a: &a [x]\n{LAUGHS}".encode(), "aliases make more than 10,000 values"),
        (b"a: &a [*a]", "contains itself"),
        (SMALLEST + b"seed: 1\nseed: 2\n", "key 'seed' occurs 2 times"),
        (b"seed: " + b"9" * 5000, "digits"),
        (b"? [1]\n: 2", "unhashable"),
        (b"a: !!python/object/apply:os.system ['true']", "constructor"),
        (b"- 1", "expected keys and values, got list"),
        (b"", "expected keys and values, got NoneType"),
        (b"#" * (LARGEST + 1), "larger than"),
        (SMALLEST + b"seed: 2001-99-99", "seed: Input should be a valid integer"),
        (SMALLEST + b"seed: 2001-09-09", "seed: Input should be a valid integer"),
        (b"train: {steps: 10, batch_size: 2, learning_rate: .inf}", "finite"),
        (b"train: {steps: 10, batch_size: 2, betas: [0.9, 1.5]}", r"betas\.1"),
        (b"train: {steps: 99999999999999999999, batch_size: 2}", r"train\.steps"),
        (b"train: {steps: 10, batch_size: 2, workers: 100000}", r"train\.workers"),
        (b"1: 2", "1: Keys should be strings"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_every_damage_is_one_line_that_names_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as error:
        load_recipe(TrainingRecipe, path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read .Is a directory"):
        load_recipe(TrainingRecipe, tmp_path)


@pytest.mark.parametrize(
    "override", ["seed=2001-99-99", "seed=[", "seed=*a", "seed={a: 1, a: 2}", "seed=" + "[" * 9999]
)
def test_values_on_the_command_line_are_read_as_strictly(tmp_path: Path, override: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(SMALLEST)
    with pytest.raises(ConfigError) as error:
        load_recipe(TrainingRecipe, path, [override])
    assert "seed" in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 600


def test_what_people_write_is_read() -> None:
    assert parse_yaml("a: &x {b: 1}\nc:\n  <<: *x\n") == {"a": {"b": 1}, "c": {"b": 1}}
    assert parse_yaml("day: 2001-09-09") == {"day": "2001-09-09"}
    assert parse_yaml("") is None
