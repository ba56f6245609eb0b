"""What ends a training that is nobody's bug: memory, and the other processes of the run."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed

from cycleisp.utils.errors import reason
from cycleisp.utils.training.errors import TrainingError

# What gloo and NCCL say when another process of the run has ended.
LOST = ("gloo", "nccl", "connection closed", "connection reset", "timed out waiting", "broken pipe")


@contextmanager
def in_words(world_size: int) -> Iterator[None]:
    """Turns the errors of PyTorch that are no bugs into errors that say what to do.

    Args:
        world_size: the number of processes of the run.

    Raises:
        TrainingError: memory ran out, or another process of the run has ended.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise TrainingError(
            "the memory of the GPU does not suffice; lower train.batch_size or data.patch_size, or set "
            "train.save_memory=true"
        ) from None
    except RuntimeError as error:
        words = str(error).lower()
        if "can't allocate memory" in words or "not enough memory" in words:
            raise TrainingError(
                "the memory of this machine does not suffice; lower train.batch_size, data.patch_size or train.workers"
            ) from None
        is_lost = isinstance(error, torch.distributed.DistError) or any(sign in words for sign in LOST)
        if world_size > 1 and is_lost:
            raise TrainingError(
                f"another process of this run has ended, and says why ({reason(error)}); the same command goes on"
            ) from None
        raise
