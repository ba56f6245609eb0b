"""Batches made on the device while the network learns from the ones before."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch

from cycleisp.utils.training.objective import Batch

# The first batches. In them networks that make batches are compiled and recorded, and nothing else
# may run meanwhile.
IN_PLACE = 2


class MadeAhead:
    """Applies a function to batches; on CUDA one batch ahead, in a thread and stream of its own.

    Args:
        make: the function, from batch to batch, on `device`.
        device: the device of the batches.
    """

    def __init__(self, make: Callable[[Batch], Batch], device: torch.device) -> None:
        self._make, self._device = make, device
        self._ahead: Future[Batch | None] | None = None

    def wait(self) -> None:
        """Waits until no batch is being made.

        The networks that make batches may not be used by two threads at a time.
        """
        if self._ahead is not None:
            wait([self._ahead])

    def batches(self, given: Iterable[Batch]) -> Iterator[Batch]:
        """Yields what `make` returns for each batch, in the order given.

        An error of `make` is raised where its batch would have come.
        """
        if self._device.type != "cuda":
            yield from map(self._make, given)
            return
        device, stream, coming = self._device, torch.cuda.Stream(self._device), iter(given)
        stream.wait_stream(torch.cuda.current_stream(device))

        def make() -> Batch | None:
            with torch.cuda.device(device), torch.cuda.stream(stream):
                batch = next(coming, None)
                batch = None if batch is None else self._make(batch)
                stream.synchronize()
                return batch

        with ThreadPoolExecutor(1, thread_name_prefix="make_batch") as thread:
            self._ahead, count = None, 0
            while (batch := self._ahead.result() if self._ahead else make()) is not None:
                count += 1
                self._ahead = thread.submit(make) if count >= IN_PLACE else None
                for tensor in batch.values():
                    tensor.record_stream(torch.cuda.current_stream(device))
                yield batch
