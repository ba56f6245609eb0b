"""Several processes of one run (torchrun) that begin and end together, behind the first of them."""

import datetime
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.claim import claimed
from cycleisp.utils.training.mishaps import in_words

LONGEST = datetime.timedelta(days=30)  # that a process waits for the slowest one


def first_alone(work: Callable[[], object], rank: int, processes: int) -> None:
    """Lets the first process do something before the others go on.

    Args:
        work: what to do; it is called in the first process only.
        rank: the number of this process.
        processes: how many there are. With more than one, torch's process group must have begun.

    Raises:
        UserError: `work` has raised it, in all processes; or the first process has ended.
    """
    refusal: UserError | None = None
    if rank == 0:
        try:
            work()
        except UserError as error:
            refusal = error
    if processes > 1:
        refused = [refusal is not None]
        with in_words(processes):
            torch.distributed.broadcast_object_list(refused)
        if refused[0] and rank > 0:
            raise UserError("process 0 of this run cannot begin, and says why")
    if refusal is not None:
        raise refusal


@contextmanager
def claimed_together(folder: Path, option: str, rank: int, processes: int) -> Iterator[None]:
    """Holds a folder for all processes of a run: `claimed`, until the last of them is done.

    Processes that torchrun has not started know nothing of each other: of these, the first one
    holds the folder while it runs.

    Args:
        folder, option: as `claimed` takes them.
        rank: the number of this process.
        processes: how many there are.

    Raises:
        UserError: as `claimed`, in all processes; or another process has ended before this one.
    """
    if processes == 1 or "TORCHELASTIC_RUN_ID" not in os.environ:
        if rank == 0:
            with claimed(folder, option, shared=processes > 1):
                yield
        else:
            yield
        return
    claim = claimed(folder, option, shared=True)
    held = False

    def hold() -> None:
        nonlocal held
        claim.__enter__()
        held = True

    torch.distributed.init_process_group("gloo", timeout=LONGEST)
    try:
        first_alone(hold, rank, processes)
        yield
        with in_words(processes):
            torch.distributed.barrier()
    finally:
        if held:
            claim.__exit__(None, None, None)
        torch.distributed.destroy_process_group()
