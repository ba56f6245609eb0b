"""Fixtures of the tests of training."""

from pathlib import Path

import pytest

from tests.support.training import Patches, recipe, trainer


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of `recipe()` on `Patches(24)` without a stop. Never written to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert trainer(folder, recipe()).fit(Patches(24), Patches(2))
    return folder
