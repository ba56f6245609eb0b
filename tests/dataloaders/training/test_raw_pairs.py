"""Pairs {photo, RAW} from camera files: the right pixels, made once, whatever else is there."""

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.dataloaders.training.raw_pair_store import RawPairStore, open_pair
from cycleisp.dataloaders.training.raw_pairs import prepare
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw.camera_files import RawFileError, render_with_libraw
from tests.support.pictures import write_dng, write_png

BLACK, WHITE = 64, 1023
FIRST_RED = {"RGGB": (0, 0), "GRBG": (0, 1), "GBRG": (1, 0), "BGGR": (1, 1)}  # row and column
X_TRANS = "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"
HEIGHT, WIDTH = 35, 47  # odd: every pattern but RGGB loses a line or a column on either side


def random_scene(seed: int = 0) -> NDArray[np.uint16]:
    """Returns (H, W, 3): what the three filters let through at every photosite, in sensor units."""
    return np.random.default_rng(seed).integers(BLACK, WHITE + 1, (HEIGHT, WIDTH, 3)).astype(np.uint16)


def through_filters(scene: NDArray[np.uint16], pattern: str) -> NDArray[np.uint16]:
    """Returns one value per photosite, (H, W)."""
    side = round(len(pattern) ** 0.5)
    rows, columns = np.indices(scene.shape[:2])
    letters = np.array(["RGB".index(letter) for letter in pattern]).reshape(side, side)[rows % side, columns % side]
    return np.take_along_axis(scene, letters[..., None], axis=2)[..., 0]


def shoot(path: Path, pattern: str = "RGGB", seed: int = 0) -> Path:
    """Writes a DNG of `random_scene`."""
    return write_dng(path, through_filters(random_scene(seed), pattern), pattern, BLACK, WHITE)


def modified(store: Path) -> dict[str, int]:
    """Returns when each file was changed, but for the report, which each run makes anew."""
    return {
        path.relative_to(store).as_posix(): path.stat().st_mtime_ns
        for path in store.rglob("*")
        if path.is_file() and path.name != "report.tsv"
    }


def report_lines(store: Path) -> list[list[str]]:
    return [line.split("\t") for line in (store / "report.tsv").read_text().splitlines()]


# ---------------------------------------------------------------- preparing


@pytest.mark.parametrize("pattern", FIRST_RED)
def test_every_pattern_becomes_rggb_without_a_value_changed(tmp_path: Path, pattern: str) -> None:
    report = prepare([shoot(tmp_path / "in" / "shot.dng", pattern)], tmp_path / "store")
    assert report.ready == ["shot"]
    assert report.skipped == []
    mosaic, _ = RawPairStore(tmp_path / "store", report.ready).pair("shot")
    top, left = FIRST_RED[pattern]
    rows, columns = (HEIGHT - top) // 2 * 2, (WIDTH - left) // 2 * 2
    shown = random_scene()[top : top + rows, left : left + columns]
    expected = (through_filters(shown, "RGGB").astype(float) - BLACK) / (WHITE - BLACK) * 65535
    assert mosaic.dtype == np.uint16
    assert mosaic.shape == expected.shape
    assert np.abs(mosaic - expected).max() < 0.51  # rounded to nearest


@pytest.mark.parametrize("pattern", FIRST_RED)
def test_the_photo_lies_on_the_mosaic_to_the_pixel(tmp_path: Path, pattern: str) -> None:
    path = shoot(tmp_path / "in" / "shot.dng", pattern)
    mosaic, srgb = RawPairStore(tmp_path / "store", prepare([path], tmp_path / "store").ready).pair("shot")
    assert srgb.dtype == np.uint8
    assert srgb.shape == (*mosaic.shape, 3)
    top, left = FIRST_RED[pattern]
    whole = render_with_libraw(path)
    np.testing.assert_array_equal(srgb, whole[top : top + mosaic.shape[0], left : left + mosaic.shape[1]])
    # Greens of the photo follow the greens of the mosaic best where neither is moved.
    inner = np.s_[4:-5, 4:-5]
    green = np.zeros(mosaic.shape, bool)
    green[0::2, 1::2] = green[1::2, 0::2] = True
    likeness = {
        (down, right): np.corrcoef(
            mosaic[inner][green[inner]], np.roll(srgb[..., 1], (down, right), (0, 1))[inner][green[inner]]
        )[0, 1]
        for down in range(-2, 3)
        for right in range(-2, 3)
    }
    assert max(likeness, key=lambda move: likeness[move]) == (0, 0)
    assert likeness[0, 0] > 0.9


