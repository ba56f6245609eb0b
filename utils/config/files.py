"""Recipes as files: finding them, reading them from YAML with overrides, and writing them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from cycleisp.utils.config.values import Section
from cycleisp.utils.config.yaml_text import parse_yaml
from cycleisp.utils.errors import UserError, reading, reason

SHIPPED = Path(__file__).resolve().parents[2] / "configs"  # of the checkout, or of the installed package
CAMERAS = SHIPPED / "noise"  # noise files of cameras, which are no recipes
LISTED = 8  # problems in one message
LARGEST = 1 << 20  # bytes of a recipe; ours have 4 KB at most
Recipe = TypeVar("Recipe", bound=Section)


class ConfigError(UserError):
    """A recipe that cannot be used; the message names the file, the key and what was expected."""


def load_recipe(kind: type[Recipe], path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe from YAML and applies overrides.

    Args:
        kind: the class of the recipe.
        path: a file, or the name of a shipped recipe (see `find_recipe`).
        overrides: each `key=value`; nested keys are joined by dots, as in train.steps=1000.

    Raises:
        ConfigError: missing file, no YAML, unknown key, or a value outside its range.
    """
    path = find_recipe(path)
    content = read_yaml(path)
    for override in overrides:
        _apply(override, content)
    return check_recipe(kind, content, str(path))


def find_recipe(path: Path | str) -> Path:
    """Returns the path of a recipe, which may also be a shipped one's name, as compact/joint.yaml.

    The name may begin with `configs/`, as in the documentation, in whatever folder one is.

    A file of that path comes before a shipped recipe of that name.

    Raises:
        ConfigError: neither exists; the message lists the shipped recipes.
    """
    path = Path(path)
    if path.exists():
        return path
    shipped = shipped_recipes()
    name = path.as_posix().removeprefix(f"{SHIPPED.name}/")
    if name in shipped:
        return SHIPPED / name
    raise ConfigError(f"{path}: cannot be read (No such file or directory); shipped recipes: {', '.join(shipped)}")


def shipped_recipes() -> list[str]:
    """Returns the names of the shipped recipes: their paths below the folder configs/, sorted."""
    paths = (path.relative_to(SHIPPED) for path in SHIPPED.rglob("*.yaml"))
    return sorted(path.as_posix() for path in paths if path.parts[0] != CAMERAS.name)


def read_yaml(path: Path, advice: str = "give a recipe in YAML") -> dict[str, Any]:
    """Reads the keys and values of a YAML file.

    Args:
        path: the file.
        advice: what the user can do about a file that is none.

    Raises:
        ConfigError: the file cannot be read or is too large, is no YAML, or has no keys.
    """
    with reading(path, ConfigError, advice=advice):
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise ConfigError(f"{path}: larger than {LARGEST:,} bytes; {advice}")
    try:
        content = parse_yaml(text.decode("utf-8-sig"))
    except Exception as error:  # PyYAML raises more than its own kind, as ValueError and RecursionError
        raise ConfigError(f"{path}: not YAML ({reason(error)}); {advice}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(content).__name__}; {advice}")
    return content


def check_recipe(kind: type[Recipe], content: dict[str, Any], origin: str) -> Recipe:
    """Builds a recipe of `kind` from keys and values; error messages begin with `origin`.

    Raises:
        ConfigError: unknown or missing key, or a value outside its range.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = error.errors()
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in found[:LISTED])
        if len(found) > LISTED:
            problems += f"; and {len(found) - LISTED} more"
        raise ConfigError(f"{origin}: {problems}") from None


def dump_recipe(recipe: Section) -> str:
    """Returns the whole recipe as YAML, with the defaults filled in."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def _apply(override: str, content: dict[str, Any]) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override[:80]!r}: expected key=value, as train.steps=1000")
    try:
        parsed = parse_yaml(value)
    except Exception as error:
        raise ConfigError(
            f"override {override[:80]!r}: its value is not YAML ({reason(error)}); quote what YAML reads as a sign "
            "of its own"
        ) from None
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise ConfigError(f"override {override[:80]!r}: {parent} holds a value, no keys")
    content[last] = parsed
