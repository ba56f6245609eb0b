"""MATLAB 5 files, mapped from disk and written cell by cell; scipy is the other side of tests."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from numpy.typing import NDArray

from cycleisp.dataloaders.matlab.v5 import MatlabError, cell_order, open_array, write_cells

TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
CLASSES = {"f8": 6, "f4": 7, "i1": 8, "u1": 9, "i2": 10, "u2": 11, "i4": 12, "u4": 13, "i8": 14, "u8": 15}
STORED = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
SHAPES = [(1, 1), (2, 2), (1, 3), (4, 1), (3, 4, 5), (2, 3, 4, 5, 3), (0, 3)]
BOTH = pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])


def some_values(shape: tuple[int, ...], kind: str = "f4", seed: int = 0) -> NDArray:
    return np.random.default_rng(seed).uniform(0, 120, shape).astype(kind)


def write(path: Path, compressed: bool, **variables: Any) -> Path:
    scipy.io.savemat(path, variables, do_compression=compressed)
    return path


def opened(path: Path, name: str) -> NDArray:
    return open_array(path, name, path.parent / "unpacked" / "values.bin")


# ---------------------------------------------------------------- reading


@BOTH
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_and_shape_reads_as_it_was_written(tmp_path: Path, kind: str, compressed: bool) -> None:
    """Up to four bytes lie within the tag of their element."""
    for number, shape in enumerate(SHAPES):
        values = some_values(shape, kind)
        path = write(tmp_path / f"{number}.mat", compressed, values=values)
        read = open_array(path, "values", tmp_path / f"{number}.bin")
        assert (read.shape, read.dtype) == (shape, np.dtype(kind))
        np.testing.assert_array_equal(read, values)
        with pytest.raises(ValueError, match="read-only"):
            read[...] = 0


@BOTH
@pytest.mark.parametrize("name", ["a", "four", "fives", "n" * 31])
def test_names_of_any_length(tmp_path: Path, name: str, compressed: bool) -> None:
    values = some_values((3, 4))
    path = write(tmp_path / "a.mat", compressed, **{"before": np.ones(3), name: values, "after": np.ones(2)})
    np.testing.assert_array_equal(opened(path, name), values)


@BOTH
def test_a_variable_is_found_among_others_of_all_kinds(tmp_path: Path, compressed: bool) -> None:
    others = {
        "cells": np.array([[np.ones(2), "text"]], object),
        "structure": {"field": 1.0, "other": "x"},
        "text": "some text",
        "imaginary": np.ones((2, 2)) * 1j,
        "sparse": scipy.sparse.eye(3, format="csc"),
        "flags": np.array([[True, False]]),
    }
    values = some_values((3, 5, 7))
    path = write(tmp_path / "a.mat", compressed, **others, wanted=values, wanted_not=np.zeros((3, 5, 7)))
    np.testing.assert_array_equal(opened(path, "wanted"), values)
    np.testing.assert_array_equal(opened(path, "flags"), [[1, 0]])


def test_compressed_and_plain_variables_may_lie_in_one_file(tmp_path: Path) -> None:
    first, second = some_values((5, 6)), some_values((7, 8), seed=1)
    path = write(tmp_path / "a.mat", True, first=first)
    path.write_bytes(path.read_bytes() + write(tmp_path / "b.mat", False, second=second).read_bytes()[128:])
    np.testing.assert_array_equal(opened(path, "second"), second)
    np.testing.assert_array_equal(opened(path, "first"), first)


def test_a_plain_variable_is_mapped_where_it_lies(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mat", False, values=some_values((30, 40)))
    read = opened(path, "values")
    assert isinstance(read, np.memmap) and read.filename == path
    assert read.flags.f_contiguous
    assert list(tmp_path.iterdir()) == [path]


def test_a_compressed_variable_is_unpacked_once(tmp_path: Path) -> None:
    values = some_values((30, 40))
    path, unpacked = write(tmp_path / "a.mat", True, values=values), tmp_path / "unpacked" / "values.bin"
    read = opened(path, "values")
    assert isinstance(read, np.memmap) and read.filename == unpacked
    assert unpacked.read_bytes() == values.tobytes(order="F")
    assert [file.name for file in unpacked.parent.iterdir()] == ["values.bin"]
    before = unpacked.stat().st_mtime_ns
    np.testing.assert_array_equal(opened(path, "values"), values)
    assert unpacked.stat().st_mtime_ns == before
    unpacked.write_bytes(b"of another size")
    np.testing.assert_array_equal(opened(path, "values"), values)


def test_what_is_larger_than_the_reading_buffer(tmp_path: Path) -> None:
    """3 MB of values that compress a thousandfold, and 3 MB that hardly compress."""
    for name, values in (
        ("flat", np.tile(np.arange(4, dtype=np.uint8), (1, 3 << 18))),
        ("random", np.random.default_rng(0).integers(0, 256, (3, 1 << 20)).astype(np.uint8)),
    ):
        path = write(tmp_path / f"{name}.mat", True, values=values)
        assert open_array(path, "values", tmp_path / f"{name}.bin").tobytes(order="F") == values.tobytes(order="F")


def big_endian(name: str, values: NDArray) -> bytes:
    """Returns a file as a machine of the other byte order writes it, by the format's letter."""
    kind = values.dtype.str[1:]

    def element(stored: int, content: bytes) -> bytes:
        if 0 < len(content) <= 4:
            return struct.pack(">HH", len(content), stored) + content.ljust(4, b"\0")
        return struct.pack(">II", stored, len(content)) + content + b"\0" * (-len(content) % 8)

    body = element(6, struct.pack(">II", CLASSES[kind], 0))
    body += element(5, struct.pack(f">{values.ndim}i", *values.shape))
    body += element(1, name.encode())
    body += element(STORED[kind], values.astype(values.dtype.newbyteorder(">")).tobytes(order="F"))
    header = b"MATLAB 5.0 MAT-file, by hand".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    return header + struct.pack(">II", 14, len(body)) + body


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 4, 5)], ids=str)
def test_files_in_the_other_order_of_bytes(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    values = some_values(shape, kind)
    path = tmp_path / "a.mat"
    path.write_bytes(big_endian("values", values))
    np.testing.assert_array_equal(scipy.io.loadmat(path)["values"], values)
    np.testing.assert_array_equal(opened(path, "values"), values)


def test_whole_numbers_stored_as_small_integers_keep_their_values(tmp_path: Path) -> None:
    """MATLAB stores a double array of small whole numbers as bytes."""
    values = np.arange(12, dtype=np.float64).reshape(3, 4)
    content = write(tmp_path / "a.mat", False, values=values.astype(np.uint8)).read_bytes()
    flags = content.index(struct.pack("<IIII", 6, 8, 9, 0))
    path = tmp_path / "b.mat"
    path.write_bytes(content[: flags + 8] + struct.pack("<I", 6) + content[flags + 12 :])
    assert scipy.io.whosmat(path) == [("values", (3, 4), "double")]
    np.testing.assert_array_equal(opened(path, "values"), values)


# ---------------------------------------------------------------- what cannot be read


def refusal(path: Path, name: str = "values") -> str:
    """Returns the message of a refusal, which must leave nothing behind."""
    with pytest.raises(MatlabError) as refused:
        opened(path, name)
    assert str(refused.value).startswith(f"{path}: ")
    folder = path.parent / "unpacked"
    assert not folder.exists() or not list(folder.iterdir())
    return str(refused.value)


@BOTH
def test_a_file_that_ends_early_is_refused_wherever_it_ends(tmp_path: Path, compressed: bool) -> None:
    whole = write(tmp_path / "whole.mat", compressed, before=np.ones((2, 5)), values=some_values((9, 11)))
    content = whole.read_bytes()
    path = tmp_path / "cut.mat"
    for length in [*range(129, len(content), 7), len(content) - 1, len(content) - 4]:
        path.write_bytes(content[:length])
        assert "not a whole MATLAB 5 file" in refusal(path) and "get it again" in refusal(path)


def test_damage_inside_compressed_values_is_noticed(tmp_path: Path) -> None:
    """Padding follows these values, so the checksum lies beyond what is needed of the file."""
    content = write(tmp_path / "whole.mat", True, values=some_values((31, 41))).read_bytes()
    # The last byte belongs to the checksum.
    for place in (len(content) // 2, len(content) * 3 // 4, len(content) - 1):
        path = tmp_path / "damaged.mat"
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        assert "not a whole MATLAB 5 file" in refusal(path)


def test_a_length_that_does_not_fit_the_shape_is_refused(tmp_path: Path) -> None:
    content = write(tmp_path / "whole.mat", False, values=some_values((6, 7))).read_bytes()
    path = tmp_path / "wrong.mat"
    path.write_bytes(content.replace(struct.pack("<ii", 6, 7), struct.pack("<ii", 6, 8)))
    assert "variable values of (6, 8) has 168 bytes" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"\0" * 127, b"MATLAB 5.0".ljust(200), b"<html>" * 99])
