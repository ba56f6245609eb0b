"""SIDD's submissions: other programs read both forms, and all faults are found."""

import base64
import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray

from cycleisp.dataloaders import protocols
from cycleisp.dataloaders.sidd.files import block_shape
from cycleisp.dataloaders.sidd.submission import (
    SubmissionError,
    submission_names,
    validate_submission,
    write_csv,
    write_matlab,
)
from cycleisp.utils.images import Space

SIDE, GRID, COUNT = 4, (40, 32), 1280
SPACES = pytest.mark.parametrize("space", ["raw", "srgb"])
KIND = {"raw": "Raw", "srgb": "Srgb"}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "SIDD_SIDE", SIDE)


def some_blocks(space: Space, seed: int = 0) -> NDArray:
    """Returns all 1280 blocks by number."""
    rng = np.random.default_rng(seed)
    if space == "srgb":
        return rng.integers(0, 256, (COUNT, SIDE, SIDE, 3)).astype(np.uint8)
    return rng.random((COUNT, SIDE, SIDE)).astype(np.float32)


def as_cells(blocks: NDArray) -> NDArray:
    cells = np.empty(GRID, object)
    for index, block in enumerate(blocks):
        cells[divmod(index, GRID[1])] = block
    return cells


def elsewhere(path: Path, space: Space, compressed: bool = False, **changes: Any) -> Path:
    """Writes a submission as anybody would with scipy; a change to None leaves a variable out."""
    kind = KIND[space]
    facts = {"MethodName": "Other", "Authors": "A. U. Thor", "PaperTitle": "", "Venue": "Here"}
    content = {
        f"DenoisedBlocks{kind}": as_cells(some_blocks(space)),
        f"TimeMP{kind}": 0.7,
        "OptionalData": facts,
        **changes,
    }
    content = {name: value for name, value in content.items() if value is not None}
    scipy.io.savemat(path, content, do_compression=compressed)
    return path


def table_lines(space: Space) -> list[list[str]]:
    """Returns the rows of a right table, with its header."""
    rows = [[str(index), base64.b64encode(block.tobytes()).decode()] for index, block in enumerate(some_blocks(space))]
    return [["ID", "BLOCK"], *rows]


def write_table(path: Path, lines: list[list[str]]) -> Path:
    path.write_text("".join(f"{','.join(line)}\n" for line in lines))
    return path


def complaint(path: Path, expected: Callable[[int], NDArray] | None = None) -> str:
    with pytest.raises(SubmissionError) as refused:
        validate_submission(path, expected)
    assert str(refused.value).startswith(f"{path}: ")
    return str(refused.value)


# ---------------------------------------------------------------- round trips


def test_blocks_are_as_large_as_sidds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert block_shape("raw") == (256, 256) and block_shape("srgb") == (256, 256, 3)
    assert submission_names("raw") == ("SubmitRaw.mat", "SubmitRaw.csv")
    assert submission_names("srgb") == ("SubmitSrgb.mat", "SubmitSrgb.csv")


