"""Which shards a process makes: all, a range, the part of an array job, the share of a process."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cycleisp.utils.errors import UserError

_RANGE = re.compile(r"(\d*):(\d*)")
_ARRAY = "SLURM_ARRAY_TASK_"


@dataclass(frozen=True)
class Part:
    """A part of the shards of a folder.

    Attributes:
        name: tells the part from others of the folder, and can name a folder: `all`, `100-200`,
            `task-3-of-10`.
        start, stop, step: its shards are start, start + step, ... below stop; a stop of None means
            the number of all shards.
    """

    name: str = "all"
    start: int = 0
    stop: int | None = None
    step: int = 1

    @classmethod
    def chosen(cls, text: str | None, environment: Mapping[str, str] = os.environ) -> "Part":
        """Returns the part that `--shard-range` names, or that of a SLURM array's task, or all.

        Task i of an array of n tasks makes every n-th shard from the i-th on, so that all tasks are
        done at about the same time.

        Args:
            text: `100:200` are the shards 100 to 199; either number may be missing. None if the
                option was not given.
            environment: the environment variables.

        Raises:
            UserError: the text is no range, or the array has gaps.
        """
        if text is not None:
            match = _RANGE.fullmatch(text)
            if match is None:
                raise UserError(f"--shard-range {text}: expected FIRST:END, as 100:200 for the shards 100 to 199")
            start, stop = int(match[1] or 0), int(match[2]) if match[2] else None
            if stop is not None and stop < start:
                raise UserError(f"--shard-range {text}: ends before it begins; expected FIRST:END")
            return cls(f"{start}-{'' if stop is None else stop}", start, stop)
        return cls._of_array(environment) if f"{_ARRAY}ID" in environment else cls()

    @classmethod
    def _of_array(cls, environment: Mapping[str, str]) -> "Part":
        names = ("ID", "MIN", "MAX", "COUNT")
        values = [environment.get(f"{_ARRAY}{name}", "") for name in names]
        said = " ".join(f"{_ARRAY}{name}={value}" for name, value in zip(names, values, strict=True))
        if not all(value.isdecimal() for value in values):
            raise UserError(f"{said}: expected whole numbers in these variables of SLURM; give --shard-range instead")
        number, first, last, count = map(int, values)
        if count < 1 or last - first != count - 1 or not first <= number <= last:
            raise UserError(
                f"{said}: an array with gaps does not tell which shards are left for others; number its tasks "
                "without gaps, as --array=0-9, or give --shard-range"
            )
        return cls(f"task-{number - first}-of-{count}", number - first, None, count)

    def shards(self, count: int, rank: int = 0, processes: int = 1) -> list[int]:
        """Returns the shards that one of several processes of this part makes.

        Args:
            count: how many shards there are in all.
            rank: the number of the process.
            processes: how many share the part.

        Raises:
            UserError: the range ends behind the last shard.
        """
        if self.stop is not None and self.stop > count and self.start >= count > 0 and self.stop > self.start:
            raise UserError(
                f"--shard-range {self.start}:{self.stop}: there are {count} shards, 0 to {count - 1}; lower it"
            )
        return list(range(count))[self.start : self.stop : self.step][rank::processes]
