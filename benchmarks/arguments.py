"""What several benchmarks have in common on their command lines."""

from pathlib import Path

BEGINS_AGAIN = "the same command begins again"  # what a user is told of a benchmark that was stopped


def labelled(item: str) -> tuple[str, str]:
    """Splits LABEL=VALUE into label and value.

    The stem of a value alone, which is a name or a path, becomes its label.
    """
    label, equals, value = item.partition("=")
    return (label, value) if equals else (Path(item).stem, item)
