"""Pages: whole files of HTML that show what they are given and ask for nothing else."""

import re
from html.parser import HTMLParser

import pytest

from cycleisp.utils.output.report.page import beside, code, heading, page, paragraph, table
from cycleisp.utils.output.report.values import with_error


class Reader(HTMLParser):
    """Collects the text of a page, and checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_page_is_whole_and_shows_its_text() -> None:
    parts = [heading("A < B"), paragraph("x & y"), beside(code("a\nb"), table(["h"], [["<i>"]], ["bad"]))]
    whole = page("T\x1b", parts)
    reader = Reader()
    reader.feed(whole)
    assert not reader.open
    text = "".join(reader.text)
    assert all(words in text for words in ("A < B", "x & y", "a\nb", "<i>", "T\\x1b"))
    assert '<tr class="bad">' in whole
    assert not re.search(r"https?:|src=|@import|<script", whole)


def test_rows_have_a_cell_for_every_column() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        table(["a", "b"], [["1"]])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        table(["a"], [["1"]], ["good", "bad"])


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (3.14159, 0.0123, "3.142 ± 0.012"),
        (512.3, 2.0, "512.3 ± 2.0"),
        (16383, 140, "16383 ± 140"),
        (1.4234e-5, 2.6e-7, "(1.423 ± 0.026)e-5"),
        (2e-9, 3e-8, "(0.2 ± 3.0)e-8"),
        (0.0, 0.0, "0"),
        (14, 0, "14"),
        (5.0, float("nan"), "5"),
    ],
)
def test_errors_say_how_many_digits_count(value: float, error: float, words: str) -> None:
    assert with_error(value, error) == words
