"""The words of errors: one line, of what a user can read."""

import io
from pathlib import Path

import pytest
from PIL import Image

from cycleisp.utils.errors import UserError, reading, reason


def test_an_object_of_python_is_no_reason() -> None:
    with pytest.raises(Image.UnidentifiedImageError) as caught:
        Image.open(io.BytesIO(b"no picture"), formats=("PNG",))
    assert reason(caught.value) == "cannot identify image file"


def test_an_error_without_words_is_named_by_its_type() -> None:
    assert reason(KeyError()) == "KeyError"


def test_many_lines_become_one() -> None:
    with pytest.raises(UserError) as caught, reading(Path("a.png")):
        raise ValueError("first\n  second")
    assert str(caught.value).splitlines() == [
        "a.png: is damaged, or of another kind than expected (first second); get it again or remove it"
    ]
