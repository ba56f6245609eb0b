"""YAML as recipes need it: plain values, each key once, and no more than was written."""

from collections import Counter
from typing import Any, ClassVar

import yaml

MOST_VALUES = 10_000  # with aliases written out; our recipes have about a hundred


def parse_yaml(text: str) -> Any:
    """Returns the content of a YAML text.

    A date stays the text that it is, as in YAML 1.2, since no value of a recipe is a date.

    Raises:
        ValueError: a key occurs twice, or aliases make more of the text than MOST_VALUES values, or
            it contains itself.
        Exception: whatever PyYAML raises for other text, most often yaml.YAMLError.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _count(node, {}) > MOST_VALUES:
            raise ValueError(f"aliases make more than {MOST_VALUES:,} values of it")
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """PyYAML's loader without dates, of which the impossible ones would raise an error."""

    yaml_implicit_resolvers: ClassVar = {  # type: ignore[misc]  # the stubs do not know of it
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _count(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Returns the number of values in a node, in which aliases count each time.

    Args:
        node: a part of the text.
        known: the numbers of nodes that were seen before, by identity; None while one is counted.
    """
    if id(node) in known:
        before = known[id(node)]
        if before is None:
            raise ValueError("an alias contains itself")
        return before
    known[id(node)] = None
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    number = 1 + sum(_count(part, known) for part in parts)
    known[id(node)] = number
    return number


def _check_keys(node: yaml.MappingNode) -> None:
    """Refuses a key that occurs twice; PyYAML would take the last one. Raises ValueError."""
    keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
    for key, count in keys.most_common(1):
        if count > 1:
            raise ValueError(f"key {key!r} occurs {count} times")
