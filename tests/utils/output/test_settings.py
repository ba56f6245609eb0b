"""A folder of results belongs to the settings that made them."""

import json
import os
from pathlib import Path

import pytest

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.settings import check_folder, claim_folder

SETTINGS = {"split": "validation", "weights": "abc", "sizes": (1, 2), "scale": 0.1}


def test_a_free_folder_is_claimed_and_opens_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    claim_folder(folder, SETTINGS, "blocks")
    path = folder / "settings.json"
    assert json.loads(path.read_text()) == {**SETTINGS, "sizes": [1, 2]}
    before = path.stat().st_mtime_ns
    claim_folder(folder, dict(reversed(SETTINGS.items())), "blocks")
    check_folder(folder, SETTINGS, "blocks")
    assert path.stat().st_mtime_ns == before and list(folder.iterdir()) == [path]


def test_checking_leaves_a_free_folder_free(tmp_path: Path) -> None:
    check_folder(tmp_path / "deep", SETTINGS, "blocks")
    check_folder(tmp_path, SETTINGS, "blocks")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("look", [claim_folder, check_folder])
def test_other_settings_are_refused_by_name_and_value(tmp_path: Path, look) -> None:  # type: ignore[no-untyped-def]
    claim_folder(tmp_path, SETTINGS, "blocks")
    before = (tmp_path / "settings.json").read_bytes()
    less = {key: value for key, value in SETTINGS.items() if key != "scale"}
    for settings, was in (
        ({**SETTINGS, "weights": "xyz", "sizes": (2, 2)}, "sizes=[1, 2], weights=abc"),
        (less, "scale=0.1"),
        ({**SETTINGS, "blur": 1.0}, "blur=None"),
        ({**SETTINGS, "scale": "0.1"}, "scale=0.1"),
    ):
        with pytest.raises(UserError) as refused:
            look(tmp_path, settings, "blocks")
        expected = f"{tmp_path}: holds blocks made with {was}; give another --output, or the same settings"
        assert str(refused.value) == expected
    assert (tmp_path / "settings.json").read_bytes() == before


@pytest.mark.parametrize("look", [claim_folder, check_folder])
@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'"text"', b"\xff\xfe"])
def test_a_settings_file_that_is_none_of_ours_is_refused(tmp_path: Path, look, content: bytes) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(UserError, match=r"settings\.json: not the JSON that was written there"):
        look(tmp_path, SETTINGS, "blocks")
    assert (tmp_path / "settings.json").read_bytes() == content


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here already")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=r"file.*: cannot be written .*; give another --output"):
            claim_folder(folder, SETTINGS, "blocks")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(UserError, match=r"locked.*: cannot be written"):
        claim_folder(tmp_path / "locked", SETTINGS, "blocks")
