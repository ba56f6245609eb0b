"""Arrays in memory up to a limit: what was not used for the longest time gives way."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from numpy.typing import NDArray

Arrays = TypeVar("Arrays", bound=NDArray | tuple[NDArray, ...])


class RecentlyUsed(Generic[Arrays]):
    """Arrays that were read before, by their keys. A value is an array, or a tuple of arrays.

    Args:
        limit: how many bytes the arrays may take together. One value is kept even if it is larger.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[Hashable, Arrays] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, read: Callable[[], Arrays]) -> Arrays:
        """Returns the value of a key. `read` is called for one that is not kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        value = self._kept[key] = read()
        self._bytes += _size(value)
        while len(self._kept) > 1 and self._bytes > self._limit:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)
        return value


def _size(value: NDArray | tuple[NDArray, ...]) -> int:
    arrays = value if isinstance(value, tuple) else (value,)
    return sum(array.nbytes for array in arrays)
