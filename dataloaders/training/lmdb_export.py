"""Pairs as two LMDB folders, clean and noisy, in the layout that BasicSR reads.

    OUTPUT/clean.lmdb, OUTPUT/noisy.lmdb    data.mdb, lock.mdb and meta_info.txt

A key is the name of a pair, and its value the picture as PNG. `meta_info.txt` has a line for each
picture, `NAME.png (HEIGHT,WIDTH,3) 1`; the 1 is the compression level of the PNG. The layout is
that of BasicSR's docs/DatasetPreparation.md, section "LMDB Description".
"""

import argparse
import hashlib
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any

from cycleisp.dataloaders.pairs.shards.local_copies import LocalCopies
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.training.pair_sources import AnyPair, find_training_pairs
from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.output.claim import claimed
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.output.settings import claim_folder

KINDS = ("clean", "noisy")
META = "meta_info.txt"
_LEVEL = 1  # of encode_png
_BATCH = 64  # pairs that are written, and flushed to the disk, at a time
_FIRST_SIZE = 1 << 30  # bytes that an LMDB may take at first; it is doubled when they are full
_HEADER = struct.Struct(">16xII")  # width and height in a PNG
_LONGEST = 500  # bytes of a key; LMDB allows 511
_UNCLEAR = re.compile(r"[.\s]")  # in a key: the suffix begins at a dot, and the size at a space


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command line `to-lmdb`."""
    add = parser.add_argument
    places = "folders of sRGB pairs or of shards, as train_denoiser.py --pairs takes them"
    add("pairs", nargs="+", metavar="PAIRS", help=places)
    add("output", type=Path, metavar="LMDB", help="folder that gets clean.lmdb and noisy.lmdb")
    add("--workers", type=int, default=4, metavar="N", help="pairs to encode at a time (default: 4)")


def run(args: argparse.Namespace) -> int:
    """Exports the pairs of a command line, says what was done, and returns the exit status."""
    return export_lmdb(args.pairs, args.output, args.workers).report("pairs exported", args.output)


def export_lmdb(places: Sequence[str], output: Path, workers: int = 4, copies: LocalCopies | None = None) -> Summary:
    """Writes the sRGB pairs of some folders or shards into two LMDB folders.

    A pair that cannot be read is left out. A run that was stopped goes on.

    Args:
        places: as `find_training_pairs` takes them.
        output: the folder that gets `clean.lmdb` and `noisy.lmdb`.
        workers: the number of threads that decode and encode.
        copies: where parts of remote shards are kept; None keeps none.

    Returns:
        How many pairs were written and kept, and which were left out.

    Raises:
        UserError: the package lmdb is missing, there are no pairs, the folder cannot be written, or
            it holds those of other pairs.
    """
    try:
        import lmdb
    except ImportError:
        raise UserError("LMDB folders need the package lmdb: pip install lmdb") from None
    groups = [find_training_pairs(place, "srgb", copies) for place in places]
    keys = _keys(pair.name for group in groups for pair in group)
    listed = hashlib.sha256(b"\n".join(keys)).hexdigest()
    with claimed(output), ExitStack() as opened:
        claim_folder(output, {"pairs": [str(place) for place in places], "keys_sha256": listed}, "pairs")
        try:
            tables = {kind: _open(lmdb, output, kind) for kind in KINDS}
            for table in tables.values():
                opened.callback(table.close)
            pool = opened.enter_context(ThreadPoolExecutor(workers, thread_name_prefix="encode"))
            bar = opened.enter_context(progress_bar(total=len(keys), desc="pairs", unit="pair"))
            summary = _fill(lmdb, tables, zip(keys, chain(*groups), strict=True), pool, bar)
            written = [key for key in keys if _are_in(tables, key)]
            for kind, table in tables.items():
                lines = "".join(_line(key, _get(table, key)) for key in written)
                write_bytes(output / f"{kind}.lmdb" / META, lines.encode(errors="surrogateescape"))
        except (OSError, lmdb.Error) as error:
            raise UserError(f"{output}: cannot be written ({reason(error)}); the same command goes on") from None
    return summary


def _fill(
    lmdb: Any, tables: dict[str, Any], pairs: Iterator[tuple[bytes, AnyPair]], pool: ThreadPoolExecutor, bar: Any
) -> Summary:
    """Writes the pairs that are not in both tables, some at a time, and tells what was done."""
    summary = Summary()
    while batch := list(islice(pairs, _BATCH)):
        missing = [(key, pair) for key, pair in batch if not _are_in(tables, key)]
        encoded = []
        for (key, pair), result in zip(missing, pool.map(_encode, missing), strict=True):
            if isinstance(result, UserError):
                summary.skip(Path(pair.place), result)
            else:
                encoded.append((key, result))
        for kind, table in tables.items():
            _put(lmdb, table, [(key, pictures[kind]) for key, pictures in encoded])
        summary.made += len(encoded)
        summary.kept += len(batch) - len(missing)
        bar.update(len(batch))
    return summary


def _keys(names: Iterable[str]) -> list[bytes]:
    """Returns a key for each pair: its name, without what would be unclear in meta_info.txt."""
    keys, taken = list[bytes](), set[str]()
    for name in names:
        plain = _UNCLEAR.sub("_", name)
        if len(plain.encode(errors="surrogateescape")) > _LONGEST:
            plain = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
        key, number = plain, 1
        while key in taken:
            number += 1
            key = f"{plain}-{number}"
        taken.add(key)
        keys.append(key.encode(errors="surrogateescape"))
    return keys


def _open(lmdb: Any, output: Path, kind: str) -> Any:
    """Opens one of the two tables. It is unfinished as long as it has no meta_info.txt."""
    folder = output / f"{kind}.lmdb"
    folder.mkdir(parents=True, exist_ok=True)
    return lmdb.open(str(folder), map_size=_FIRST_SIZE, readahead=False, meminit=False)


def _get(table: Any, key: bytes) -> Any:
    """Returns the picture of a key, None if there is none."""
    with table.begin() as transaction:
        return transaction.get(key)


def _put(lmdb: Any, table: Any, items: Sequence[tuple[bytes, bytes]]) -> None:
    """Writes some pictures in one transaction, and gives the table more room as needed."""
    while True:
        try:
            with table.begin(write=True) as transaction:
                for key, picture in items:
                    transaction.put(key, picture)
            return
        except lmdb.MapFullError:
            table.set_mapsize(2 * table.info()["map_size"])


def _encode(job: tuple[bytes, AnyPair]) -> dict[str, bytes] | UserError:
    """Returns both pictures of a pair as PNG; or what is wrong with them."""
    try:
        noisy, clean = job[1].read()
    except UserError as error:
        return error
    return {"clean": encode_png(clean), "noisy": encode_png(noisy)}


def _are_in(tables: dict[str, Any], key: bytes) -> bool:
    return all(_get(table, key) is not None for table in tables.values())


def _line(key: bytes, picture: bytes) -> str:
    """Returns the line of a picture in meta_info.txt."""
    width, height = _HEADER.unpack_from(picture)
    return f"{key.decode(errors='surrogateescape')}.png ({height},{width},3) {_LEVEL}\n"
