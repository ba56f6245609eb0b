"""How the bytes of a file come from a source: from the web and its hubs, or from a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from cycleisp.utils.errors import UserError
from cycleisp.utils.weights.downloads.hub_addresses import url_of
from cycleisp.utils.weights.downloads.pace import Pace, TooSlowError
from cycleisp.utils.weights.downloads.parts import Part, SourceFailedError
from cycleisp.utils.weights.downloads.web import BLOCK, from_http, what_failed


def transfer(source: str, part: Part, pace: Pace) -> None:
    """Fills a part from a source, as long as the source is fast enough.

    Args:
        source: as the registry names it; its scheme says how the bytes come.
        part: what to fill. Of a source that can send a part of a file, only the rest is fetched.
        pace: how slow the source may be.

    Raises:
        SourceFailedError: the source does not give the file.
        DownloadError: the file cannot be written.
    """
    fill = _TRANSFERS[source.partition(":")[0].lower()]
    try:
        pace.keep(
            transfer=lambda: fill(source, part, pace.patience),
            received=lambda: part.received,
            give_up=part.give_up,
        )
    except (UserError, SourceFailedError):
        raise
    except TooSlowError as error:
        raise SourceFailedError(str(error)) from None
    except Exception as error:  # what servers send leads the standard library anywhere
        raise SourceFailedError(what_failed(error, pace.patience)) from None


def _from_drive(source: str, part: Part, patience: float) -> None:
    import gdown  # takes half a second, and only Drive needs it

    part.restart()
    # no cookies: they would be kept in the home folder
    gdown.download(
        id=source.partition(":")[2],
        output=cast(BinaryIO, part),
        quiet=True,
        use_cookies=False,
        progress=lambda _, total: part.announce(total),
        timeout=patience,
    )


def _from_hub(source: str, part: Part, patience: float) -> None:
    from_http(url_of(source), part, patience)


def _from_file(source: str, part: Part, _patience: float) -> None:
    path = Path(url2pathname(urlsplit(source).path))
    part.restart()
    try:
        if not path.is_file():
            raise SourceFailedError("cannot be read (No such file)")
        part.announce(path.stat().st_size)
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                part.write(block)
    except OSError as error:
        raise SourceFailedError(f"cannot be read ({error.strerror})") from None


_TRANSFERS: dict[str, Callable[[str, Part, float], None]] = {  # how to fill a part, by the scheme of the source
    "http": from_http,
    "https": from_http,
    "gdrive": _from_drive,
    "hf": _from_hub,
    "file": _from_file,
}
