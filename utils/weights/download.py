"""Fetching the weights of the registry: from the web, from Google Drive, from a folder.

A file appears under its name only when it is whole and, where its SHA-256 is known, the right one.
Until then it is `.NAME.part` beside it. Where the hash is unknown, that of the first download is
recorded in `NAME.sha256` beside the file, and later checks compare with the recorded one.
"""

import logging
from contextlib import closing
from pathlib import Path

from filelock import FileLock

from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.weights import folders
from cycleisp.utils.weights.errors import DownloadError, WeightsError
from cycleisp.utils.weights.files import file_sha256, read_metadata
from cycleisp.utils.weights.registry import FILE_NAME, Weights
from cycleisp.utils.weights.released_files import RELEASED_SUFFIXES, read_released
from cycleisp.utils.weights.transfers import BLOCK, TRANSFERS, Part, SourceFailedError, WrongContentError

logger = logging.getLogger(__name__)

PATIENCE = 30.0  # seconds without a byte


def fetch(weights: Weights, folder: Path, patience: float = PATIENCE) -> Path:
    """Returns the path of a file of the registry, after downloading it if it is missing.

    An interrupted download continues where it stopped if the hash of the whole file is known.
    Without the hash nothing could tell whether two parts belong together, and the download starts
    from the beginning. The content of a file that is present is not checked (see `check_present`).

    Args:
        weights: the entry.
        folder: the folder that `weights.file` is relative to (`registry.folder_of`).
        patience: seconds without a byte after which a source is given up.

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
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not path.is_file():  # another process may have fetched it meanwhile
                _fetch_from_any(weights, path, patience)
    except OSError as error:
        raise DownloadError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path


def check_present(weights: Weights, folder: Path) -> str:
    """Compares a present file with its SHA-256, or records the file's own where that is unknown.

    Returns:
        A line: the hash, and what it was compared with.

    Raises:
        DownloadError: the file is another one.
    """
    path = folder / weights.file
    found, expected = file_sha256(path), _known_sha256(weights, path)
    if expected is None:
        _record(path, found)
        return f"{found} (the right one is unknown: recorded)"
    if found != expected:
        mend = "remove it and fetch it again" if weights.sources else folders.how_to_restore(path)
        raise DownloadError(f"{weights.name}: {path} has SHA-256 {found}, expected {expected}; {mend}")
    return f"{found} ({'as the registry says' if weights.sha256 else 'as recorded'})"


def _recorded(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _known_sha256(weights: Weights, path: Path) -> str | None:
    if weights.sha256 is None and _recorded(path).is_file():
        return _recorded(path).read_text().split()[0]
    return weights.sha256


def _record(path: Path, sha256: str) -> None:
    write_bytes(_recorded(path), f"{sha256}  {path.name}\n".encode())  # as sha256sum reads it


def _fetch_from_any(weights: Weights, path: Path, patience: float) -> None:
    """Tries the sources in turn until one has given the right file."""
    logger.warning("%s: licence: %s", weights.name, weights.licence)
    part = path.with_name(f".{path.name}.part")
    sha256 = _known_sha256(weights, path)
    failures = []
    for source in weights.sources:
        try:
            _fetch_from(source, weights, part, path.suffix, sha256, patience)
        except SourceFailedError as error:
            if sha256 is None or isinstance(error, WrongContentError):
                part.unlink(missing_ok=True)
            failures.append(f"  {source}: {error}")
            continue
        if sha256 is None:
            found = file_sha256(part)
            _record(path, found)
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


def _fetch_from(source: str, weights: Weights, part: Path, suffix: str, sha256: str | None, patience: float) -> None:
    """Fills `part` from one source and checks it."""
    begun = part.stat().st_size if sha256 is not None and part.is_file() else 0
    if begun == 0 or begun != weights.bytes:  # else it was whole when its process was killed
        scheme = source.partition(":")[0]
        with closing(Part(part, weights.name, weights.bytes, keep=begun > 0)) as growing:
            growing.announce(weights.bytes)
            TRANSFERS[scheme](source, growing, patience)
            growing.check_whole()
    try:
        _check(part, suffix, sha256)
    except WrongContentError:
        if not begun:
            raise
        part.unlink()  # its beginning may be another source's
        _fetch_from(source, weights, part, suffix, sha256, patience)


def _check(part: Path, suffix: str, sha256: str | None) -> None:
    """Raises an error unless a whole part is the right file.

    Its hash decides. Where that is unknown, the file must at least open as weights.
    """
    with part.open("rb") as file:
        if file.read(BLOCK).lstrip().startswith(b"<"):
            raise WrongContentError("gives a web page, no weights (often: permission or quota)")
    if sha256 is not None:
        found = file_sha256(part)
        if found != sha256:
            raise WrongContentError(f"gives another file: SHA-256 {found}, expected {sha256}")
        return
    try:
        if suffix in RELEASED_SUFFIXES:
            read_released(part)
        else:
            read_metadata(part)
    except WeightsError as error:
        raise WrongContentError(f"gives no weights: {error}") from None
