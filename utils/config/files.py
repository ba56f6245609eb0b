"""Recipes as files: finding them, reading them from YAML with overrides, and writing them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from cycleisp.utils.config.values import Section
from cycleisp.utils.errors import UserError

SHIPPED = Path(__file__).resolve().parents[2] / "configs"  # of the checkout, or of the installed package
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

    A file of that path comes before a shipped recipe of that name.

    Raises:
        ConfigError: neither exists; the message lists the shipped recipes.
    """
    path = Path(path)
    if path.exists():
        return path
    shipped = shipped_recipes()
    if path.as_posix() in shipped:
        return SHIPPED / path
    raise ConfigError(f"{path}: cannot be read (No such file or directory); shipped recipes: {', '.join(shipped)}")


def shipped_recipes() -> list[str]:
    """Returns the names of the shipped recipes: their paths below the folder configs/, sorted."""
    return sorted(path.relative_to(SHIPPED).as_posix() for path in SHIPPED.rglob("*.yaml"))


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads the keys and values of a YAML file.

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
    """Builds a recipe of `kind` from keys and values; error messages begin with `origin`.

    Raises:
        ConfigError: unknown or missing key, or a value outside its range.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"{origin}: {problems}") from None


def dump_recipe(recipe: Section) -> str:
    """Returns the whole recipe as YAML, with the defaults filled in."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


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
