"""Limits on what a file may ask: claims against what is stored, and against adjustable numbers."""

import pytest

from cycleisp.utils.errors import UserError
from cycleisp.utils.limits import DEFLATE_RATIO, SLACK, check_bytes, check_pixels, check_stored, limit


def test_a_claim_that_the_bytes_can_hold_passes_and_a_larger_one_does_not() -> None:
    most = int(1000 * DEFLATE_RATIO) + SLACK
    check_stored("a.png", most, 1000)
    with pytest.raises(UserError, match=r"a\.png: .*claims 1,036,097 bytes.*its 1,000 bytes cannot hold"):
        check_stored("a.png", most + 1, 1000)
    with pytest.raises(UserError, match="cannot hold"):
        check_stored("a.tif", 100_000, 50_000, ratio=1)


def test_limits_are_named_and_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYCLEISP_MAX_PIXELS", "12")
    monkeypatch.setenv("CYCLEISP_MAX_BYTES", "100")
    check_pixels("a.png", 3, 4)
    check_bytes("a.png", 100)
    with pytest.raises(UserError, match=r"5x3 are more than 12 pixels.*CYCLEISP_MAX_PIXELS"):
        check_pixels("a.png", 3, 5)
    with pytest.raises(UserError, match=r"101 bytes.*CYCLEISP_MAX_BYTES"):
        check_bytes("a.png", 101)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1e9", " "])
def test_a_limit_that_is_no_number_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYCLEISP_MAX_PIXELS", text)
    with pytest.raises(UserError, match="CYCLEISP_MAX_PIXELS: expected a positive whole number"):
        limit("CYCLEISP_MAX_PIXELS")
