"""Fetching the weights of the registry: from the web, from Google Drive, from a folder.

A file appears under its name only when it is whole and, where its SHA-256 is known, the right one.
Until then it is `.NAME.part` beside it. Where the hash is unknown, that of the first download is
recorded (held.py), and later checks compare with the recorded one.
"""

import logging
from contextlib import closing
from pathlib import Path

from filelock import FileLock

from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.weights import folders, held
from cycleisp.utils.weights.downloads.pace import Pace
from cycleisp.utils.weights.downloads.parts import Part, SourceFailedError, WrongContentError, begun
from cycleisp.utils.weights.downloads.transfers import transfer
from cycleisp.utils.weights.errors import DownloadError, WeightsError
from cycleisp.utils.weights.files import read_tensors
from cycleisp.utils.weights.formats.contents import HEAD, layout_of, what_else
from cycleisp.utils.weights.formats.released_files import read_released
from cycleisp.utils.weights.registry import FILE_NAME, Weights

logger = logging.getLogger(__name__)


def fetch(weights: Weights, folder: Path, pace: Pace | None = None) -> Path:
    """Returns the path of a file of the registry, after downloading it if it is missing.

    An interrupted download continues where it stopped if the hash of the whole file is known.
    Without the hash nothing could tell whether two parts belong together, and the download starts
    from the beginning. The content of a file that is present is not checked (see `check_present`).

    Args:
        weights: the entry.
        folder: the folder that `weights.file` is relative to (`registry.folder_of`).
        pace: how slow a source may be before it is given up; None for the defaults of `pace.Pace`.

    Raises:
        DownloadError: no source has the right file, the disk is full, or the folder is read-only.
    """
    path = folder / weights.file
    if path.is_file():
        return path
    if not weights.sources:
        whole = "checkout" if folders.in_checkout() else "package"
        raise DownloadError(
            f"{weights.name}: {path} is missing; it is part of the {whole}, {folders.how_to_restore(path)}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock")
        if lock.is_symlink():  # older versions of filelock empty what it leads to
            lock.unlink()
        with FileLock(lock):
            if not path.is_file():  # another process may have fetched it meanwhile
                _fetch_from_any(weights, path, pace or Pace())
    except OSError as error:
        raise DownloadError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path


def check_present(weights: Weights, folder: Path) -> str:
    """Compares a present file with its SHA-256, or records the file's own where that is unknown.

    Returns:
        A line: the hash, and what it was compared with.

    Raises:
        DownloadError: the file is another one, or holds no weights.
    """
    path = folder / weights.file
    try:
        found = held.check_file(weights, path)
        if found is not None:
            return f"{found} ({'as the registry says' if weights.sha256 else 'as recorded'})"
        _check_opens(path)
    except WeightsError as error:
        raise DownloadError(str(error)) from None
    found = file_sha256(path)
    held.record(path, found)
    return f"{found} (the right one is unknown: recorded)"


def _fetch_from_any(weights: Weights, path: Path, pace: Pace) -> None:
    """Tries the sources in turn until one has given the right file."""
    logger.warning("%s: licence: %s", weights.name, weights.licence)
    part = path.with_name(f".{path.name}.part")
    sha256 = held.known_sha256(weights, path)
    failures = []
    for source in weights.sources:
        try:
            _fetch_from(source, weights, part, sha256, pace)
        except SourceFailedError as error:
            if sha256 is None or isinstance(error, WrongContentError):
                part.unlink(missing_ok=True)
            failures.append(f"  {source}: {error}")
            continue
        if sha256 is None:
            found = file_sha256(part)
            held.record(path, found)
            logger.warning("%s: SHA-256 %s; the right one is unknown, so this one is recorded", weights.name, found)
        part.replace(path)
        return
    kept = [f"{part.stat().st_size} bytes are kept: the same line again goes on from there."] if part.is_file() else []
    raise DownloadError(
        "\n".join(
            [
                f"{weights.name}: no source gives {path}:",
                *failures,
                *([weights.note] if weights.note else []),
                *kept,
                f"Get the file elsewhere and put it there, or add a source to {FILE_NAME} (docs/reference/weights.md).",
            ]
        )
    )


def _fetch_from(source: str, weights: Weights, part: Path, sha256: str | None, pace: Pace) -> None:
    """Fills `part` from one source and checks it."""
    kept = begun(part) if sha256 is not None else 0
    if kept == 0 or kept != weights.bytes:  # else it was whole when its process was killed
        with closing(Part(part, weights.name, weights.bytes, keep=kept > 0)) as growing:
            growing.announce(weights.bytes)
            transfer(source, growing, pace)
            growing.check_whole()
    try:
        _check(part, sha256)
    except WrongContentError:
        if not kept:
            raise
        part.unlink()  # its beginning may be another source's
        _fetch_from(source, weights, part, sha256, pace)


def _check(part: Path, sha256: str | None) -> None:
    """Raises an error unless a whole part is the right file.

    Its hash decides. Where that is unknown, the file must at least open as weights.
    """
    with part.open("rb") as file:
        words = what_else(file.read(HEAD))
    if sha256 is not None:
        found = file_sha256(part)
        if found != sha256:
            what = words.removeprefix("is ") if words else "another file"
            raise WrongContentError(f"gives {what}: SHA-256 {found}, expected {sha256}")
        return
    if words:
        raise WrongContentError(f"gives {words.removeprefix('is ')}")
    try:
        _check_opens(part)
    except WeightsError as error:
        raise WrongContentError(f"gives no weights: {error}") from None


def _check_opens(path: Path) -> None:
    """Raises a WeightsError unless a file opens as weights."""
    if layout_of(path) == "safetensors":
        read_tensors(path)
    else:
        read_released(path)
