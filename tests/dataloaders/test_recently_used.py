"""Arrays that are kept in memory: within their limit, and those that were used last."""

import numpy as np

from cycleisp.dataloaders.recently_used import RecentlyUsed


def test_what_was_used_last_is_kept_within_the_limit() -> None:
    kept, read = RecentlyUsed[tuple[np.ndarray, np.ndarray]](limit=500), list[int]()

    def get(key: int) -> None:
        def make() -> tuple[np.ndarray, np.ndarray]:
            read.append(key)
            return np.full(100, key, np.uint8), np.zeros(100, np.uint8)

        assert kept.get(key, make)[0][0] == key

    for key in (1, 2, 1, 3, 1, 2, 1):  # two pairs of 200 bytes fit: 1 stays, 2 gives way to 3
        get(key)
    assert read == [1, 2, 3, 2]


def test_a_value_that_is_larger_than_the_limit_is_kept_alone() -> None:
    kept = RecentlyUsed[np.ndarray](limit=10)
    first = kept.get("a", lambda: np.zeros(100))
    assert kept.get("a", lambda: np.ones(100)) is first
    kept.get("b", lambda: np.ones(100))
    assert kept.get("a", lambda: np.ones(100)).all()
