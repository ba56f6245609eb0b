"""Fetching the weights of the registry: from the web, from Google Drive, from a folder.

A file appears under its name only when it is whole and, where its SHA-256 is known, the right one. Until then it is
`.NAME.part` beside it. Where the hash is unknown, that of the first download is recorded in `NAME.sha256` beside it,
and the file is held to that from then on.
"""

import http.client
import logging
import shutil
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock
from tqdm import tqdm

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.weights.files import RELEASED_SUFFIXES, WeightsError, file_sha256, read_metadata, read_released
from cycleisp.utils.weights.registry import FILE_NAME, Weights

logger = logging.getLogger(__name__)

PATIENCE = 30.0  # seconds without a byte
LARGEST = 1 << 30  # bytes of a file whose size is unknown; these networks have some 13 MB
BLOCK = 1 << 16


class DownloadError(UserError):
    """Weights that cannot be had, or are not those of the registry; the message says why and what to do."""


class _SourceFailedError(Exception):
    """One source gave no file; the part that came stays."""


class _WrongContentError(_SourceFailedError):
    """One source gave something else; nothing of it stays."""


# ---------------------------------------------------------------- one file of the registry


def fetch(weights: Weights, folder: Path, patience: float = PATIENCE) -> Path:
    """The path of a file of the registry, downloaded if it is missing.

    An interrupted transfer goes on where it stopped if the hash of the whole is known; without it nothing could tell
    whether two parts belong together, and it begins anew. A file that is present is not looked into (`check_present`).

    Args:
        weights: the entry.
        folder: the registry's folder.
        patience: seconds without a byte after which a source is given up.

    Raises:
        DownloadError: no source gives the right file, no room, or the folder cannot be written.
    """
    path = folder / weights.file
    if path.is_file():
        return path
    if not weights.sources:
        raise DownloadError(
            f"{weights.name}: {path} is missing; it is part of the checkout, restore it: git checkout -- {path}"
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
    """Hold a present file to its SHA-256, or record that where it is unknown.

    Returns:
        A line: the hash, and what it was held to.

    Raises:
        DownloadError: another file lies there.
    """
    path = folder / weights.file
    found, expected = file_sha256(path), _known_sha256(weights, path)
    if expected is None:
        _record(path, found)
        return f"{found} (the right one is unknown: recorded)"
    if found != expected:
        mend = "remove it and fetch it again" if weights.sources else f"restore it: git checkout -- {path}"
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
    logger.warning("%s: licence: %s", weights.name, weights.licence)
    part = path.with_name(f".{path.name}.part")
    sha256 = _known_sha256(weights, path)
    failures = []
    for source in weights.sources:
        try:
            _fetch_from(source, weights, part, path.suffix, sha256, patience)
        except _SourceFailedError as error:
            if sha256 is None or isinstance(error, _WrongContentError):
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
                f"Get the file elsewhere and put it there, or add a source to {FILE_NAME} (docs/weights.md).",
            ]
        )
    )


def _fetch_from(source: str, weights: Weights, part: Path, suffix: str, sha256: str | None, patience: float) -> None:
    """Fill `part` from one source and check it."""
    begun = part.stat().st_size if sha256 is not None and part.is_file() else 0
    if begun == 0 or begun != weights.bytes:  # else it was whole when its process was killed
        scheme = source.partition(":")[0]
        with closing(_Part(part, weights, keep=begun > 0)) as growing:
            growing.announce(weights.bytes)
            TRANSFERS[scheme](source, growing, patience)
            growing.check_whole()
    try:
        _check(part, suffix, sha256)
    except _WrongContentError:
        if not begun:
            raise
        part.unlink()  # its beginning may be another source's
        _fetch_from(source, weights, part, suffix, sha256, patience)


def _check(part: Path, suffix: str, sha256: str | None) -> None:
    """Raise unless a whole part is the file: by its hash, or where that is unknown by being weights at all."""
    with part.open("rb") as file:
        if file.read(BLOCK).lstrip().startswith(b"<"):
            raise _WrongContentError("gives a web page, no weights (often: permission or quota)")
    if sha256 is not None:
        found = file_sha256(part)
        if found != sha256:
            raise _WrongContentError(f"gives another file: SHA-256 {found}, expected {sha256}")
        return
    try:
        if suffix in RELEASED_SUFFIXES:
            read_released(part)
        else:
            read_metadata(part)
    except WeightsError as error:
        raise _WrongContentError(f"gives no weights: {error}") from None


