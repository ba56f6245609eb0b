"""The lines of a pair folder's manifest: which are records of pairs, and which of them count.

A manifest may be damaged, and it comes with folders that others have made. A line that is no whole
record, or that names files which are none of its pair, is left out: its pair counts as absent.
"""

import logging
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.json_lines import is_name_inside, read_lines

log = logging.getLogger(__name__)

Record = dict[str, Any]
WITHDRAWN = "withdrawn"  # true in the record of a pair whose files are being replaced

# The files of a pair, by their keys in its record.
PATHS = {"raw": "raw/{}.h5", "srgb_clean": "srgb/clean/{}.png", "srgb_noisy": "srgb/noisy/{}.png"}
_COUNTS = ("height", "width", "bits", "source_bytes", "pair_seed", "remade", "repeat")
_TEXTS = ("source", "source_path", "source_relative", "source_sha256", "version", "weights_sha256")
_LEVELS = ("shot_noise", "read_noise")


def read_records(folder: Path) -> list[Record]:
    """Reads the records in all manifests of a folder, those of withdrawn and older pairs included.

    Raises:
        UserError: a manifest cannot be read.
    """
    records: list[Record] = []
    for path in sorted(folder.glob("manifest*.jsonl")):
        lines, damaged = read_lines(path)
        whole = [line for line in lines if is_record(line)]
        damaged += len(lines) - len(whole)
        if damaged:
            log.warning("%s: left out %d lines that are no records of pairs; these pairs are missing", path, damaged)
        records += whole
    return records


def newest(records: Iterable[Record]) -> dict[str, Record]:
    """Returns the newest record of each name, which is the one that was remade most often."""
    found: dict[str, Record] = {}
    for record in records:
        known = found.get(record["name"])
        if known is None or record.get("remade", 0) >= known.get("remade", 0):
            found[record["name"]] = record
    return found


def listed(records: Iterable[Record]) -> list[Record]:
    """Returns the newest records of the pairs that are there, sorted by name."""
    found = newest(records)
    return [found[name] for name in sorted(found) if WITHDRAWN not in found[name]]


def read_manifest(folder: Path) -> list[Record]:
    """Reads the records of all pairs of a folder, sorted by name.

    Raises:
        UserError: the folder holds no manifest, or one that cannot be read.
    """
    records = listed(read_records(folder))
    if not records:
        raise UserError(f"{folder}: holds no manifest.jsonl with pairs; make some with generate_data.py")
    return records


def is_record(line: Record) -> bool:
    """Tells whether a line is the record of a pair that its readers can rely on."""
    name, files = line.get("name"), line.get("files")
    if not is_name_inside(name) or not isinstance(files, dict) or not files:
        return False
    if any(path != PATHS.get(key, "").format(name) for key, path in files.items()):
        return False
    if not {"height", "width", *_LEVELS} <= line.keys():
        return False
    return (
        all(_is_count(line[key]) for key in _COUNTS if key in line)
        and all(_is_text(line[key]) for key in _TEXTS if line.get(key) is not None)
        and all(line[key] is None or _is_level(line[key]) for key in _LEVELS)
    )


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_text(value: object) -> bool:
    """Tells whether a value can be a hash, a version or a path."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:  # half a pair of surrogates
        return False


def _is_level(value: object) -> bool:
    """Tells whether a value is a variance, or a list of variances of several planes."""
    values = value if isinstance(value, list) else [value]
    numbers = [number for number in values if isinstance(number, int | float) and not isinstance(number, bool)]
    return 0 < len(numbers) == len(values) and all(0 <= number < math.inf for number in numbers)
