"""Reads shards wherever they lie: on this machine, or behind a URL through copies of its parts."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from cycleisp.dataloaders.pairs.shards.layout import ShardEntry
from cycleisp.dataloaders.pairs.shards.local_copies import LocalCopies
from cycleisp.dataloaders.pairs.shards.reading import (
    AGAIN,
    is_url,
    parse_index,
    read_bytes,
    read_index,
    read_range,
    read_shard_list,
)
from cycleisp.utils.errors import UserError, reading

PAUSES = (1.0, 5.0)  # seconds before a network is asked again
Content = TypeVar("Content")
log = logging.getLogger(__name__)


class Shards:
    """Reads lists, indices and pieces of shards.

    Args:
        copies: where parts of remote shards are kept; None keeps none.
    """

    def __init__(self, copies: LocalCopies | None = None) -> None:
        self._copies = copies

    def listed(self, place: str) -> list[ShardEntry]:
        """Reads which shards there are, as `read_shard_list`."""
        return patiently(lambda: read_shard_list(place)) if is_url(place) else read_shard_list(place)

    def index(self, shard: ShardEntry) -> dict[str, Any]:
        """Reads the index of a shard, as `read_index`."""
        url = shard.index_url
        if not is_url(url):
            return read_index(url)

        def fetch() -> bytes:
            with reading(url, advice=AGAIN):
                return read_bytes(url)

        key = f"{shard.sha256}:index"
        return self._used(key, fetch, lambda content: parse_index(content, url))

    def piece(self, shard: ShardEntry, start: int, size: int, decode: Callable[[bytes], Content]) -> Content:
        """Reads some bytes of a shard and decodes them.

        Args:
            shard: the shard.
            start, size: which bytes.
            decode: is called with the bytes.

        Raises:
            UserError: the shard cannot be read there; or `decode` has raised it.
        """
        if not is_url(shard.url):
            return decode(read_range(shard.url, start, size))
        key = f"{shard.sha256}:{start}:{size}"
        return self._used(key, lambda: read_range(shard.url, start, size), decode)

    def _used(self, key: str, fetch: Callable[[], bytes], decode: Callable[[bytes], Content]) -> Content:
        """Decodes remote bytes. A copy that cannot be decoded must not outlive the repair."""
        if self._copies is None:
            return decode(patiently(fetch))
        content = self._copies.get(key, lambda: patiently(fetch))
        try:
            return decode(content)
        except UserError:
            self._copies.forget(key)
            raise


def patiently(read: Callable[[], Content]) -> Content:
    """Calls a function that reads over a network, and calls it again if it fails."""
    for pause in PAUSES:
        try:
            return read()
        except UserError as error:
            log.info("%s; once more in %g s", error, pause)
            time.sleep(pause)
    return read()
