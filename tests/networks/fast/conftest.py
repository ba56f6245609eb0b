"""Fixtures for tests of the fast way."""

import pytest

from cycleisp.networks.fast.strips import feature_maps
from tests.support.trunks import Memory


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switches the fast way on, whatever the environment of the test run says."""
    monkeypatch.delenv("CYCLEISP_FAST", raising=False)


@pytest.fixture(params=["kept", "hidden again", "group on disk", "all on disk"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """A function that sets how many maps of width 8 and of the given sides fit into memory."""
    fit = {"kept": 3, "hidden again": 2, "group on disk": 1, "all on disk": 0}[request.param]

    def limit(height: int, width: int) -> None:
        monkeypatch.setattr(feature_maps, "FEATURE_MEMORY", fit * 4 * 8 * height * width)

    return limit