@SPACES
def test_the_matlab_form_is_what_the_server_reads(tmp_path: Path, space: Space) -> None:
    blocks, path = some_blocks(space), tmp_path / "Submit.mat"
    write_matlab(path, space, blocks.__getitem__, 0.25)
    content = scipy.io.loadmat(path)
    assert {name for name in content if not name.startswith("__")} == {
        f"DenoisedBlocks{KIND[space]}",
        f"TimeMP{KIND[space]}",
        "OptionalData",
    }
    cells = content[f"DenoisedBlocks{KIND[space]}"]
    assert cells.shape == GRID
    for index, block in enumerate(blocks):
        cell = cells[index // 32, index % 32]
        assert cell.dtype == block.dtype
        np.testing.assert_array_equal(cell, block)
    assert content[f"TimeMP{KIND[space]}"].item() == 0.25
    assert content["OptionalData"].dtype.names == ("MethodName", "Authors", "PaperTitle", "Venue")
    shape = f"({SIDE}, {SIDE}, 3) uint8" if space == "srgb" else f"({SIDE}, {SIDE}) float32"
    assert validate_submission(path) == f"{path}: 1280 blocks of {shape}, in order"
    assert validate_submission(path, blocks.__getitem__) == validate_submission(path)


@SPACES
def test_the_table_is_what_the_server_reads(tmp_path: Path, space: Space) -> None:
    blocks, path = some_blocks(space), tmp_path / "Submit.csv"
    write_csv(path, blocks.__getitem__)
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["ID", "BLOCK"] and len(rows) == COUNT
    assert path.read_text().startswith("ID,BLOCK\n0,")
    for index, (number, text) in enumerate(rows):
        assert number == str(index)
        read = np.frombuffer(base64.b64decode(text), blocks.dtype).reshape(blocks.shape[1:])
        np.testing.assert_array_equal(read, blocks[index])
    assert "1280 blocks" in validate_submission(path, blocks.__getitem__)
    assert path.read_bytes() == write_table(tmp_path / "by_hand.csv", table_lines(space)).read_bytes()


def test_blocks_in_any_memory_layout_make_the_same_table(tmp_path: Path) -> None:
    blocks = some_blocks("raw")
    write_csv(tmp_path / "a.csv", blocks.__getitem__)
    write_csv(tmp_path / "b.csv", lambda index: np.asfortranarray(blocks[index]))
    write_csv(tmp_path / "c.csv", lambda index: blocks[index].astype(">f4"))
    assert len({(tmp_path / f"{name}.csv").read_bytes() for name in "abc"}) == 1


@SPACES
@pytest.mark.parametrize("compressed", [False, True])
def test_a_submission_made_elsewhere_passes(tmp_path: Path, space: Space, compressed: bool) -> None:
    path = elsewhere(tmp_path / "other.MAT", space, compressed)
    assert "1280 blocks" in validate_submission(path)
    assert "1280 blocks" in validate_submission(path, some_blocks(space).__getitem__)


def test_a_table_made_elsewhere_passes(tmp_path: Path) -> None:
    """Quotes, other ends of lines, and a blank last line mean the same."""
    path = tmp_path / "other.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(table_lines("srgb"))
        file.write("\r\n")
    assert "1280 blocks" in validate_submission(path, some_blocks("srgb").__getitem__)


# ---------------------------------------------------------------- both forms


@SPACES
@pytest.mark.parametrize("form", ["mat", "csv"])
def test_blocks_that_are_not_the_expected_ones_are_found(tmp_path: Path, space: Space, form: str) -> None:
    """Exchanging scene and block is the most likely mistake, and does not show in the form."""
    blocks = some_blocks(space)
    wrong = np.swapaxes(blocks.reshape(32, 40, *blocks.shape[1:]), 0, 1).reshape(blocks.shape)
    path = tmp_path / f"Submit.{form}"
    if form == "mat":
        write_matlab(path, space, wrong.__getitem__, 1.0)
    else:
        write_csv(path, wrong.__getitem__)
    assert "1280 blocks" in validate_submission(path)
    said = complaint(path, blocks.__getitem__)
    assert "block (0, 1): is not the block that was denoised: the order is wrong" in said
    assert "block (0, 0)" not in said and len(said.splitlines()) == 12 and "and 1268 more" in said


@pytest.mark.parametrize("form", ["mat", "csv"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e-6, 1.001])
def test_raw_leaves_the_unit_interval(tmp_path: Path, form: str, value: float) -> None:
    blocks = some_blocks("raw")
    blocks[77, 1, 2] = value
    path = tmp_path / f"Submit.{form}"
    if form == "mat":
        write_matlab(path, "raw", blocks.__getitem__, 1.0)
    else:
        write_csv(path, blocks.__getitem__)
    said = complaint(path)
    assert "would not be taken" in said and "block (2, 13): expected values in [0, 1], got" in said
    assert len(said.splitlines()) == 2


@pytest.mark.parametrize("name", ["nowhere.mat", "nowhere.csv"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    assert "no such file" in complaint(tmp_path / name)
    (tmp_path / name).mkdir()
    assert "no such file" in complaint(tmp_path / name)


@pytest.mark.parametrize("name", ["a.mat", "a.csv", "a.png"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\0\0\0", b"\xff\xfe" * 300, b"a,b\n1,2\n", b"\0" * 500])
def test_other_files_are_none(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    said = complaint(path)
    words = "not a whole MATLAB file" if name == "a.mat" else "expected the header ID,BLOCK, got"
    if content == b"\0" * 500 and name != "a.mat" and sys.version_info < (3, 11):  # csv reads no NUL there
        words = "cannot be read (line contains NUL)"
    assert words in said


# ---------------------------------------------------------------- MATLAB


@SPACES
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda block: block[:-1], "expected SHAPE DTYPE, got (3, 4"),
        (lambda block: block[None], "expected SHAPE DTYPE, got (1, 4, 4"),
        (lambda block: block.astype(np.float64), "got SHAPE float64"),
        (lambda block: block.astype(np.uint16), "got SHAPE uint16"),
        (lambda block: np.zeros((0, 0)), "got (0, 0) float64"),
        (lambda block: "text", "got (1,) <U4"),
        (lambda block: {"a": 1}, "expected SHAPE DTYPE, got (1, 1) "),
    ],
    ids=["small", "deep", "double", "sixteen", "empty", "text", "struct"],
)
def test_one_wrong_cell_is_named(tmp_path: Path, space: Space, change: Callable[[NDArray], object], words: str) -> None:
    cells = as_cells(some_blocks(space))
    cells[3, 7] = change(cells[3, 7])
    changes: dict[str, Any] = {f"DenoisedBlocks{KIND[space]}": cells}
    said = complaint(elsewhere(tmp_path / "a.mat", space, **changes))
    words = words.replace("SHAPE", str(block_shape(space))).replace("DTYPE", str(some_blocks(space).dtype))
    assert "block (3, 7): " in said and words in said and len(said.splitlines()) == 2


def test_cells_in_another_arrangement(tmp_path: Path) -> None:
    cells = as_cells(some_blocks("raw"))
    for wrong, got in (
        (cells.T, "(32, 40) of object"),
        (cells[:39], "(39, 32) of object"),
        (cells.reshape(1, -1), "(1, 1280) of object"),
        (some_blocks("raw").reshape(*GRID, SIDE, SIDE), "(40, 32, 4, 4) of float32"),
        ("text", "(1,) of <U4"),
    ):
        said = complaint(elsewhere(tmp_path / "a.mat", "raw", DenoisedBlocksRaw=wrong))
        assert f"expected a (40, 32) cell array, got {got}" in said


def test_missing_or_wrong_variables(tmp_path: Path) -> None:
    whole = dict.fromkeys(("MethodName", "Authors", "PaperTitle", "Venue"), "x")
    less = dict.fromkeys(("MethodName", "Authors"), "x")
    for changes, words in (
        ({"DenoisedBlocksRaw": None}, "expected one of DenoisedBlocksRaw and DenoisedBlocksSrgb, got 0"),
        ({"DenoisedBlocksSrgb": np.ones(3)}, "expected one of DenoisedBlocksRaw and DenoisedBlocksSrgb, got 2"),
        ({"TimeMPRaw": None}, "TimeMPRaw: expected seconds a megapixel, got None"),
        ({"TimeMPRaw": None, "TimeMPSrgb": 1.0}, "TimeMPRaw: expected seconds a megapixel, got None"),
        ({"TimeMPRaw": -1.0}, "TimeMPRaw: expected seconds a megapixel"),
        ({"TimeMPRaw": np.nan}, "TimeMPRaw: expected seconds a megapixel"),
        ({"TimeMPRaw": np.inf}, "TimeMPRaw: expected seconds a megapixel"),
        ({"TimeMPRaw": np.ones(2)}, "TimeMPRaw: expected seconds a megapixel"),
        ({"TimeMPRaw": "long"}, "TimeMPRaw: expected seconds a megapixel"),
        ({"TimeMPRaw": 1j}, "TimeMPRaw: expected seconds a megapixel"),
        ({"OptionalData": None}, "OptionalData: expected a struct, it lacks Authors, MethodName, PaperTitle, Venue"),
        ({"OptionalData": "text"}, "OptionalData: expected a struct, it lacks Authors, MethodName"),
        ({"OptionalData": 1.0}, "OptionalData: expected a struct, it lacks Authors, MethodName"),
        ({"OptionalData": less}, "OptionalData: expected a struct, it lacks PaperTitle, Venue"),
    ):
        assert words in complaint(elsewhere(tmp_path / "a.mat", "raw", **changes))
    more = {**whole, "Note": "y"}
    for good in ({"OptionalData": more}, {"TimeMPRaw": 0}, {"TimeMPRaw": np.array([[2]], np.uint8)}, {"Extra": 1.0}):
        validate_submission(elsewhere(tmp_path / "a.mat", "raw", **good))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_matlab_file_that_ends_early(tmp_path: Path, compressed: bool) -> None:
    whole = elsewhere(tmp_path / "whole.mat", "srgb", compressed).read_bytes()
    for part in (0.001, 0.1, 0.5, 0.9, 0.999):
        path = tmp_path / "cut.mat"
        path.write_bytes(whole[: int(len(whole) * part)])
        complaint(path)


# ---------------------------------------------------------------- tables


@SPACES
def test_missing_exchanged_and_surplus_rows(tmp_path: Path, space: Space) -> None:
    lines, path = table_lines(space), tmp_path / "a.csv"
    for wrong, words in (
        (lines[:-1], "expected 1280 blocks, got 1279"),
        (lines[:3], "expected 1280 blocks, got 2"),
        ([*lines, ["1280", lines[-1][1]]], "expected 1280 blocks, got 1281"),
        ([*lines, lines[1]], "expected 1280 blocks, got 1281"),
        ([*lines[:5], *lines[6:]], "block (0, 4): expected the row 4,BLOCK, got '5,"),
        ([*lines[:5], lines[6], lines[5], *lines[7:]], "block (0, 4): expected the row 4,BLOCK, got '5,"),
        ([*lines[:40], ["39", "", ""], *lines[41:]], "block (1, 7): expected the row 39,BLOCK, got '39,,'"),
        ([*lines[:40], ["39"], *lines[41:]], "block (1, 7): expected the row 39,BLOCK, got '39'"),
    ):
        for expected in (None, some_blocks(space).__getitem__):
            assert words in complaint(write_table(path, wrong), expected)


@SPACES
def test_blocks_that_are_no_base64_of_their_length(tmp_path: Path, space: Space) -> None:
    lines, path = table_lines(space), tmp_path / "a.csv"
    text = lines[41][1]
    content = base64.b64decode(text)
    for wrong in (
        "",
        text[:-1],
        text[:-4],
        "!" + text[1:],
        text[:20] + "\n" + text[20:],
        base64.b64encode(content + b"\0").decode(),
        base64.b64encode(content[:-3]).decode(),
        base64.b64encode(np.frombuffer(content, np.uint8).astype(np.float64).tobytes()).decode(),
    ):
        said = complaint(write_table(path, [*lines[:41], ["40", f'"{wrong}"'], *lines[42:]]))
        assert "block (1, 8): is no base64 of the right length" in said and len(said.splitlines()) == 2
    for wrong in (text[:-4], "*", ""):
        said = complaint(write_table(path, [lines[0], ["0", wrong], *lines[2:]]))
        assert "the first block is neither 64 nor 48 bytes in base64" in said


def test_other_headers(tmp_path: Path) -> None:
    lines = table_lines("raw")
    for header in (["id", "block"], ["ID", "BLOCK", ""], ["BLOCK", "ID"], ["ID;BLOCK"], ["\ufeffID", "BLOCK"]):
        assert "expected the header ID,BLOCK, got" in complaint(write_table(tmp_path / "a.csv", [header, *lines[1:]]))
    assert "expected the header ID,BLOCK, got '0," in complaint(write_table(tmp_path / "a.csv", lines[1:]))
    assert "the first block is neither" in complaint(write_table(tmp_path / "a.csv", lines[:1]))


def test_a_table_that_ends_within_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    content = write_table(path, table_lines("srgb")).read_bytes()
    path.write_bytes(content[:-20])
    assert "block (39, 31): is no base64 of the right length" in complaint(path)
    path.write_bytes(content[: len(content) // 2])
    assert "expected 1280 blocks, got" in complaint(path)


@pytest.mark.parametrize("form", ["mat", "csv"])
def test_nothing_is_left_of_a_submission_that_could_not_be_written(tmp_path: Path, form: str) -> None:
    def read_block(index: int) -> NDArray:
        if index == 700:
            raise OSError("the disk is gone")
        return some_blocks("raw")[index % 2]

    with pytest.raises(OSError, match="the disk is gone"):
        if form == "mat":
            write_matlab(tmp_path / "a.mat", "raw", read_block, 1.0)
        else:
            write_csv(tmp_path / "a.csv", read_block)
    assert not list(tmp_path.iterdir())
