"""DND submissions: what is written is what the server takes; all problems are found at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat, savemat, whosmat

from cycleisp.dataloaders.dnd.files import file_name, listed
from cycleisp.dataloaders.dnd.submission import bundle_problems, read_bundle, validate_submission, write_bundle
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from tests.support.dnd import SMALL, write_array

SPACES: tuple[Space, ...] = ("raw", "srgb")


def crops_of(space: Space, seed: int = 0) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [rng.random(SMALL.crop_shape(space), dtype=np.float32) for _ in range(SMALL.boxes)]


def write_submission(folder: Path, space: Space) -> Path:
    for number in SMALL.numbers:
        write_bundle(folder / file_name(number), crops_of(space, number), space, SMALL)
    return folder


def rewrite(path: Path, compression: bool = False, **changes: Any) -> None:
    """Changes variables of a file, as another program would write them; None leaves one out."""
    content = {name: value for name, value in loadmat(path, mat_dtype=True).items() if not name.startswith("__")}
    content["eval_version"] = "1.0"
    content.update(changes)
    savemat(path, {name: value for name, value in content.items() if value is not None}, do_compression=compression)


def cells(crops: list[Any], shape: tuple[int, int] | None = None) -> NDArray:
    array = np.empty(len(crops), dtype=object)
    for index, crop in enumerate(crops):
        array[index] = crop
    return array.reshape(shape or (1, len(crops)))


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("space", SPACES)
def test_a_file_holds_what_the_server_takes(tmp_path: Path, space: Space) -> None:
    crops = crops_of(space)
    crops[0].flat[:2] = 0, 1
    path = tmp_path / "bundle" / "0001.mat"
    write_bundle(path, crops, space, SMALL)
    assert sorted(whosmat(path)) == [
        ("Idenoised", (1, 3), "cell"),
        ("eval_version", (1,), "char"),
        ("israw", (1, 1), "logical"),
    ]
    content = loadmat(path, mat_dtype=True)
    assert content["eval_version"].item() == "1.0"
    assert content["israw"].item() is (space == "raw")
    for stored, again, crop in zip(content["Idenoised"][0], read_bundle(path), crops, strict=True):
        assert stored.dtype == np.float32
        np.testing.assert_array_equal(stored, crop)
        np.testing.assert_array_equal(again, crop)
    assert bundle_problems(path, space, SMALL) == []
    assert [file.name for file in path.parent.iterdir()] == ["0001.mat"]


def test_the_full_size_is_twenty_crops_of_512(tmp_path: Path) -> None:
    path = tmp_path / "0050.mat"
    write_bundle(path, [np.full((512, 512), 0.5, np.float32)] * 20, "raw")
    assert bundle_problems(path, "raw") == []
    assert any("expected a 1x3 cell, got cell 1x20" in problem for problem in bundle_problems(path, "raw", SMALL))
    with pytest.raises(ValueError, match="expected a 1x20 cell, got cell 1x19"):
        write_bundle(path, [np.zeros((512, 512), np.float32)] * 19, "raw")
    with pytest.raises(ValueError, match=r"crops 1 \.\.\. 20: expected 512x512x3, got 512x512"):
        write_bundle(path, [np.zeros((512, 512), np.float32)] * 20, "srgb")
    assert bundle_problems(path, "raw") == []  # a refused write leaves the old file


def test_no_file_is_a_problem(tmp_path: Path) -> None:
    assert bundle_problems(tmp_path / "0001.mat", "raw") == ["missing"]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([], ""), ([3], "3"), ([1, 2, 3], "1 ... 3"), ([1, 3], "1, 3"), ([1, 2, 4, 6, 7, 8], "1 ... 2, 4, 6 ... 8")],
)
def test_lists_are_short(numbers: list[int], words: str) -> None:
    assert listed(numbers) == words


# ---------------------------------------------------------------- validating


@pytest.mark.parametrize("space", SPACES)
def test_a_good_submission_has_no_problem(tmp_path: Path, space: Space) -> None:
    write_submission(tmp_path, space)
    (tmp_path / "notes.txt").write_text("of mine")
    (tmp_path / ".0001.mat.part").write_bytes(b"half of")
    assert validate_submission(tmp_path, extent=SMALL) == []
    assert validate_submission(tmp_path, space, SMALL) == []
    rewrite(tmp_path / "0001.mat", compression=True, other="variables do no harm")
    assert validate_submission(tmp_path, space, SMALL) == []


def test_no_folder_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such folder; name the one with 0001\.mat \.\.\. 0050\.mat"):
        validate_submission(tmp_path / "nowhere")


def change_crop(index: int, change: Callable[[NDArray], Any]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        crops = list(read_bundle(path))
        crops[index] = change(crops[index])
        rewrite(path, Idenoised=cells(crops))

    return damage


def with_value(value: float) -> Callable[[NDArray], NDArray]:
    def change(crop: NDArray) -> NDArray:
        crop[3, 4] = value
        return crop

    return change


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def as_v73(path: Path) -> None:
    write_array(path, "Idenoised", np.zeros((2, 2)))
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(content)


BAD = {
    "a missing variable": (lambda path: rewrite(path, Idenoised=None), "lacks Idenoised"),
    "no israw": (lambda path: rewrite(path, israw=None), "lacks israw"),
    "no version": (lambda path: rewrite(path, eval_version=None), "lacks eval_version"),
    "another version": (lambda path: rewrite(path, eval_version="1.1"), 'eval_version: expected the text "1.0"'),
    "a number as version": (lambda path: rewrite(path, eval_version=1.0), 'eval_version: expected the text "1.0"'),
    "israw as number": (lambda path: rewrite(path, israw=1.0), "israw: expected one logical value, got 1.0 (float64)"),
    "israw as text": (lambda path: rewrite(path, israw="yes"), "israw: expected one logical value"),
    "israw twice": (lambda path: rewrite(path, israw=np.array([True, True])), "israw: expected one logical value"),
    "a column": (
        lambda path: rewrite(path, Idenoised=cells(read_bundle(path), (3, 1))),
        "Idenoised: expected a 1x3 cell, got cell 3x1",
    ),
    "an array": (
        lambda path: rewrite(path, Idenoised=np.stack(read_bundle(path))),
        "Idenoised: expected a 1x3 cell, got float32 3x16x16",
    ),
    "too few crops": (
        lambda path: rewrite(path, Idenoised=cells(read_bundle(path)[:2])),
        "Idenoised: expected a 1x3 cell, got cell 1x2",
    ),
    "a small crop": (change_crop(1, lambda crop: crop[:-1]), "Idenoised, crops 2: expected 16x16, got 15x16"),
    "a crop of colours": (
        change_crop(1, lambda crop: np.stack([crop] * 3, axis=-1)),
        "Idenoised, crops 2: expected 16x16, got 16x16x3",
    ),
    "an empty crop": (change_crop(2, lambda crop: crop[:0]), "Idenoised, crops 3: expected 16x16, got 0x16"),
    "a text": (change_crop(2, lambda crop: "crop"), "Idenoised, crops 3: expected a float32 array"),
    "doubles": (
        change_crop(0, lambda crop: crop.astype(np.float64)),
        "crops 1: expected float32 (single), got float64",
    ),
    "bytes": (
        change_crop(0, lambda crop: np.zeros_like(crop, np.uint8)),
        "crops 1: expected float32 (single), got uint8",
    ),
    "NaN": (change_crop(1, with_value(np.nan)), "crops 2: holds NaN or infinite values"),
    "infinity": (change_crop(1, with_value(np.inf)), "crops 2: holds NaN or infinite values"),
    "below black": (change_crop(1, with_value(-1e-6)), "crops 2: values leave [0, 1]"),
    "above white": (change_crop(1, with_value(1.001)), "crops 2: values leave [0, 1]"),
    "cut off": (cut, "cannot be read"),
    "nothing": (lambda path: path.write_bytes(b""), "cannot be read"),
    "no MATLAB": (lambda path: path.write_bytes(b"<html>" * 100), "cannot be read"),
    "v7.3": (as_v73, "is a MATLAB v7.3 file, save it with -v7"),
}


@pytest.mark.parametrize("kind", BAD)
def test_every_kind_of_problem_is_found(tmp_path: Path, kind: str) -> None:
    damage, words = BAD[kind]
    write_submission(tmp_path, "raw")
    damage(tmp_path / "0002.mat")
    for space in (None, "raw"):
        problems = validate_submission(tmp_path, space, SMALL)  # type: ignore[arg-type]
        assert problems and all(problem.startswith("0002.mat: ") for problem in problems)
        assert any(words in problem for problem in problems), problems
    assert any(words in problem for problem in bundle_problems(tmp_path / "0002.mat", "raw", SMALL))


def test_all_problems_come_together(tmp_path: Path) -> None:
    write_submission(tmp_path, "srgb")
    (tmp_path / "0001.mat").unlink()
    crops = [np.full((16, 16, 3), 255, np.uint8) for _ in range(3)]
    rewrite(tmp_path / "0002.mat", Idenoised=cells(crops), eval_version="2")
    cut(tmp_path / "0003.mat")
    write_bundle(tmp_path / "0005.mat", crops_of("srgb"), "srgb", SMALL)
    problems = "\n".join(validate_submission(tmp_path, extent=SMALL))
    for words in (
        "missing: 0001.mat",
        "0002.mat: Idenoised, crops 1 ... 3: expected float32 (single), got uint8",
        "0002.mat: Idenoised, crops 1 ... 3: values leave [0, 1]",
        "0002.mat: eval_version",
        "0003.mat: cannot be read",
        "0005.mat: not part of a submission, remove it",
    ):
        assert words in problems


def test_raw_and_srgb_never_mix(tmp_path: Path) -> None:
    write_submission(tmp_path, "raw")
    for number in (2, 3):
        write_bundle(tmp_path / file_name(number), crops_of("srgb"), "srgb", SMALL)
    assert validate_submission(tmp_path, extent=SMALL) == [
        "RAW and sRGB mixed: israw is true in 0001.mat, 0004.mat, false in 0002.mat ... 0003.mat"
    ]
    problems = validate_submission(tmp_path, "raw", SMALL)
    assert {problem[:8] for problem in problems} == {"0002.mat", "0003.mat"}
    assert "0002.mat: israw is false, expected a submission of raw" in problems


def test_crops_must_agree_with_israw(tmp_path: Path) -> None:
    write_submission(tmp_path, "raw")
    for number in SMALL.numbers:
        rewrite(tmp_path / file_name(number), israw=False)
    problems = validate_submission(tmp_path, extent=SMALL)
    assert problems == [
        f"{file_name(number)}: Idenoised, crops 1 ... 3: expected 16x16x3, got 16x16" for number in SMALL.numbers
    ]


def test_a_validated_folder_is_left_as_it_was(tmp_path: Path) -> None:
    write_submission(tmp_path, "raw")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    validate_submission(tmp_path, extent=SMALL)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
