"""Reads reports: the text, pictures and charts of a page, which must stand by itself."""

import base64
import io
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_ALONE = {"meta", "img"}  # elements without an end
_LARGEST = 4 << 20  # bytes of a page of a test


@dataclass
class Page:
    """What a page shows.

    Attributes:
        text: all of its words, as a reader sees them.
        images: its pictures, (H, W, 3).
        charts: how many charts it has.
    """

    text: str = ""
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    charts: int = 0


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page, self.open, self.words = Page(), list[str](), list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        assert tag not in ("script", "link", "iframe", "object"), "a report runs and fetches nothing"
        if tag == "img":
            kind, _, data = str(named["src"]).partition(";base64,")
            assert kind in ("data:image/png", "data:image/jpeg")
            self.page.images.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))))
        assert not re.search("(src|href)", " ".join(named)) or tag == "img"
        self.page.charts += tag == "svg" and self.open[-1] == "figure"
        if tag not in _ALONE and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("circle", "path", "polyline", "polygon"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def read_page(path: Path) -> Page:
    """Reads a report, and checks that it is whole, of bounded size, and needs nothing else."""
    content = path.read_text(encoding="utf-8")
    assert len(content) < _LARGEST
    reader = _Reader()
    reader.feed(content)
    reader.close()
    assert not reader.open
    reader.page.text = "\n".join(reader.words)
    return reader.page
