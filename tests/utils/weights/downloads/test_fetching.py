"""Downloads from a web server that misbehaves, from a fake Google Drive, and from folders."""

import concurrent.futures
import contextlib
import hashlib
import http.server
import io
import logging
import os
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gdown
import pytest
import torch

from cycleisp.utils.errors import UserError
from cycleisp.utils.weights.downloads import web
from cycleisp.utils.weights.downloads.fetching import check_present, fetch
from cycleisp.utils.weights.downloads.pace import Pace
from cycleisp.utils.weights.downloads.parts import Part, SourceFailedError
from cycleisp.utils.weights.errors import DownloadError
from cycleisp.utils.weights.files import save_tensors
from cycleisp.utils.weights.registry import Weights

CONTENT = bytes(range(256)) * 1024  # several blocks
HALF = len(CONTENT) // 2
PAGE = b"<!DOCTYPE html><html><body>Quota exceeded</body></html>"
PACE = Pace(patience=1.0, window=60.0, least=1024)  # only the stalling server makes a test wait for it


Pieces = Iterator[tuple[bytes, float]]  # bytes, and the seconds to wait after them
OK = b"HTTP/1.0 200 OK\r\n"


def _slow_body(content: bytes) -> Pieces:
    yield OK + b"Content-Length: %d\r\n\r\n" % len(content), 0
    for byte in content:
        yield bytes([byte]), 0.01


def _slow_headers(_: bytes) -> Pieces:
    yield OK, 0
    while True:
        yield b"X", 0.01


def _endless_headers(_: bytes) -> Pieces:
    yield OK, 0
    for number in range(10**6):
        yield b"X-%d: %s\r\n" % (number, b"x" * 1000), 0


def _endless_header(_: bytes) -> Pieces:
    yield OK + b"X: ", 0
    while True:
        yield b"x" * 10000, 0


def _endless_continue(_: bytes) -> Pieces:
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n", 0.001


def _endless_redirect_body(_: bytes) -> Pieces:
    yield b"HTTP/1.0 302 Found\r\nLocation: /missing/tiny.pth\r\n\r\n", 0
    while True:
        yield b"x" * 10000, 0.001


def _endless_trailers(content: bytes) -> Pieces:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(content), content), 0
    while True:
        yield b"X: y\r\n", 0.001


def _answers(*pieces: bytes) -> Callable[[bytes], Pieces]:
    return lambda content: ((piece.replace(b"CONTENT", content), 0) for piece in pieces)


ODD_ANSWERS: dict[str, Callable[[bytes], Pieces]] = {
    "slow_body": _slow_body,
    "slow_headers": _slow_headers,
    "endless_headers": _endless_headers,
    "endless_header": _endless_header,
    "endless_continue": _endless_continue,
    "endless_redirect_body": _endless_redirect_body,
    "endless_trailers": _endless_trailers,
    "negative_length": _answers(OK, b"Content-Length: -5\r\n\r\n", b"CONTENTmore"),
    "odd_length": _answers(OK, "Content-Length: ²³\r\n\r\n".encode("latin-1"), b"CONTENTmore"),
    "huge_length": _answers(OK, b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", b"CONTENT"),
    "bad_chunk": _answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"zz\r\nCONTENT"),
    "negative_chunk": _answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"-5\r\nCONTENT"),
    "huge_chunk": _answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"f" * 500 + b"\r\nCONTENT"),
    "no_http": _answers(b"\x00\xff\xfe garbage \r\n\r\n"),
    "odd_status": _answers(b"HTTP/1.0 999999 \x1b[31mred\r\n\r\n"),
    "control_characters": _answers(b"HTTP/1.0 500 \x1b]0;owned\x07 oh\r\n\r\n"),
    "no_location": _answers(b"HTTP/1.0 302 Found\r\n\r\n"),
    "bare_part": _answers(b"HTTP/1.0 206 Partial Content\r\nContent-Range: bytes x-y/z\r\n\r\n", b"CONTENT"),
    "gzip": _answers(OK, b"Content-Encoding: gzip\r\n\r\n", b"\x1f\x8bCONTENT"),
    "silence": _answers(b""),
}


