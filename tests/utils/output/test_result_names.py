"""Names of results: no two share one, on any file system."""

from itertools import islice

import pytest

from cycleisp.utils.output.result_names import TakenNames, candidate_names


def test_the_best_name_comes_first() -> None:
    assert list(islice(candidate_names("deep/a.v2.jpeg"), 4)) == [
        *("deep/a.v2", "deep/a.v2.jpeg", "deep/a.v2.jpeg-2", "deep-2/a.v2.jpeg")
    ]
    assert list(islice(candidate_names("a.jpg"), 4)) == ["a", "a.jpg", "a.jpg-2", "a.jpg-3"]


def test_a_free_name_is_found_where_a_folder_has_the_name_of_a_file() -> None:
    names = TakenNames()
    names.add(["a.png"])
    assert names.are_free([next(name for name in candidate_names("a.png/b.jpg") if names.are_free([name]))])


@pytest.mark.parametrize(
    ("taken", "wanted", "free"),
    [
        ("a.png", "a.png", False),
        ("a.png", "b.png", True),
        ("a.png", "A.PNG", False),  # one file on most disks of Windows and macOS
        ("straße.png", "STRASSE.png", False),
        ("\u00e9.png", "e\u0301.png", False),
        ("Deep/a.png", "deep/A.png", False),
        ("a.png", "a.png/b.png", False),  # a folder in the place of a file
        ("a.png/b.png", "a.png", False),
        ("deep/a.png", "deep/b.png", True),
        ("\udcff.png", "\udcfe.png", True),
    ],
)
def test_names_that_are_one_file_somewhere_are_taken(taken: str, wanted: str, free: bool) -> None:
    names = TakenNames()
    names.add([taken])
    assert names.are_free([wanted]) == free
    assert not names.are_free(["other.png", taken])
