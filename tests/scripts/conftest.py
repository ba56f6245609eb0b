"""Fixtures of the scripts' tests."""

from collections.abc import Iterator

import pytest

from tests.support.forks import Forks


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Runs scripts in forks of one process, which has imported PyTorch."""
    with Forks() as process:
        yield process
