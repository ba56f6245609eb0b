"""How the bytes of a file come from a source: from the web, from Google Drive, from a folder."""

import http.client
import shutil
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tqdm import tqdm

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.weights.errors import DownloadError

LARGEST = 1 << 30  # bytes of a file whose size is unknown; these networks have some 13 MB
BLOCK = 1 << 16


class SourceFailedError(Exception):
    """One source did not give the file; the part that came is kept."""


class WrongContentError(SourceFailedError):
    """One source gave something else; nothing of it is kept."""


class Part:
    """A file while it grows, beside its final place.

    It accepts no more bytes than the file can have, and none for which the disk has no room.

    Args:
        path: where to write.
        name: what the progress bar calls the file.
        expected: bytes of the whole file, or None where that is unknown.
        keep: append to what `path` holds already.
    """

    def __init__(self, path: Path, name: str, expected: int | None, keep: bool) -> None:
        self.path, self.name, self.expected = path, name, expected
        self.announced: int | None = None
        self.file = path.open("ab" if keep else "wb")
        self._anew = False
        self._bar: tqdm | None = None

    @property
    def size(self) -> int:
        """Returns the number of bytes so far."""
        return 0 if self._anew else self.file.tell()

    def restart(self) -> None:
        """Discards what came before as soon as something new comes."""
        self._anew = True

    def announce(self, total: int | None) -> None:
        """Takes the size of the whole file in bytes; None where that is unknown."""
        if total is None:
            return
        if total > LARGEST or total != (self.expected or total):
            # Drive says so after the first block, which is then of another file.
            error = SourceFailedError if self._bar is None else WrongContentError
            raise error(f"announces {total} bytes, expected {self.expected or f'at most {LARGEST}'}")
        self.announced = total
        if self._bar is not None:
            self._bar.total = total
        needed, free = total - self.size, shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise DownloadError(f"{self.path.parent}: {needed} bytes are needed, {free} are free; make room")

    def write(self, block: bytes) -> int:
        """Appends a block; returns its length, as files do."""
        limit = LARGEST if self.announced is None else self.announced
        if self.size + len(block) > limit:
            raise WrongContentError(f"gives more than the {limit} bytes expected")
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
        """Passes what was written on to the operating system."""
        self.file.flush()

    def check_whole(self) -> None:
        """Raises a SourceFailedError if nothing came, or less than was announced."""
        if self.size == 0:
            raise SourceFailedError("gives nothing")
        if self.announced is not None and self.size < self.announced:
            raise SourceFailedError(f"ended after {self.size} of {self.announced} bytes")

    def close(self) -> None:
        """Closes the file, and removes it if it is empty."""
        if self._bar is not None:
            self._bar.close()
        self.file.close()
        if self.path.stat().st_size == 0:
            self.path.unlink()


# ---------------------------------------------------------------- the web


def _from_http(url: str, part: Part, patience: float) -> None:
    response, begin = _open_http(url, part.size, patience)
    with response:
        if response.headers.get_content_type() == "text/html":
            raise SourceFailedError("gives a web page, no weights (often: permission or quota)")
        if begin == 0:
            part.restart()
        length = response.headers.get("Content-Length", "")
        part.announce(begin + int(length) if length.isdigit() else None)
        for block in _blocks(response, patience):
            part.write(block)


def _open_http(url: str, begin: int, patience: float) -> tuple[http.client.HTTPResponse, int]:
    """Returns a response with the file from byte `begin` on, and where it begins.

    Where the server cannot send a part of the file, the response has all of it and begins at 0.
    """
    headers = {"User-Agent": "cycleisp", "Accept-Encoding": "identity"}
    if begin:
        headers["Range"] = f"bytes={begin}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=patience)
    except urllib.error.HTTPError as error:
        error.close()
        if begin:  # the range may be what it refuses
            return _open_http(url, 0, patience)
        raise SourceFailedError(f"HTTP {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceFailedError(_reason(error, patience)) from None
    if response.status == http.client.PARTIAL_CONTENT:
        if response.headers.get("Content-Range", "").startswith(f"bytes {begin}-"):
            return response, begin
        response.close()
        if begin:
            return _open_http(url, 0, patience)
        raise SourceFailedError("gives a part of the file only")
    return response, 0


def _blocks(response: http.client.HTTPResponse, patience: float) -> Iterator[bytes]:
    try:
        while block := response.read1(BLOCK):  # whatever has come, so that a stall loses nothing of it
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise SourceFailedError(_reason(error, patience)) from None


def _reason(error: Exception, patience: float) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no byte for {patience:g} seconds"
    return textwrap.shorten(str(cause) or type(cause).__name__, 300)


# ---------------------------------------------------------------- Google Drive and folders


def _from_drive(source: str, part: Part, patience: float) -> None:
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
    except (UserError, SourceFailedError):
        raise
    except Exception as error:  # whatever requests and the parsers of Drive's pages raise
        raise SourceFailedError(_reason(error, patience)) from None


def _from_file(source: str, part: Part, _patience: float) -> None:
    path = Path(url2pathname(urlsplit(source).path))
    part.restart()
    try:
        part.announce(path.stat().st_size)
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                part.write(block)
    except OSError as error:
        raise SourceFailedError(f"cannot be read ({error.strerror})") from None


TRANSFERS: dict[str, Callable[[str, Part, float], None]] = {  # how to fill a part, by the scheme of the source
    "http": _from_http,
    "https": _from_http,
    "gdrive": _from_drive,
    "file": _from_file,
}
