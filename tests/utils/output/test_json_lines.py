"""Lines of JSON: what was written comes back, and damage costs the line it hits."""

import os
from pathlib import Path

import pytest

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.json_lines import LONGEST_LINE, append_line, encode_lines, is_name_inside, read_lines

GOOD = b'{"a": 1}\n'
DAMAGE = {
    "not UTF-8": b'{"a": "\xff"}\n',
    "no object": b"[1, 2]\n",
    "a number": b"7\n",
    "half": b'{"a": \n',
    "deep nesting": b"[" * 100_000 + b"\n",
    "deep nesting of objects": b'{"a":' * 100_000 + b"\n",
    "a huge number": b'{"a": ' + b"9" * 5000 + b"}\n",
    "a huge line": b"x" * (3 * LONGEST_LINE) + b"\n",
    "NUL bytes": bytes(100) + b"\n",
    "UTF-16": '{"a": 1}\n'.encode("utf-16"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_costs_itself(tmp_path: Path, damage: str) -> None:
    (tmp_path / "lines").write_bytes(GOOD + DAMAGE[damage] + b"\n" + GOOD)
    lines, damaged = read_lines(tmp_path / "lines")
    assert lines == [{"a": 1}, {"a": 1}]
    assert damaged >= 1


def test_a_torn_line_is_closed_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(GOOD + b'{"b": ')
    append_line(path, {"c": 3})
    assert read_lines(path) == ([{"a": 1}, {"c": 3}], 1)


def test_names_that_are_not_utf_8_come_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\x1b.png")
    append_line(tmp_path / "lines", {"name": name})
    assert (tmp_path / "lines").read_bytes().isascii()
    assert read_lines(tmp_path / "lines") == ([{"name": name}], 0)


def test_what_is_not_there_holds_no_lines_and_a_folder_is_one_error(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "gone") == ([], 0)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder: cannot be read"):
        read_lines(tmp_path / "folder")


def test_equal_objects_give_equal_bytes() -> None:
    assert encode_lines([{"b": 1, "a": 2}]) == encode_lines([{"a": 2, "b": 1}]) == b'{"a": 2, "b": 1}\n'


@pytest.mark.parametrize("name", ["a.png", "deep/er/été 1.png", os.fsdecode(b"caf\xe9.png"), "..a/b..", " "])
def test_names_of_files_are_inside(name: str) -> None:
    assert is_name_inside(name)


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../../b", "/etc/passwd", "", ".", "a//b", "a/", "a\0b", 7, None, ["a"], "\ud800", "x" * 256, ".."],
)
def test_everything_else_is_not(name: object) -> None:
    assert not is_name_inside(name)
