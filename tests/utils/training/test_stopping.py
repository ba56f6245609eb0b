"""Requests to stop: by signals, inside the block only, and by time, in other threads as well."""

import signal
import threading

import pytest

from cycleisp.utils.training.stopping import SIGNALS, StopRequests


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_request_and_the_second_one_has_its_usual_effect(number: int) -> None:
    seen: list[int] = []
    before = signal.signal(number, lambda received, _frame: seen.append(received))
    try:
        usual = signal.getsignal(number)
        with StopRequests(None) as requests:
            assert not requests.pending()
            signal.raise_signal(number)
            assert requests.pending() and not seen
            signal.raise_signal(number)
            assert seen == [number]
        assert signal.getsignal(number) is usual
    finally:
        signal.signal(number, before)


def test_time_is_a_request() -> None:
    with StopRequests(60) as long, StopRequests(0) as short:
        assert not long.pending() and short.pending()


def test_a_thread_which_may_not_handle_signals_only_watches_the_time() -> None:
    pending: list[bool] = []

    def run() -> None:
        for minutes in (None, 0):
            with StopRequests(minutes) as requests:
                pending.append(requests.pending())

    before = [signal.getsignal(number) for number in SIGNALS]
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert pending == [False, True]
    assert [signal.getsignal(number) for number in SIGNALS] == before
