"""Progress bars tell a listener how far they are."""

import pytest

from cycleisp.utils.output.progress import listening, progress_bar


def test_a_listener_is_told_the_share_that_is_done() -> None:
    told: list[tuple[str, float]] = []
    with listening(lambda words, share: told.append((words, share))), progress_bar(total=4, desc="work") as bar:
        bar.update(1)
        bar.update(2.5)
        bar.update(9)
    with progress_bar(total=2) as bar:
        bar.update(1)
    assert told == [("work", 0.25), ("work", 0.875), ("work", 1.0)]


def test_a_listener_can_end_the_work() -> None:
    def stop(words: str, share: float) -> None:
        raise TimeoutError(words)

    with pytest.raises(TimeoutError, match="work"), listening(stop), progress_bar(total=2, desc="work") as bar:
        bar.update(1)
