"""The photos of a training set: drawn squares, and what stays in memory."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.dataloaders import photo_store
from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.photos import PhotoError, read_photo
from tests.support.pictures import write_png


def numbered_photo(path: Path, height: int, width: int) -> Path:
    """Writes a photo whose red tells the row, and whose blue tells the column."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0], picture[..., 2] = np.arange(height)[:, None], np.arange(width)
    return write_png(path, picture)


def test_a_drawn_square_is_a_piece_of_a_photo(tmp_path: Path) -> None:
    store = PhotoStore([numbered_photo(tmp_path / "a.png", 40, 60)])
    rng = np.random.default_rng(0)
    corners = set()
    for _ in range(400):
        square = np.round(store.draw(rng, 36) * 255).astype(int)
        top, left = square[0, 0, 0], square[0, 0, 2]
        np.testing.assert_array_equal(square[..., 0], np.arange(top, top + 36)[:, None].repeat(36, axis=1))
        np.testing.assert_array_equal(square[..., 2], np.arange(left, left + 36)[None].repeat(36, axis=0))
        corners.add((top, left))
    assert {top for top, _ in corners} == set(range(5))  # every offset comes, the last one included
    assert {left for _, left in corners} == set(range(25))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_drawn_square_has_the_size_and_range_asked_for(dtype: type, photo_file: Callable[..., Path]) -> None:
    store = PhotoStore([photo_file("a.png", 30, 40, dtype)])
    square = store.draw(np.random.default_rng(0), 16)
    assert square.shape == (16, 16, 3)
    assert square.dtype == np.float32
    assert 0 <= square.min() < square.max() <= 1


def test_the_generator_alone_decides_what_is_drawn(photo_file: Callable[..., Path]) -> None:
    paths = [photo_file(f"set/{seed}.png", 24, 32, seed=seed) for seed in range(4)]
    fresh, used = PhotoStore([paths[0].parent]), PhotoStore([paths[0].parent], cache_bytes=1)
    used.draw(np.random.default_rng(9), 8)
    squares = [[store.draw(np.random.default_rng(seed), 8) for seed in range(6)] for store in (fresh, used)]
    np.testing.assert_array_equal(*squares)
    assert len({square.tobytes() for square in squares[0]}) == 6


@pytest.mark.parametrize(("height", "width"), [(10, 30), (30, 10), (5, 5), (2, 90)])
def test_photos_too_small_for_a_square_are_enlarged(tmp_path: Path, height: int, width: int) -> None:
    picture = np.full((height, width, 3), (200, 100, 50), np.uint8)
    store = PhotoStore([write_png(tmp_path / "small.png", picture)])
    square = store.draw(np.random.default_rng(0), 32)
    assert square.shape == (32, 32, 3)
    np.testing.assert_allclose(square * 255, np.broadcast_to([200, 100, 50], square.shape), atol=1e-3)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns a list that gets the names of the files that are really read."""
    seen: list[str] = []

    def read(path: Path) -> NDArray:
        seen.append(path.stem)
        return read_photo(path)

    monkeypatch.setattr(photo_store, "read_photo", read)
    return seen


def test_photos_used_last_stay_in_memory_up_to_the_limit(photo_file: Callable[..., Path], reads: list[str]) -> None:
    paths = [photo_file(f"set/{letter}.png", 10, 10) for letter in "abc"]
    store = PhotoStore([paths[0].parent], cache_bytes=2 * 10 * 10 * 3)
    a, b, c = range(3)
    for index in (a, b, a, c, a, b):  # c pushes b out, which was used before a
        store[index]
    assert reads == ["a", "b", "c", "b"]


def test_a_photo_above_the_limit_is_served_and_kept_alone(photo_file: Callable[..., Path], reads: list[str]) -> None:
    paths = [photo_file(f"set/{letter}.png", 10, 10) for letter in "ab"]
    store = PhotoStore([paths[0].parent], cache_bytes=1)
    for index in (0, 0, 1, 0):
        assert store[index].shape == (10, 10, 3)
    assert reads == ["a", "b", "a"]


def test_a_training_set_leaves_camera_files_out(photo_file: Callable[..., Path]) -> None:
    folder = photo_file("set/a.png").parent
    (folder / "b.dng").touch()
    assert len(PhotoStore([folder])) == 1


def test_a_bad_photo_of_a_training_set_is_named_when_drawn(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(PhotoError, match=r"bad\.png"):
        PhotoStore([tmp_path]).draw(np.random.default_rng(0), 8)
