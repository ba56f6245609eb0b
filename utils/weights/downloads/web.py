"""How the bytes of a file come from the web.

Servers are not trusted: their headers are bounded and checked, and they lead to no other protocols.
"""

import http.client
import re
import socket
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

from cycleisp.utils.weights.downloads.pace import TooSlowError
from cycleisp.utils.weights.downloads.parts import Part, SourceFailedError

BLOCK = 1 << 16
LONGEST_REASON = 300  # characters of what a server or a library says


def from_http(url: str, part: Part, patience: float) -> None:
    """Fills a part from a server.

    Raises:
        SourceFailedError: the server does not give the file.
    """
    response, begin = _open_http(url, part, part.size, patience)
    with response:
        if response.headers.get_content_type() == "text/html":
            raise SourceFailedError("gives a web page, no weights (often: permission or quota)")
        if begin == 0:
            part.restart()
        length = response.headers.get("Content-Length", "").strip()
        if re.fullmatch(r"[0-9]+", length):  # isdigit takes more than int does
            part.announce(begin + int(length[:18]))  # 18 digits are too many in any case
        for block in _blocks(response, patience):
            part.write(block)


def what_failed(error: Exception, patience: float) -> str:
    """Returns in one short line of printable text what went wrong with a connection."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no byte for {patience:g} seconds"
    if isinstance(cause, TooSlowError):
        return str(cause)
    return _printable(str(cause) or type(cause).__name__)


def _printable(text: str) -> str:
    """Returns what a server says without the control characters that could reach the terminal."""
    words = " ".join(text.split())
    return textwrap.shorten("".join(letter if letter.isprintable() else "?" for letter in words), LONGEST_REASON)


def _open_http(url: str, part: Part, begin: int, patience: float) -> tuple[http.client.HTTPResponse, int]:
    """Returns a response with the file from byte `begin` on, and where it begins.

    Where the server cannot send a part of the file, the response has all of it and begins at 0.
    """
    headers = {"User-Agent": "cycleisp", "Accept-Encoding": "identity"}
    if begin:
        headers["Range"] = f"bytes={begin}-"
    try:
        response = _opener(part.sockets).open(urllib.request.Request(url, headers=headers), timeout=patience)
    except urllib.error.HTTPError as error:
        error.close()
        if begin:  # the range may be what it refuses
            return _open_http(url, part, 0, patience)
        raise SourceFailedError(f"HTTP {error.code} {_printable(str(error.reason))}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceFailedError(what_failed(error, patience)) from None
    assert isinstance(response, http.client.HTTPResponse)
    if response.status == http.client.PARTIAL_CONTENT:
        if response.headers.get("Content-Range", "").startswith(f"bytes {begin}-"):
            return response, begin
        response.close()
        if begin:
            return _open_http(url, part, 0, patience)
        raise SourceFailedError("gives a part of the file only")
    return response, 0


def _blocks(response: http.client.HTTPResponse, patience: float) -> Iterator[bytes]:
    try:
        while block := response.read1(BLOCK):  # whatever has come, so that a stall loses nothing of it
            yield block
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceFailedError(what_failed(error, patience)) from None


# ---------------------------------------------------------------- connections and redirects


def _opener(sockets: list[socket.socket]) -> urllib.request.OpenerDirector:
    """Returns what opens http and https, and nothing else; it adds its connections to `sockets`."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
        _Http(sockets),
        _Https(sockets),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, ten at most, unless they leave http and https, or https for http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,  # type: ignore[override]
        newurl: str,
    ) -> urllib.request.Request | None:
        """Returns the request of the new address."""
        fp.close()  # else the base class reads a body that may have no end
        before, after = urlsplit(req.full_url).scheme.lower(), urlsplit(newurl).scheme.lower()
        if after not in ("http", "https"):
            raise SourceFailedError(f"redirects to {after[:20]}:, where only http and https are followed")
        if (before, after) == ("https", "http"):
            raise SourceFailedError("redirects from https to http, which anyone on the way could change")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class _HttpConnection(http.client.HTTPConnection):
    sockets: list[socket.socket]

    def connect(self) -> None:
        super().connect()
        self.sockets.append(self.sock)


class _HttpsConnection(http.client.HTTPSConnection):
    sockets: list[socket.socket]

    def connect(self) -> None:
        super().connect()
        self.sockets.append(self.sock)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self.connection = type("_Http", (_HttpConnection,), {"sockets": sockets})

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self.connection, req)  # type: ignore[arg-type]


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self.connection = type("_Https", (_HttpsConnection,), {"sockets": sockets})

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self.connection, req)  # type: ignore[arg-type]