def test_what_is_no_matlab_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    assert "is no MATLAB 5 file; get it again" in refusal(path)


def test_other_formats_of_matlab_are_named_or_refused(tmp_path: Path) -> None:
    old = tmp_path / "old.mat"
    scipy.io.savemat(old, {"values": np.ones((3, 4))}, format="4")
    assert "is no MATLAB 5 file" in refusal(old)
    new = tmp_path / "new.mat"
    with h5py.File(new, "w", userblock_size=512) as file:
        file["values"] = np.ones((3, 4))
    with new.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + struct.pack("<H", 0x0200) + b"IM")
    assert "is a v7.3 file, a MATLAB 5 one is expected here" in refusal(new)
    bare = tmp_path / "bare.mat"
    with h5py.File(bare, "w") as file:
        file["values"] = np.ones((3, 4))
    assert "is a v7.3 file" in refusal(bare)


def test_missing_files(tmp_path: Path) -> None:
    assert "cannot be read (No such file" in refusal(tmp_path / "nowhere.mat")
    (tmp_path / "folder.mat").mkdir()
    assert "cannot be read" in refusal(tmp_path / "folder.mat")


@BOTH
def test_a_missing_variable_is_told_with_those_there_are(tmp_path: Path, compressed: bool) -> None:
    path = write(tmp_path / "a.mat", compressed, first=np.ones(3), text="x", second=np.ones(2))
    assert "holds no array values of real numbers; it has first, second" in refusal(path)
    assert "it has none" in refusal(write(tmp_path / "b.mat", compressed, text="x"))
    (tmp_path / "c.mat").write_bytes(path.read_bytes()[:128])
    assert "it has none" in refusal(tmp_path / "c.mat")


