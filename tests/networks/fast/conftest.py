"""What tests of the ways through a trunk share."""

from collections.abc import Callable

import pytest

from cycleisp.networks.fast.strips import feature_maps

Memory = Callable[[int, int], None]


@pytest.fixture(params=["kept", "hidden again", "group on disk", "all on disk"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Sets how many maps of width 8 and these sides fit into memory."""
    fit = {"kept": 3, "hidden again": 2, "group on disk": 1, "all on disk": 0}[request.param]

    def limit(height: int, width: int) -> None:
        monkeypatch.setattr(feature_maps, "FEATURE_MEMORY", fit * 4 * 8 * height * width)

    return limit
