"""Registered weight files are held to their SHA-256, when they are fetched and when opened.

Where the registry knows no hash, that of the first download is recorded in `NAME.sha256` beside the
file, as `sha256sum` writes it.
"""

import re
from functools import cache
from pathlib import Path

from cycleisp.utils.errors import reading
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.weights import folders
from cycleisp.utils.weights.errors import DownloadError, WeightsError
from cycleisp.utils.weights.registry import FILE_NAME, Weights, folder_of, read_registry

LONGEST_RECORD = 4096  # bytes of a file that holds one hash and one name


def check_registered(path: Path) -> None:
    """Checks a file, if it lies where a file of the registry has its place.

    Files elsewhere pass, and files whose hash nobody knows. A file is read once per process, unless
    it changes.

    Raises:
        WeightsError: the file is not the registered one; the message says how to restore it.
        ConfigError: the registry cannot be read.
    """
    real = path.resolve()
    if not any(real.is_relative_to(folder.resolve()) for folder in {folders.SHIPPED, folders.fetched()}):
        return
    if not real.is_file() or not (folders.SHIPPED / FILE_NAME).is_file():
        return
    for weights in read_registry().weights:
        if (folder_of(weights) / weights.file).resolve() == real:
            check_file(weights, real)


def check_file(weights: Weights, path: Path) -> str | None:
    """Compares the file of an entry with its SHA-256; returns the file's, or None if unknown.

    Raises:
        WeightsError: it is another file; the message says how to restore it.
    """
    expected = known_sha256(weights, path)
    if expected is None:
        return None
    with reading(path, WeightsError):
        facts = path.stat()
        found = _sha256(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)
    if found != expected:
        raise WeightsError(
            f"{weights.name}: {path} has SHA-256 {found}, expected {expected}: damaged or changed; "
            f"{_how_to_mend(weights, path)}"
        )
    return found


def known_sha256(weights: Weights, path: Path) -> str | None:
    """Returns the SHA-256 that a file must have: the registry's, or the recorded one, or None.

    Raises:
        DownloadError: the record is damaged.
    """
    record = _record_of(path)
    if weights.sha256 is not None or not record.is_file():
        return weights.sha256
    with reading(record, DownloadError, "remove it, and the hash of the file is recorded anew"):
        with record.open("rb") as file:
            words = file.read(LONGEST_RECORD).decode("utf-8", "replace").split()
        if not words or not re.fullmatch(r"[0-9a-fA-F]{64}", words[0]):
            raise ValueError(f"expected 64 hex digits, got {words[0][:80]!r}" if words else "it is empty")
    return words[0].lower()


def record(path: Path, sha256: str) -> None:
    """Records the hash of a file beside it."""
    write_bytes(_record_of(path), f"{sha256}  {path.name}\n".encode())  # as sha256sum reads it


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


@cache
def _sha256(path: Path, size: int, changed: int, inode: int) -> str:
    """Returns the SHA-256 of a file, once for each state of it."""
    return file_sha256(path)


def _how_to_mend(weights: Weights, path: Path) -> str:
    if weights.sources:
        known_by = FILE_NAME if weights.sha256 else _record_of(path).name
        return f"remove it and fetch it again, or mend {known_by} if this file is the right one"
    meant = f" (if the change is meant, write its hash into {FILE_NAME})" if folders.in_checkout() else ""
    return f"{folders.how_to_restore(path)}{meant}"