@BOTH
@pytest.mark.parametrize(
    "values",
    [np.ones((2, 2)) * 1j, np.array([[np.ones(2), np.ones(3)]], object), "text", {"field": 1.0}],
    ids=["complex", "cell", "text", "struct"],
)
def test_a_variable_of_another_kind_is_none(tmp_path: Path, values: object, compressed: bool) -> None:
    path = write(tmp_path / "a.mat", compressed, values=values, other=np.ones((3, 3)))
    assert "holds no array values of real numbers; it has other" in refusal(path)


def test_a_place_that_cannot_be_unpacked_to_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mat", True, values=some_values((30, 40)))
    (tmp_path / "unpacked").write_text("a file in the way")
    with pytest.raises(MatlabError, match=r"unpacked.values\.bin: cannot be written"):
        opened(path, "values")


# ---------------------------------------------------------------- writing


def written(path: Path, shape: tuple[int, int], cells: Iterator[NDArray], **others: object) -> dict[str, Any]:
    write_cells(path, "Blocks", shape, cells, others)
    return scipy.io.loadmat(path)


@pytest.mark.parametrize("kind", ["f4", "u1"])
@pytest.mark.parametrize("cell", [(5, 7), (3, 5, 3), (1, 1), (8, 8)], ids=str)
def test_scipy_reads_every_cell_in_its_place(tmp_path: Path, kind: str, cell: tuple[int, ...]) -> None:
    shape = (4, 3)
    cells = {place: some_values(cell, kind, seed=10 * place[0] + place[1]) for place in np.ndindex(shape)}
    order = list(cell_order(shape))
    read = written(tmp_path / "deep" / "a.mat", shape, (cells[place] for place in order), Time=1.5)
    assert read["Blocks"].shape == shape and read["Blocks"].dtype == object
    for place, expected in cells.items():
        assert read["Blocks"][place].dtype == expected.dtype
        np.testing.assert_array_equal(read["Blocks"][place], expected)
    assert read["Time"].item() == 1.5


def test_the_row_runs_fastest() -> None:
    assert list(cell_order((2, 3))) == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]


def test_cells_of_any_memory_layout_are_the_same(tmp_path: Path) -> None:
    plain = some_values((4, 6))
    files = []
    for number, cell in enumerate((plain, np.asfortranarray(plain), np.repeat(plain, 2, axis=1)[:, ::2])):
        files.append(tmp_path / f"{number}.mat")
        write_cells(files[-1], "Blocks", (1, 1), iter([cell]), {})
    assert len({file.read_bytes() for file in files}) == 1


def test_structs_and_texts_beside_the_cells(tmp_path: Path) -> None:
    facts = {"Name": "CycleISP", "Empty": ""}
    read = written(tmp_path / "a.mat", (1, 1), iter([some_values((2, 2))]), Facts=facts)
    assert read["Facts"].dtype.names == ("Name", "Empty")
    assert read["Facts"]["Name"][0, 0].item() == "CycleISP"
    assert read["Facts"]["Empty"][0, 0].size == 0


def test_other_shapes_types_and_counts_are_refused_and_leave_nothing_behind(tmp_path: Path) -> None:
    good = some_values((4, 6))
    for cells, words in (
        ([good], "expected 2 cells, got 1"),
        ([], "expected 2 cells, got 0"),
        ([good] * 3, "expected 2 cells, got 3"),
        ([good, good[:3]], "cell 2 is (3, 6) float32, the first (4, 6) float32"),
        ([good, good.astype(np.uint8)], "cell 2 is (4, 6) uint8, the first (4, 6) float32"),
        ([good, good.astype(np.float64)], "cell 2 is (4, 6) float64, the first (4, 6) float32"),
        ([good.astype(np.float64)] * 2, "cell 1 is (4, 6) float64"),
        ([good.astype(object)] * 2, "cell 1 is (4, 6) object"),
    ):
        with pytest.raises(ValueError) as refused:
            write_cells(tmp_path / "a.mat", "Blocks", (2, 1), iter(cells), {})
        assert words in str(refused.value)
        assert not list(tmp_path.iterdir())


def test_more_than_four_gigabytes_are_refused_at_the_first_cell(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit into a MATLAB 5 file"):
        write_cells(tmp_path / "a.mat", "Blocks", (70_000, 70_000), iter([some_values((4, 6))]), {})
    assert not list(tmp_path.iterdir())


def test_an_error_among_the_cells_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"before")

    def cells() -> Iterator[NDArray]:
        yield some_values((4, 6))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cells(path, "Blocks", (2, 1), cells(), {})
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]
