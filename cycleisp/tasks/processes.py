"""The processes that share a run, as torchrun starts them."""

import os
from dataclasses import dataclass

from cycleisp.utils.errors import UserError


@dataclass(frozen=True)
class Process:
    """One of the processes that share the work of a run.

    Attributes:
        rank: the number of this process among all, from 0.
        world_size: the number of processes.
        local_rank: the number of this process on its machine; process n takes GPU n.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> "Process":
        """Reads the environment variables of torchrun; without them there is one process.

        Raises:
            UserError: they hold no numbers.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        values = [os.environ.get(name, default) for name, default in zip(names, ("0", "1", "0"), strict=True)]
        if not all(value.isdecimal() for value in values):
            said = " ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
            raise UserError(f"{said}: expected whole numbers in these environment variables of torchrun; unset them")
        return cls(*map(int, values))

    @property
    def is_first(self) -> bool:
        """Returns whether this process speaks for all: it shows progress and draws the preview."""
        return self.rank == 0


ALONE = Process()
