"""Files of a data set that are nearly in place are found, and the words say what to do."""

import zipfile
from pathlib import Path

import pytest

from cycleisp.dataloaders.dnd.files import DndData
from cycleisp.dataloaders.dnd.scenes import DndError
from cycleisp.dataloaders.near_misses import near_misses
from cycleisp.dataloaders.sidd.files import check_files, file_names
from cycleisp.dataloaders.sidd.scenes import SiddError

NAME = "ValidationNoisyBlocksSrgb.mat"


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"content")
    return path


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("SIDD/" + NAME, "is in {folder}/SIDD; give that folder"),
        ("../" + NAME, "is in {above}; give that folder"),
        ("validationnoisyblockssrgb.MAT", "has other letters; rename it to {folder}/" + NAME),
        ("ValidationNoisyBlocksSrgb (1).mat", "is a second download; rename it to {folder}/" + NAME),
        (NAME + ".crdownload", "is an unfinished download; let it finish"),
        ("ValidationNoisyBlocksSrgb.7z", "is still packed; unpack it there"),
        ("ValidationNoisyBlocksSrgb.mat.gz", "is still packed; unpack it there"),
    ],
)
def test_each_near_miss_is_named(tmp_path: Path, there: str, words: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    touch(folder / there)
    (line,) = near_misses(folder, [NAME])
    assert line.endswith(words.format(folder=folder, above=tmp_path))


def test_an_archive_is_named_by_what_it_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "SIDD_Validation.zip", "w") as packed:
        packed.writestr(f"SIDD/{NAME}", b"")
    touch(tmp_path / "damaged.zip")
    (line,) = near_misses(tmp_path, [NAME])
    assert line == f"{tmp_path / 'SIDD_Validation.zip'} holds {NAME} and is still packed; unpack it there"


def test_other_files_are_no_near_misses(tmp_path: Path) -> None:
    for name in ("ValidationNoisyBlocksRaw.mat", "a.zip", "readme (1).txt"):
        touch(tmp_path / name)
    assert near_misses(tmp_path, [NAME]) == []


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    file = touch(tmp_path / NAME)
    assert near_misses(file, [NAME]) == [f"{file} is a file; give the folder that it lies in"]
    assert near_misses(tmp_path / "nowhere", [NAME]) == [f"{tmp_path / 'nowhere'}: no folder"]


def test_sidd_says_where_its_files_are(tmp_path: Path) -> None:
    for name in file_names("validation", "srgb").values():
        touch(tmp_path / "deep" / name)
    with pytest.raises(SiddError) as refused:
        check_files(tmp_path, "validation", "srgb")
    assert f"\n{NAME} and 1 more are in {tmp_path / 'deep'}; give that folder\n" in str(refused.value)


def test_dnd_says_where_its_files_are(tmp_path: Path) -> None:
    for name in ("info.mat", "images_srgb/0001.mat", "images_srgb/0002.mat"):
        touch(tmp_path / "dnd_2017" / name)
    with pytest.raises(DndError) as refused:
        DndData(tmp_path, "srgb")
    assert f"\ninfo.mat and 2 more are in {tmp_path / 'dnd_2017'}; give that folder\n" in str(refused.value)