class WebServer(http.server.ThreadingHTTPServer):
    """A server on 127.0.0.1 that sends `content` as the path says, as in /truncated/tiny.pth."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.ranges: list[str | None] = []  # asked for, one a request
        self.stalled = threading.Event()

    def source(self, manner: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{manner}/tiny.pth"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: WebServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        manner, content, wanted = self.path.split("/")[1], self.server.content, self.headers["Range"]
        self.server.ranges.append(wanted)
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if manner == "missing":
            self.send_error(404)
        elif manner == "page":
            self._answer(200, PAGE, kind="text/html")
        elif manner == "disguised_page":
            self._answer(200, PAGE)
        elif manner == "another":
            self._answer(200, bytes(len(content)))
        elif manner == "too_long":
            self._answer(200, content + b"more", length=None)
        elif manner == "lying":
            self._answer(200, content, length=len(content) + 100)
        elif manner == "without_length":
            self._answer(200, content, length=None)
        elif manner == "nothing":
            self._answer(200, b"")
        elif manner in ODD_ANSWERS:
            with contextlib.suppress(OSError):
                for piece, pause in ODD_ANSWERS[manner](content):
                    self.wfile.write(piece)
                    if self.server.stalled.wait(pause):
                        break
            self.close_connection = True
        elif manner.startswith("redirect-"):
            self.send_response(302)
            self.send_header("Location", bytes.fromhex(manner.removeprefix("redirect-")).decode("latin-1"))
            self.end_headers()
        elif manner == "ignores_range" or not wanted:
            self._answer(200, content[:HALF] if manner in ("truncated", "stalls") else content, len(content))
        elif manner == "refuses_range":
            self.send_error(416)
        elif manner == "odd_range":
            self._answer(206, content[begin + 7 :], extra=f"bytes {begin + 7}-{len(content) - 1}/{len(content)}")
        else:
            self._answer(206, content[begin:], extra=f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if manner == "stalls" and not wanted:
            self.server.stalled.wait(60)

    def _answer(
        self, status: int, body: bytes, length: int | None = -1, kind: str = "application/zip", extra: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        if extra:
            self.send_header("Content-Range", extra)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setenv("no_proxy", "*")
    with WebServer(CONTENT) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.stalled.set()
        running.shutdown()
        thread.join()


def entry(*sources: str, **changes: Any) -> Weights:
    fields: dict[str, Any] = {
        "name": "tiny",
        "file": "released/tiny.pth",
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "network": "SrgbDenoiser",
        "sizes": {"denoiser": {}},
        "space": "srgb",
        "training_data": "none",
        "licence": "for tests only",
        "sources": sources,
        "note": "A note.",
    }
    return Weights.model_validate({**fields, **changes})


UNKNOWN: dict[str, Any] = {"bytes": None, "sha256": None}


def failure(weights: Weights, folder: Path) -> str:
    with pytest.raises(DownloadError) as error:
        fetch(weights, folder, PACE)
    return str(error.value)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def leave_half(folder: Path, content: bytes = CONTENT[:HALF]) -> Path:
    part = folder / "released" / ".tiny.pth.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    return part


# ---------------------------------------------------------------- the web


@pytest.mark.parametrize("manner", ["plain", "without_length"])
def test_a_file_comes_whole_and_alone(server: WebServer, tmp_path: Path, manner: str) -> None:
    path = fetch(entry(server.source(manner)), tmp_path, PACE)
    assert path == tmp_path / "released" / "tiny.pth"
    assert path.read_bytes() == CONTENT
    assert files(tmp_path) == {"tiny.pth"}
    fetch(entry(server.source(manner)), tmp_path, PACE)
    assert len(server.ranges) == 1  # not fetched again


@pytest.mark.parametrize(
    ("manner", "reason"),
    [("truncated", f"ended after {HALF} of {len(CONTENT)} bytes"), ("stalls", "no byte for 1 seconds")],
)
def test_an_interrupted_transfer_goes_on_where_it_stopped(
    server: WebServer, tmp_path: Path, manner: str, reason: str
) -> None:
    weights = entry(server.source(manner))
    message = failure(weights, tmp_path)
    assert reason in message
    assert f"{HALF} bytes are kept: the same line again goes on" in message
    assert files(tmp_path) == {".tiny.pth.part"}
    assert fetch(weights, tmp_path, PACE).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert files(tmp_path) == {"tiny.pth"}


def test_another_source_takes_over_from_the_first(server: WebServer, tmp_path: Path) -> None:
    weights = entry(server.source("truncated"), server.source("missing"), server.source("plain"))
    assert fetch(weights, tmp_path, PACE).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={HALF}-", None, f"bytes={HALF}-"]  # 404 with a range, 404 without


@pytest.mark.parametrize("manner", ["ignores_range", "refuses_range", "odd_range"])
def test_a_server_without_ranges_begins_anew(server: WebServer, tmp_path: Path, manner: str) -> None:
    leave_half(tmp_path)
    assert fetch(entry(server.source(manner)), tmp_path, PACE).read_bytes() == CONTENT
    assert server.ranges[0] == f"bytes={HALF}-"


def test_a_part_of_something_else_is_not_built_upon(server: WebServer, tmp_path: Path) -> None:
    leave_half(tmp_path, bytes(HALF))
    assert fetch(entry(server.source("plain")), tmp_path, PACE).read_bytes() == CONTENT
    leave_half(tmp_path, CONTENT)
    (tmp_path / "released" / "tiny.pth").unlink()
    count = len(server.ranges)
    assert fetch(entry(server.source("missing")), tmp_path, PACE).read_bytes() == CONTENT  # whole already
    assert len(server.ranges) == count


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("missing", "HTTP 404 Not Found"),
        ("page", "gives a web page"),
        ("another", r"gives another file: SHA-256 \w{64}, expected \w{64}"),
        ("too_long", f"gives more than the {len(CONTENT)} bytes expected"),
        ("lying", f"announces {len(CONTENT) + 100} bytes, expected {len(CONTENT)}"),
        ("disguised_page", f"announces {len(PAGE)} bytes"),
    ],
)
def test_what_is_not_the_file_leaves_nothing_behind(
    server: WebServer, tmp_path: Path, manner: str, reason: str
) -> None:
    with pytest.raises(DownloadError, match=reason):
        fetch(entry(server.source(manner)), tmp_path, PACE)
    assert files(tmp_path) == set()


def test_several_processes_fetch_it_once(server: WebServer, tmp_path: Path) -> None:
    weights = entry(server.source("plain"))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(weights, tmp_path, PACE), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert len(server.ranges) == 1


def test_a_dead_source_spares_the_part_of_another(server: WebServer, tmp_path: Path) -> None:
    part = leave_half(tmp_path)
    weights = entry(server.source("missing"), server.source("page"), f"file://{tmp_path}/none.pth")
    assert f"{HALF} bytes are kept" in failure(weights, tmp_path)
    assert part.read_bytes() == CONTENT[:HALF]


def test_a_liar_is_found_out_without_knowing_size_or_hash(server: WebServer, tmp_path: Path) -> None:
    message = failure(entry(server.source("lying"), server.source("nothing"), **UNKNOWN), tmp_path)
    assert f"ended after {len(CONTENT)} of {len(CONTENT) + 100} bytes" in message
    assert "gives nothing" in message
    assert files(tmp_path) == set()  # without a hash a part is of no use


def test_one_error_tells_each_source_and_what_to_do(server: WebServer, tmp_path: Path) -> None:
    sources = [server.source("missing"), server.source("page"), "http://127.0.0.1:1/tiny.pth"]
    lines = failure(entry(*sources), tmp_path).splitlines()
    assert lines[0] == f"tiny: no source gives {tmp_path / 'released' / 'tiny.pth'}:"
    for line, source in zip(lines[1:4], sources, strict=True):
        assert line.startswith(f"  {source}: ")
    assert "refused" in lines[3]
    assert lines[4] == "A note."
    assert "add a source to registry.yaml" in lines[5]


def test_a_file_without_sources_is_restored_with_git(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"part of the checkout, restore it: git checkout -- .*tiny\.pth"):
        fetch(entry(), tmp_path)


# ---------------------------------------------------------------- servers that lie, or never end

BRISK = Pace(patience=5.0, window=0.3, least=20_000)  # some ten times what the slow servers here give


def test_a_file_at_a_moderate_pace_is_waited_for(server: WebServer, tmp_path: Path) -> None:
    server.content = CONTENT[:50]
    changes = {"bytes": 50, "sha256": hashlib.sha256(CONTENT[:50]).hexdigest()}
    steady = Pace(patience=5.0, window=0.2, least=5)
    assert fetch(entry(server.source("slow_body"), **changes), tmp_path, steady).read_bytes() == CONTENT[:50]


@pytest.mark.parametrize(
    "manner",
    ["slow_body", "slow_headers", "endless_continue", "endless_redirect_body", "endless_trailers"],
)
@pytest.mark.parametrize("known", [True, False])
def test_what_never_ends_is_given_up(server: WebServer, tmp_path: Path, manner: str, known: bool) -> None:
    with pytest.raises(DownloadError, match=r"less than 20000 a second \(.*CYCLEISP_LEAST_RATE\)|HTTP 404"):
        fetch(entry(server.source(manner), **({} if known else UNKNOWN)), tmp_path, BRISK)
    assert not (tmp_path / "released" / "tiny.pth").exists()
    for _ in range(100):  # the connection is cut, so that its thread ends
        if not any(thread.name == "download" for thread in threading.enumerate()):
            break
        time.sleep(0.02)
    assert not any(thread.name == "download" for thread in threading.enumerate())


def test_a_slow_source_leaves_its_part_to_a_faster_one(server: WebServer, tmp_path: Path) -> None:
    weights = entry(server.source("slow_body"), server.source("plain"))
    assert fetch(weights, tmp_path, BRISK).read_bytes() == CONTENT
    assert server.ranges[0] is None
    assert server.ranges[1] is not None


@pytest.mark.parametrize(
    "manner", sorted(ODD_ANSWERS.keys() - {"slow_body", "slow_headers", "endless_continue", "endless_trailers"})
)
@pytest.mark.parametrize("known", [True, False])
def test_an_odd_answer_is_one_line_of_the_error(server: WebServer, tmp_path: Path, manner: str, known: bool) -> None:
    with pytest.raises(DownloadError) as error:
        fetch(entry(server.source(manner), **({} if known else UNKNOWN)), tmp_path, PACE)
    lines = str(error.value).splitlines()
    assert sum(line.startswith("  http://127.0.0.1") for line in lines) == 1
    assert all(line.isprintable() for line in lines)
    assert not (tmp_path / "released" / "tiny.pth").exists()


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("file:///etc/passwd", "not allowed"),
        ("ftp://127.0.0.1/tiny.pth", "redirects to ftp:, where only http and https are followed"),
        ("gdrive:abc", "not allowed"),
        ("data:text/plain,abc", "not allowed"),
        ("javascript:alert(1)", "not allowed"),
        ("http://[::1", ""),
        ("http://" + "a" * 70 + ".example/x", ""),
        ("http://127.0.0.1:99999/x", ""),
        ("\x1b[31mred", ""),
    ],
)
def test_a_redirect_leads_to_the_web_only(server: WebServer, tmp_path: Path, location: str, words: str) -> None:
    message = failure(entry(server.source(f"redirect-{location.encode('latin-1').hex()}")), tmp_path)
    assert words in message
    assert all(line.isprintable() for line in message.splitlines())


def test_redirects_are_followed_but_not_for_ever(server: WebServer, tmp_path: Path) -> None:
    onward = server.source("plain").encode().hex()
    assert fetch(entry(server.source(f"redirect-{onward}")), tmp_path, PACE).read_bytes() == CONTENT
    manner = "no_end"
    ODD_ANSWERS[manner] = _answers(b"HTTP/1.0 302 Found\r\nLocation: %s\r\n\r\n" % server.source(manner).encode())
    try:
        assert "infinite loop" in failure(entry(server.source(manner), file="other.pth"), tmp_path)
    finally:
        del ODD_ANSWERS[manner]


def test_https_never_leads_to_http() -> None:
    request, body = urllib.request.Request("https://example.org/a"), io.BytesIO(b"body")
    redirects = web._Redirects()
    with pytest.raises(SourceFailedError, match="redirects from https to http"):
        redirects.redirect_request(request, body, 302, "Found", Message(), "http://example.org/a")
    assert body.closed
    onward = redirects.redirect_request(request, body, 302, "Found", Message(), "https://example.org/b")
    assert onward is not None
    assert onward.full_url == "https://example.org/b"


def test_a_slow_drive_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ended = threading.Event()

    def fake(*, output: Any, **_: Any) -> None:
        while not ended.wait(0.01):
            output.write(b"x")

    monkeypatch.setattr(gdown, "download", fake)
    with pytest.raises(DownloadError, match=r"gdrive:abc: gives \d+ bytes in 0\.3 seconds, less than 20000 a second"):
        fetch(entry("gdrive:abc"), tmp_path, BRISK)
    ended.set()


@pytest.mark.parametrize(("text", "rate"), [("", 1024), ("0", 0), ("5000", 5000)])
def test_the_least_rate_is_adjustable(monkeypatch: pytest.MonkeyPatch, text: str, rate: int) -> None:
    monkeypatch.setenv("CYCLEISP_LEAST_RATE", text)
    assert Pace().least == rate
    monkeypatch.setenv("CYCLEISP_LEAST_RATE", "fast")
    with pytest.raises(UserError, match="CYCLEISP_LEAST_RATE: expected bytes a second"):
        Pace()


# ---------------------------------------------------------------- links in the way


@pytest.mark.parametrize("name", [".tiny.pth.part", ".tiny.pth.lock", "tiny.pth"])
@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_links_are_never_followed(server: WebServer, tmp_path: Path, name: str, kind: str) -> None:
    other = tmp_path / "somebody's"
    other.write_bytes(b"precious")
    link = tmp_path / "models" / "released" / name
    link.parent.mkdir(parents=True)
    if kind == "symbolic":
        link.symlink_to(other if name != "tiny.pth" else tmp_path / "nowhere")
    elif name == ".tiny.pth.part":
        link.hardlink_to(other)
    path = fetch(entry(server.source("plain")), tmp_path / "models", PACE)
    assert path.read_bytes() == CONTENT
    assert not path.is_symlink()
    assert other.read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_pipe_in_the_way_holds_nothing_up(server: WebServer, tmp_path: Path) -> None:
    (tmp_path / "released").mkdir()
    os.mkfifo(tmp_path / "released" / ".tiny.pth.part")
    assert fetch(entry(server.source("plain")), tmp_path, PACE).read_bytes() == CONTENT


# ---------------------------------------------------------------- hashes nobody has told


@pytest.fixture
def true_weights(tmp_path: Path) -> bytes:
    """The content of a true weight file."""
    path = tmp_path / "true.pth"
    torch.save({"state_dict": {"head.0.weight": torch.zeros(3)}}, path)
    return path.read_bytes()


def test_an_unknown_hash_is_recorded_and_then_held_to(
    server: WebServer, tmp_path: Path, true_weights: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server.content = true_weights
    weights, sha256 = entry(server.source("plain"), **UNKNOWN), hashlib.sha256(true_weights).hexdigest()
    folder = tmp_path / "models"
    with caplog.at_level(logging.WARNING):
        path = fetch(weights, folder, PACE)
    assert "tiny: licence: for tests only" in caplog.text
    assert f"SHA-256 {sha256}; the right one is unknown" in caplog.text
    assert (folder / "released" / "tiny.pth.sha256").read_text() == f"{sha256}  tiny.pth\n"
    assert check_present(weights, folder) == f"{sha256} (as recorded)"
    path.unlink()
    server.content = true_weights + b"changed"
    assert "gives another file" in failure(weights, folder)
    assert not path.exists()
    path.write_bytes(b"put here by hand")
    with pytest.raises(DownloadError, match="remove it and fetch it again"):
        check_present(weights, folder)


def test_a_file_put_there_by_hand_is_recorded_if_it_holds_weights(tmp_path: Path, true_weights: bytes) -> None:
    weights = entry("gdrive:abc", **UNKNOWN)
    (tmp_path / "released").mkdir()
    for content, words in ((PAGE, "is a web page"), (CONTENT, "is damaged, or of another kind")):
        (tmp_path / "released" / "tiny.pth").write_bytes(content)
        with pytest.raises(DownloadError, match=words):
            check_present(weights, tmp_path)
    (tmp_path / "released" / "tiny.pth").write_bytes(true_weights)
    fetch(weights, tmp_path)
    assert "recorded" in check_present(weights, tmp_path)
    assert check_present(weights, tmp_path).endswith("(as recorded)")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_of_an_unknown_hash_only_weights_are_taken(server: WebServer, tmp_path: Path, suffix: str) -> None:
    changes = {**UNKNOWN, "file": f"released/tiny{suffix}"}
    assert "gives no weights" in failure(entry(server.source("plain"), **changes), tmp_path)
    assert "gives a web page" in failure(entry(server.source("disguised_page"), **changes), tmp_path)
    assert files(tmp_path) == set()


def test_code_in_an_unknown_file_is_refused_and_never_runs(tmp_path: Path) -> None:
    class Exploit:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "owned",)

    torch.save({"state_dict": {}, "epoch": Exploit()}, tmp_path / "evil.pth")
    folder = tmp_path / "models"
    assert "refused" in failure(entry((tmp_path / "evil.pth").as_uri(), **UNKNOWN), folder)
    assert files(folder) == set()
    assert not (tmp_path / "owned").exists()


def test_safetensors_of_an_unknown_hash_are_taken(tmp_path: Path) -> None:
    save_tensors(tmp_path / "true.safetensors", {"a": torch.zeros(3)}, {})
    source = (tmp_path / "true.safetensors").as_uri()
    weights = entry(source, **{**UNKNOWN, "file": "tiny.safetensors"})
    assert fetch(weights, tmp_path / "models").is_file()


# ---------------------------------------------------------------- folders and Drive


def test_a_folder_is_a_source(tmp_path: Path) -> None:
    origin = tmp_path / "a folder" / "ä.pth"
    origin.parent.mkdir()
    origin.write_bytes(CONTENT)
    leave_half(tmp_path)
    assert fetch(entry(origin.as_uri()), tmp_path).read_bytes() == CONTENT
    assert "cannot be read (No such file" in failure(entry(f"{origin.as_uri()}.gone", file="other.pth"), tmp_path)
    origin.write_bytes(CONTENT[:HALF])
    assert f"announces {HALF} bytes" in failure(entry(origin.as_uri(), file="other.pth"), tmp_path)


def drive(
    monkeypatch: pytest.MonkeyPatch, content: bytes | Exception, total: int | None = None
) -> list[dict[str, Any]]:
    """Replaces gdown by a fake that sends two blocks or fails; returns the options of its calls."""
    asked: list[dict[str, Any]] = []

    def fake(*, output: Any, progress: Any, **options: Any) -> None:
        asked.append(options)
        if isinstance(content, Exception):
            raise content
        for block in (content[:HALF], content[HALF:]):
            output.write(block)
            progress(0, total)
        output.flush()

    monkeypatch.setattr(gdown, "download", fake)
    return asked


@pytest.mark.parametrize("total", [None, len(CONTENT)])
def test_drive_gives_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, total: int | None) -> None:
    asked = drive(monkeypatch, CONTENT, total)
    leave_half(tmp_path, bytes(HALF))
    assert fetch(entry("gdrive:abc"), tmp_path, PACE).read_bytes() == CONTENT
    assert asked == [{"id": "abc", "quiet": True, "use_cookies": False, "timeout": PACE.patience}]
    assert files(tmp_path) == {"tiny.pth"}


def test_a_page_of_drive_is_not_taken_for_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drive(monkeypatch, PAGE)
    assert "gives a web page, no weights (often: a dead link, permission or quota)" in failure(
        entry("gdrive:abc", **UNKNOWN), tmp_path
    )
    drive(monkeypatch, gdown.exceptions.FileURLRetrievalError("Failed:\n\n\tToo many users\n\thave viewed it"))
    assert "gdrive:abc: Failed: Too many users have viewed it" in failure(entry("gdrive:abc"), tmp_path)
    drive(monkeypatch, CONTENT + b"more")
    assert "gives more than" in failure(entry("gdrive:abc"), tmp_path)
    drive(monkeypatch, CONTENT, total=5)
    assert "announces 5 bytes" in failure(entry("gdrive:abc"), tmp_path)
    assert files(tmp_path) == set()


def test_the_installed_gdown_takes_these_options(server: WebServer, tmp_path: Path) -> None:
    """Uses the test's own server, since gdown takes any URL."""
    with contextlib.closing(Part(tmp_path / "part", "tiny", len(CONTENT), keep=False)) as part:
        gdown.download(  # as utils.weights.downloads.transfers calls it, by `url` in place of `id`
            url=server.source("plain"),
            output=part,
            quiet=True,
            use_cookies=False,
            progress=lambda _, total: part.announce(total),
            timeout=PACE.patience,
        )
        part.check_whole()
    assert (tmp_path / "part").read_bytes() == CONTENT


# ---------------------------------------------------------------- the disk


@pytest.mark.parametrize("known", [True, False])
def test_no_room_is_found_out_before_anything_is_written(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    weights = entry(server.source("plain"), server.source("plain"), **({} if known else UNKNOWN))
    message = failure(weights, tmp_path)
    assert f"{len(CONTENT)} bytes are needed, 1000 are free; make room" in message
    assert len(server.ranges) == (0 if known else 1)  # another source would not help
    assert files(tmp_path) == set()


def test_room_is_needed_for_the_rest_only(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_half(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=HALF))
    assert fetch(entry(server.source("plain")), tmp_path, PACE).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "released").write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match=r"tiny\.pth: cannot be written"):
        fetch(entry("gdrive:abc"), tmp_path)
