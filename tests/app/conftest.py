"""Fixtures of the page's tests."""

from collections.abc import Iterator

import pytest

from cycleisp.app.actions.workspace import Workspace, workspace


@pytest.fixture
def place() -> Iterator[Workspace]:
    """A folder in which a page works, on the CPU."""
    with workspace("cpu") as folder:
        yield folder