class _Part:
    """The file aside while it grows. Takes no more bytes than there can be, and none for which there is no room."""

    def __init__(self, path: Path, weights: Weights, keep: bool) -> None:
        self.path, self.name, self.expected = path, weights.name, weights.bytes
        self.announced: int | None = None
        self.file = path.open("ab" if keep else "wb")
        self._anew = False
        self._bar: tqdm | None = None

    @property
    def size(self) -> int:
        return 0 if self._anew else self.file.tell()

    def restart(self) -> None:
        """Forget what came before, as soon as something new comes."""
        self._anew = True

    def announce(self, total: int | None) -> None:
        """The size of the whole file, by the registry's or the source's word; None where that is unknown."""
        if total is None:
            return
        if total > LARGEST or total != (self.expected or total):
            # Drive says so after the first block, which is then of another file.
            error = _SourceFailedError if self._bar is None else _WrongContentError
            raise error(f"announces {total} bytes, expected {self.expected or f'at most {LARGEST}'}")
        self.announced = total
        if self._bar is not None:
            self._bar.total = total
        needed, free = total - self.size, shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise DownloadError(f"{self.path.parent}: {needed} bytes are needed, {free} are free; make room")

    def write(self, block: bytes) -> int:
        limit = LARGEST if self.announced is None else self.announced
        if self.size + len(block) > limit:
            raise _WrongContentError(f"gives more than the {limit} bytes expected")
        try:
            if self._anew:
                self.file.seek(0)
                self.file.truncate()
                self._anew = False
            if self._bar is None:
                options = {"desc": self.name, "unit": "B", "unit_scale": True}
                self._bar = progress_bar(total=self.announced, initial=self.size, **options)
            self.file.write(block)
        except OSError as error:
            raise DownloadError(f"{self.path}: cannot be written ({error.strerror})") from None
        self._bar.update(len(block))
        return len(block)

    def flush(self) -> None:
        self.file.flush()

    def check_whole(self) -> None:
        if self.size == 0:
            raise _SourceFailedError("gives nothing")
        if self.announced is not None and self.size < self.announced:
            raise _SourceFailedError(f"ended after {self.size} of {self.announced} bytes")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self.file.close()
        if self.path.stat().st_size == 0:
            self.path.unlink()


# ---------------------------------------------------------------- sources


def _from_http(url: str, part: _Part, patience: float) -> None:
    response, begin = _open_http(url, part.size, patience)
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _SourceFailedError("gives a web page, no weights (often: permission or quota)")
        if begin == 0:
            part.restart()
        length = response.headers.get("Content-Length", "")
        part.announce(begin + int(length) if length.isdigit() else None)
        for block in _blocks(response, patience):
            part.write(block)


def _open_http(url: str, begin: int, patience: float) -> tuple[http.client.HTTPResponse, int]:
    """A response that gives the file from byte `begin` on, or whole where the server cannot; and where it begins."""
    headers = {"User-Agent": "cycleisp", "Accept-Encoding": "identity"}
    if begin:
        headers["Range"] = f"bytes={begin}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=patience)
    except urllib.error.HTTPError as error:
        error.close()
        if begin:  # the range may be what it refuses
            return _open_http(url, 0, patience)
        raise _SourceFailedError(f"HTTP {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _SourceFailedError(_reason(error, patience)) from None
    if response.status == http.client.PARTIAL_CONTENT:
        if response.headers.get("Content-Range", "").startswith(f"bytes {begin}-"):
            return response, begin
        response.close()
        if begin:
            return _open_http(url, 0, patience)
        raise _SourceFailedError("gives a part of the file only")
    return response, 0


def _blocks(response: http.client.HTTPResponse, patience: float) -> Iterator[bytes]:
    try:
        while block := response.read1(BLOCK):  # what has come, so that a stall loses nothing of it
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _SourceFailedError(_reason(error, patience)) from None


def _reason(error: Exception, patience: float) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no byte for {patience:g} seconds"
    return textwrap.shorten(str(cause) or type(cause).__name__, 300)


def _from_drive(source: str, part: _Part, patience: float) -> None:
    import gdown  # takes half a second, and only Drive needs it

    part.restart()
    try:
        # no cookies: they would be kept in the home folder
        gdown.download(
            id=source.removeprefix("gdrive:"),
            output=cast(BinaryIO, part),
            quiet=True,
            use_cookies=False,
            progress=lambda _, total: part.announce(total),
            timeout=patience,
        )
    except (UserError, _SourceFailedError):
        raise
    except Exception as error:  # whatever requests and the parsers of Drive's pages raise
        raise _SourceFailedError(_reason(error, patience)) from None


def _from_file(source: str, part: _Part, _patience: float) -> None:
    path = Path(url2pathname(urlsplit(source).path))
    part.restart()
    try:
        part.announce(path.stat().st_size)
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                part.write(block)
    except OSError as error:
        raise _SourceFailedError(f"cannot be read ({error.strerror})") from None


TRANSFERS: dict[str, Callable[[str, _Part, float], None]] = {
    "http": _from_http,
    "https": _from_http,
    "gdrive": _from_drive,
    "file": _from_file,
}