def test_names_follow_the_folders(tmp_path: Path) -> None:
    shoot(tmp_path / "in" / "street" / "night.1.dng")
    shoot(tmp_path / "in" / "forest.DNG", "BGGR")
    report = prepare([tmp_path / "in"], tmp_path / "store")
    assert report.ready == ["forest", "street/night.1"]
    store = RawPairStore(tmp_path / "store", report.ready)
    assert len(store) == 2
    for name in report.ready:
        assert store.pair(name)[0].ndim == 2


def test_a_second_run_touches_nothing(tmp_path: Path) -> None:
    for name in "abc":
        shoot(tmp_path / "in" / f"{name}.dng")
    first = prepare([tmp_path / "in"], tmp_path / "store")
    before = modified(tmp_path / "store")
    assert len(before) == 9
    assert prepare([tmp_path / "in"], tmp_path / "store") == first
    assert modified(tmp_path / "store") == before


def test_a_new_file_is_added_and_the_rest_kept(tmp_path: Path) -> None:
    shoot(tmp_path / "in" / "a.dng")
    prepare([tmp_path / "in"], tmp_path / "store")
    before = modified(tmp_path / "store")
    shoot(tmp_path / "in" / "b.dng")
    assert prepare([tmp_path / "in"], tmp_path / "store").ready == ["a", "b"]
    after = modified(tmp_path / "store")
    assert len(after) == 6
    assert before.items() <= after.items()


def test_a_changed_file_is_made_again_and_the_rest_kept(tmp_path: Path) -> None:
    for name in "ab":
        shoot(tmp_path / "in" / f"{name}.dng")
    prepare([tmp_path / "in"], tmp_path / "store")
    before = modified(tmp_path / "store")
    old, _ = (plane.copy() for plane in RawPairStore(tmp_path / "store", ["b"]).pair("b"))
    changed = shoot(tmp_path / "in" / "b.dng", seed=1)
    os.utime(changed, ns=(10**18, 10**18))  # another time, whatever the clock's resolution
    prepare([tmp_path / "in"], tmp_path / "store")
    after = modified(tmp_path / "store")
    assert {name for name in after if after[name] != before[name]} == {"b.json", "b.mosaic.npy", "b.srgb.npy"}
    assert not np.array_equal(RawPairStore(tmp_path / "store", ["b"]).pair("b")[0], old)


def test_a_pair_without_its_last_file_is_made_again(tmp_path: Path) -> None:
    shoot(tmp_path / "in" / "a.dng")
    prepare([tmp_path / "in"], tmp_path / "store")
    before = modified(tmp_path / "store")
    (tmp_path / "store" / "a.json").write_text('{"source": {"layo')  # the rest is lost
    assert prepare([tmp_path / "in"], tmp_path / "store").ready == ["a"]
    assert json.loads((tmp_path / "store" / "a.json").read_text())["pattern_in_file"] == "RGGB"
    assert modified(tmp_path / "store").keys() == before.keys()


