"""Finds the pairs to train on in a folder of shards, by the indices of the shards."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.shards.anywhere import Shards
from cycleisp.dataloaders.pairs.shards.layout import CLEAN, NOISY, RAW, SHARD_LIST, ShardEntry
from cycleisp.dataloaders.pairs.shards.local_copies import LocalCopies
from cycleisp.dataloaders.pairs.shards.reading import AGAIN, is_url
from cycleisp.dataloaders.training.packed_pairs import ROW, PackedPairs, Texts
from cycleisp.dataloaders.training.pair_scenes import scene_of_record
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.images import Space

log = logging.getLogger(__name__)
_PARTS: dict[Space, tuple[str, ...]] = {"srgb": (NOISY, CLEAN), "raw": (RAW,)}  # the members that a training reads
_AT_A_TIME = 16  # indices of remote shards, each of which waits for the network


class _NoLevelError(UserError):
    """A RAW pair without its level of noise, which a RAW denoiser is told."""


def are_packed(place: Path | str) -> bool:
    """Tells whether a value of --pairs names shards: a folder, its list, or a URL of either."""
    return is_url(place) or Path(place).is_file() or Path(place, SHARD_LIST).is_file()


def find_packed_pairs(place: str, space: Space, copies: LocalCopies | None) -> PackedPairs:
    """Returns the pairs of some shards, sorted by name as those of a folder are.

    A shard whose index cannot be read is left out with a warning.

    Args:
        place: a folder of shards, its list, or the URL of either.
        space: which pairs to take.
        copies: where parts of remote shards are kept; None keeps none.

    Raises:
        UserError: there is no list of shards, or no usable pair of this space in them; or RAW pairs
            lack the level of their noise.
    """
    shards = Shards(copies)
    listed = shards.listed(place)
    entries, tables, names, scenes = list[ShardEntry](), list[NDArray[np.void]](), list[str](), dict[str, int]()
    with ThreadPoolExecutor(_AT_A_TIME if is_url(place) else 1, thread_name_prefix="read_index") as pool:
        indices = pool.map(lambda entry: _rows_of(entry, space, shards), listed)
        for entry, found in zip(listed, indices, strict=True):
            if isinstance(found, _NoLevelError):
                raise found
            if isinstance(found, UserError):
                log.warning("left out %s", found)
                continue
            table, names_here, scenes_here = found
            table["shard"] = len(entries)
            table["scene"] = [scenes.setdefault(scene, len(scenes)) for scene in scenes_here]
            entries.append(entry)
            tables.append(table)
            names += names_here
    if not names:
        raise UserError(
            f"{place}: no pair of its {len(listed)} shards has a usable {space} part; make them with "
            f"generate_data.py --shards --space {space}"
        )
    order = sorted(range(len(names)), key=names.__getitem__)
    ordered = Texts([names[number] for number in order])
    return PackedPairs(place, entries, np.concatenate(tables)[order], ordered, Texts(list(scenes)), shards)


def _rows_of(
    entry: ShardEntry, space: Space, shards: Shards
) -> tuple[NDArray[np.void], list[str], list[str]] | UserError:
    """Returns rows, names and scenes of the pairs of a shard; or why it cannot be used."""
    try:
        records = shards.index(entry)["pairs"].values()
        with reading(entry.index_url, advice=AGAIN):
            used = [record for record in records if all(record["members"].get(name) for name in _PARTS[space])]
            rows = np.array([_row_of(record, entry, space) for record in used], ROW)
            return rows, [str(record["name"]) for record in used], [scene_of_record(record) for record in used]
    except UserError as error:
        return error


def _row_of(record: Mapping[str, Any], entry: ShardEntry, space: Space) -> tuple[Any, ...]:
    """Returns the row of one pair, by its record in the index; shard and scene are still 0."""
    places = [record["members"][name] for name in _PARTS[space]]
    start, stop = min(offset for offset, _ in places), max(offset + size for offset, size in places)
    if stop > entry.bytes or not all(size for _, size in places):
        raise UserError(f"{entry.index_url}: does not fit the {entry.bytes} bytes of {entry.name}; {AGAIN}")
    inside = [(offset - start, size) for offset, size in places] + [(0, 0)] * (2 - len(places))
    levels: list[tuple[float, ...]] = [(0.0,) * 4] * 2
    if space == "raw":
        if record["shot_noise"] is None or record["read_noise"] is None:
            raise _NoLevelError(
                f"{entry.url}: holds pairs of real noise without noise level, which a RAW denoiser is told; make them "
                "anew with a noise_level_functions.csv in --residual-source, or train in sRGB"
            )
        levels = [_four(record[key]) for key in ("shot_noise", "read_noise")]
    side = min(int(record["height"]), int(record["width"]))
    return 0, 0, side, start, stop - start, inside, levels


def _four(level: float | Sequence[float]) -> tuple[float, ...]:
    """Returns the level of each of the planes R, G_r, G_b, B."""
    return (float(level),) * 4 if isinstance(level, int | float) else tuple(map(float, level))
