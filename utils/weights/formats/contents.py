"""What a file is that should hold weights: its first bytes tell, not its name.

Dead links, quota pages and forgotten `git lfs pull`s leave files that have the right name and the
wrong content. Here they get their own words.
"""

import html
import re
from pathlib import Path
from typing import Literal

from cycleisp.utils.errors import reading
from cycleisp.utils.limits import check_bytes
from cycleisp.utils.weights.errors import WeightsError

Layout = Literal["safetensors", "zip", "pickle"]
HEAD = 4096  # bytes that tell what a file is
SUFFIXES = (".safetensors", ".pth", ".pt")

# First bytes -> what such a file is, and what to do.
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs.github.com/", "is a Git LFS pointer, not the file itself; run `git lfs pull`"),
    (b"/annex/objects/", "is a git-annex pointer, not the file itself; run `git annex get`"),
    (b"\x1f\x8b", "is a file compressed with gzip; unpack it"),
    (b"BZh", "is a file compressed with bzip2; unpack it"),
    (b"\xfd7zXZ\x00", "is a file compressed with xz; unpack it"),
    (b"\x28\xb5\x2f\xfd", "is a file compressed with zstd; unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it"),
    (b"Rar!", "is a RAR archive; unpack it"),
    (b"PK\x05\x06", "is an empty zip archive; get it again"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file (of Keras or MATLAB), which is not read"),
    (b"MATLAB 5.0", "is a MATLAB file, no weights; give another file"),
    (b"\x93NUMPY", "is a NumPy array, no weights; give another file"),
    (b"GGUF", "is a GGUF file, which is not read"),
    (b"\xff\xd8\xff", "is a JPEG picture, no weights; give another file"),
    (b"\x89PNG\r\n", "is a PNG picture, no weights; give another file"),
    (b"GIF8", "is a GIF picture, no weights; give another file"),
    (b"II*\x00", "is a TIFF or RAW picture, no weights; give another file"),
    (b"MM\x00*", "is a TIFF or RAW picture, no weights; give another file"),
    (b"RIFF", "is a WebP picture, a sound or a film, no weights; give another file"),
    (b"%PDF", "is a PDF, no weights; give another file"),
    (b"\x7fELF", "is a program, no weights; give another file"),
)


def layout_of(path: Path) -> Layout:
    """Returns how a weight file is laid out, by its content.

    Raises:
        WeightsError: no such file, an empty one, one larger than the limit of `utils.limits`, or
            one that holds something else; the message says what.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    with reading(path, WeightsError):
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD)
    if not head:
        raise WeightsError(f"{path}: is empty (damaged, or never written to its end); get it again")
    check_bytes(path, size, WeightsError)
    if words := what_else(head):
        raise WeightsError(f"{path}: {words}")
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head[8:9] == b"{":  # after the eight bytes of the header's length
        return "safetensors"
    return "safetensors" if path.suffix.lower() == ".safetensors" else "pickle"


def check_suffix(path: Path) -> None:
    """Raises a WeightsError unless a file has the suffix of weights, in capitals or not."""
    if path.suffix.lower() not in SUFFIXES:
        raise WeightsError(f"{path}: expected .safetensors or .pth, got {path.suffix or 'no suffix'}")


def what_else(head: bytes) -> str | None:
    """Returns what a file is that holds no weights, in words that follow its name.

    Args:
        head: the first bytes of the file, at most HEAD of them are looked at.

    Returns:
        None where the file may hold weights.
    """
    head = head[:HEAD]
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return f"is a web page{_title(head)}, no weights (often: a dead link, permission or quota); get the file itself"
    for beginning, words in _FOREIGN:
        if head.startswith(beginning):
            return words
    if head[257:262] == b"ustar":
        return "is a tar archive; unpack it"
    if head[:1] == b"\x08" and re.match(rb"\x08.\x12.(pytorch|tf2onnx|keras2onnx|onnx)", head, re.DOTALL):
        return "is an ONNX model, which is not read; give the weights it was made of"
    if re.fullmatch(rb"[\t\r\n\x20-\x7e]+", head):
        kind = "is JSON text (often a server's error)" if head.lstrip()[:1] in (b"{", b"[") else "is text"
        return f"{kind}, no weights; get the file itself"
    return None


def _title(page: bytes) -> str:
    """Returns the title of a web page as text, which often says why there is no file."""
    found = re.search(rb"<title[^>]*>(.{1,300}?)</title>", page, re.DOTALL | re.IGNORECASE)
    if found is None:
        return ""
    words = " ".join(html.unescape(found[1].decode("utf-8", "replace")).split())
    return f" ({''.join(letter for letter in words if letter.isprintable())[:100]!r})"