def test_bad_files_are_skipped_with_a_reason_and_the_rest_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    good = shoot(folder / "good.dng", "GBRG")
    whole = good.read_bytes()
    write_dng(folder / "fuji.dng", through_filters(random_scene(), X_TRANS), X_TRANS)
    bad = {"garbage": b"garbage" * 1000, "empty": b"", "cut": whole[: len(whole) // 2], "header": whole[:200]}
    for name, content in bad.items():
        (folder / f"{name}.nef").write_bytes(content)
    write_png(folder / "photo.png", np.zeros((8, 8, 3), np.uint8))  # no camera file
    report = prepare([folder], tmp_path / "store")
    assert report.ready == ["good"]
    assert {path.stem for path, _ in report.skipped} == {"fuji", *bad}
    for path, reason in report.skipped:
        assert reason.startswith(f"{path}: ")
    assert "X-Trans" in dict(report.skipped)[folder / "fuji.dng"]
    header, *lines = report_lines(tmp_path / "store")
    assert header == ["state", "file", "reason"]
    assert lines[0] == ["ready", "good", ""]
    assert lines[1:] == [["skipped", str(path), reason] for path, reason in report.skipped]
    assert set(modified(tmp_path / "store")) == {"good.json", "good.mosaic.npy", "good.srgb.npy"}


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    for name in "abcd":
        shoot(tmp_path / "in" / f"{name}.dng")
    store = tmp_path / "store"
    store.mkdir()
    left = store / ".cycleisp-0123456789abcdef.part"
    left.write_bytes(b"left by a process that was killed")
    os.utime(left, (0, 0))
    prepare([tmp_path / "in"], store, workers=3)
    assert [path.name for path in store.rglob("*") if path.suffix == ".part"] == []
    assert len(modified(store)) == 12


def test_a_folder_without_camera_files_is_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "photo.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(RawFileError, match=r"in: no camera RAW file; looked for .*\.nef"):
        prepare([tmp_path / "in"], tmp_path / "store")


def test_the_report_of_each_run_replaces_the_last(tmp_path: Path) -> None:
    broken = tmp_path / "in" / "a.dng"
    broken.parent.mkdir()
    broken.write_bytes(b"garbage")
    prepare([tmp_path / "in"], tmp_path / "store")
    assert report_lines(tmp_path / "store")[1][0] == "skipped"
    shoot(broken)
    prepare([tmp_path / "in"], tmp_path / "store")
    assert report_lines(tmp_path / "store")[1:] == [["ready", "a", ""]]


# ---------------------------------------------------------------- a damaged store


def flipped(path: Path) -> None:
    """Flips a bit in the header of an array, or in the middle of a text."""
    content = bytearray(path.read_bytes())
    content[min(60, len(content) // 2)] ^= 4
    path.write_bytes(content)


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def nested(path: Path) -> None:
    path.write_bytes(b"[" * 100_000)


@pytest.mark.parametrize("damage", [flipped, halved, emptied, nested])
@pytest.mark.parametrize("name", ["a.json", "a.mosaic.npy", "a.srgb.npy"])
def test_what_is_damaged_in_the_store_is_made_again(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    shoot(tmp_path / "in" / "a.dng")
    store = tmp_path / "store"
    prepare([tmp_path / "in"], store)
    before = [picture.copy() for picture in open_pair(store, "a")]
    damage(store / name)
    assert prepare([tmp_path / "in"], store).ready == ["a"]
    for picture, stored in zip(open_pair(store, "a"), before, strict=True):
        np.testing.assert_array_equal(picture, stored)


@pytest.mark.parametrize("damage", [flipped, halved, emptied])
def test_a_damaged_array_is_named_when_it_is_opened(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    shoot(tmp_path / "in" / "a.dng")
    prepare([tmp_path / "in"], tmp_path / "store")
    damage(tmp_path / "store" / "a.srgb.npy")
    with pytest.raises(UserError, match=r"a\.srgb\.npy: is damaged"):
        RawPairStore(tmp_path / "store", ["a"]).pair("a")


def test_a_store_that_cannot_be_written_stops_at_once(tmp_path: Path) -> None:
    shoot(tmp_path / "in" / "a.dng")
    (tmp_path / "store").write_bytes(b"a file, no folder")
    with pytest.raises(UserError, match="store: cannot be written"):
        prepare([tmp_path / "in"], tmp_path / "store")


def test_names_that_are_not_utf_8_are_prepared_and_reported(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "in")
    good = shoot(tmp_path / "in" / "good.dng")
    good.rename(os.fsdecode(folder + b"/caf\xe9.dng"))
    Path(os.fsdecode(folder + b"/bad\xe9.dng")).write_bytes(b"garbage")
    report = prepare([tmp_path / "in"], tmp_path / "store")
    assert (len(report.ready), len(report.skipped)) == (1, 1)
    assert RawPairStore(tmp_path / "store", report.ready).pair(report.ready[0])[0].ndim == 2
    assert "caf" in (tmp_path / "store" / "report.tsv").read_text(encoding="utf-8")


def test_the_time_of_a_file_is_known_and_earlier_stores_get_it(tmp_path: Path) -> None:
    mosaic = through_filters(random_scene(), "RGGB")
    write_dng(tmp_path / "in" / "a.dng", mosaic, date="2024:05:06 07:08:09")
    write_dng(tmp_path / "in" / "undated.dng", mosaic)
    store = tmp_path / "store"
    taken = {"a": datetime(2024, 5, 6, 7, 8, 9)}
    assert prepare([tmp_path / "in"], store).taken == taken
    record = json.loads((store / "a.json").read_text())
    del record["taken"]
    (store / "a.json").write_text(json.dumps(record))
    assert prepare([tmp_path / "in"], store).taken == taken
    assert json.loads((store / "a.json").read_text())["taken"] == "2024-05-06T07:08:09"


# ---------------------------------------------------------------- drawing


def numbered_store(folder: Path, height: int = 20, width: int = 26) -> RawPairStore:
    """Writes a pair of which each pixel tells its place.

    The mosaic holds row * 256 + column. The photo holds the row in red and the column in blue.
    """
    rows, columns = np.indices((height, width))
    folder.mkdir(exist_ok=True)
    np.save(folder / "a.mosaic.npy", (rows * 256 + columns).astype(np.uint16))
    np.save(folder / "a.srgb.npy", np.stack([rows, rows * 0, columns], axis=-1).astype(np.uint8))
    return RawPairStore(folder, ["a"])


def test_squares_begin_at_even_offsets_and_reach_every_corner(tmp_path: Path) -> None:
    store, rng = numbered_store(tmp_path), np.random.default_rng(0)
    offsets = set()
    for _ in range(300):
        mosaic, photo = store.draw(rng, 12)
        corner = round(float(mosaic[0, 0]) * 65535)
        offsets.add(divmod(corner, 256))
        np.testing.assert_array_equal(np.round(mosaic * 65535) // 256, np.round(photo[..., 0] * 255))
        np.testing.assert_array_equal(np.round(mosaic * 65535) % 256, np.round(photo[..., 2] * 255))
    assert offsets == {(top, left) for top in range(0, 9, 2) for left in range(0, 15, 2)}


def test_drawn_squares_are_floats_in_zero_to_one(tmp_path: Path) -> None:
    np.save(tmp_path / "a.mosaic.npy", np.array([[0, 65535]] * 2, np.uint16).repeat(4, 0).repeat(4, 1))
    np.save(
        tmp_path / "a.srgb.npy", np.array([[0, 255]] * 2, np.uint8).repeat(4, 0).repeat(4, 1)[..., None].repeat(3, 2)
    )
    mosaic, photo = RawPairStore(tmp_path, ["a"]).draw(np.random.default_rng(0), 8)
    assert (mosaic.shape, photo.shape) == ((8, 8), (8, 8, 3))
    assert mosaic.dtype == photo.dtype == np.float32
    assert set(np.unique(mosaic)) == set(np.unique(photo)) == {0.0, 1.0}


def test_the_generator_alone_decides_what_is_drawn(tmp_path: Path) -> None:
    first, second = numbered_store(tmp_path), numbered_store(tmp_path)
    second.draw(np.random.default_rng(99), 4)
    for seed in range(5):
        squares = [store.draw(np.random.default_rng(seed), 8) for store in (first, second)]
        np.testing.assert_array_equal(squares[0][0], squares[1][0])
        np.testing.assert_array_equal(squares[0][1], squares[1][1])


def test_every_pair_is_drawn_from(tmp_path: Path) -> None:
    for level, name in enumerate("abc"):
        np.save(tmp_path / f"{name}.mosaic.npy", np.full((8, 8), level, np.uint16))
        np.save(tmp_path / f"{name}.srgb.npy", np.zeros((8, 8, 3), np.uint8))
    rng = np.random.default_rng(0)
    store = RawPairStore(tmp_path, ["a", "c"])
    levels = {round(float(store.draw(rng, 4)[0][0, 0]) * 65535) for _ in range(50)}
    assert levels == {0, 2}


def test_a_pair_smaller_than_the_square_is_named(tmp_path: Path) -> None:
    store = numbered_store(tmp_path, 10, 26)
    store.draw(np.random.default_rng(0), 10)
    with pytest.raises(UserError, match="'a' is 10x26, smaller than a patch of 12"):
        store.draw(np.random.default_rng(0), 12)
