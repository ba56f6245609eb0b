"""Names in words: what a terminal would act on is escaped, letters of all scripts stay."""

import os

import pytest

from cycleisp.utils.words import printable


@pytest.mark.parametrize("text", ["plain.png", "été 1.v2", "日本/写真", "naïve — “quoted”", "emoji 🙂"])
def test_letters_of_all_scripts_stay(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[31mred", r"\x1b[31mred"),
        (os.fsdecode(b"caf\xe9.png"), r"caf\xe9.png"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\x7f\x9b", r"\x7f\x9b"),
        ("\ud800", r"\ud800"),
    ],
)
def test_everything_else_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    shown.encode("ascii")


def test_line_breaks_stay_where_they_are_wanted() -> None:
    assert printable("a\nb\x07", keep="\n") == "a\nb\\x07"
