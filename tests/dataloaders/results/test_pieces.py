"""Pieces of photos and camera files: without pooling they are the whole's, pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.results import pieces
from cycleisp.dataloaders.results.arrays import of_arrays
from cycleisp.dataloaders.results.denoised_files import DenoisedFiles
from cycleisp.dataloaders.results.denoised_raw import RawFileDenoiser
from cycleisp.dataloaders.results.pieces import Piece, named_as_piece
from cycleisp.dataloaders.sources import Source, find_sources
from cycleisp.utils.color.strength import Strength
from cycleisp.utils.crop import Crop
from cycleisp.utils.orientation import ORIENTATIONS
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import FixedNoise
from tests.support.camera_files import write_phone_dng
from tests.support.dng_layouts import write_tagged_dng
from tests.support.paths import shared
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png

NOISE = FixedNoise(0.01, 1e-4)
HALO = 4


@of_arrays
def local(image: Tensor, *_variance: Tensor) -> Tensor:
    """Smooths strongly, within HALO pixels, with zeros beyond the borders as a network has them."""
    kernel = torch.ones(image.shape[1], 1, 2 * HALO + 1, 2 * HALO + 1) / (2 * HALO + 1) ** 2
    smooth = F.conv2d(image, kernel, padding=HALO, groups=image.shape[1])
    return image + 0.7 * (smooth - image)


@pytest.fixture(params=[10**6, 0, 4500], ids=["whole", "piece", "blocks"])
def context(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many pixels a denoiser is shown: the whole picture, the piece alone, blocks beside it."""
    monkeypatch.setattr(pieces, "_BLOCK", 16)
    return int(request.param)


def rendered(path: Path, folder: Path, crop: Crop | None = None, context: int = 0) -> NDArray:
    """Returns the rendering of a camera file, whole or of a piece."""
    piece = None if crop is None else Piece(crop, HALO, 1, context)
    raw = RawFileDenoiser(local, NOISE, piece=piece)
    content = raw.write(path, folder / "whole.dng") if crop is None else raw.render_piece(path)
    (folder / "picture.png").write_bytes(content)
    return read_photo(folder / "picture.png")


def same_as_in_the_whole(path: Path, folder: Path, crops: list[Crop], context: int = 4500) -> None:
    whole = rendered(path, folder)
    for crop in crops:
        expected = whole[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
        np.testing.assert_array_equal(rendered(path, folder, crop, context), expected)


@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.3, 0.9)], ids=str)
def test_a_piece_of_a_photo_is_exact(tmp_path: Path, shares: tuple[float, float], context: int) -> None:
    write_png(tmp_path / "a.png", random_picture(61, 75, np.uint16))
    sources, strength = find_sources([tmp_path / "a.png"]), Strength(*shares)
    DenoisedFiles(tmp_path / "whole", local, None, strength=strength).run(sources)
    whole = read_photo(tmp_path / "whole" / "a.png")
    for crop in (Crop(0, 0, 5, 3), Crop(31, 20, 9, 7), Crop(70, 59, 5, 2)):
        files = DenoisedFiles(tmp_path / "out", local, None, strength=strength, piece=Piece(crop, HALO, 1, context))
        named = [named_as_piece(source, crop) for source in sources]
        assert files.run(named).made == 1
        piece = read_photo(tmp_path / "out" / f"a{crop.suffix}.png")
        np.testing.assert_array_equal(piece, whole[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width])


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_a_piece_of_a_camera_file_is_exact_for_every_pattern(tmp_path: Path, pattern: str, context: int) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(129, 160), pattern, black=(60, 64, 68, 72), xyz2cam=np.eye(3))
    same_as_in_the_whole(path, tmp_path, [Crop(0, 0, 9, 7), Crop(61, 50, 31, 20), Crop(151, 120, 9, 9)], context)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_piece_of_a_camera_file_is_exact_in_every_orientation(tmp_path: Path, orientation: int) -> None:
    path = write_tagged_dng(tmp_path / "a.dng", random_mosaic(128, 160), {274: ("H", 1, orientation)})
    same_as_in_the_whole(path, tmp_path, [Crop(50, 40, 21, 30)])


def test_a_piece_of_a_phones_file_is_exact(tmp_path: Path) -> None:
    path = write_phone_dng(tmp_path / "a.dng", height=140, width=180)  # which stands on its side
    same_as_in_the_whole(path, tmp_path, [Crop(50, 60, 21, 30)])


def test_a_piece_with_saturated_photosites_is_exact(tmp_path: Path) -> None:
    """Saturated photosites keep their values; the brightest one lies outside of the piece."""
    mosaic = random_mosaic(128, 160)
    mosaic[60:66, 70:90] = 1023
    mosaic[100, 100] = 1000
    path = write_dng(tmp_path / "a.dng", mosaic, xyz2cam=np.eye(3))
    same_as_in_the_whole(path, tmp_path, [Crop(60, 50, 40, 30)])


def test_a_real_file(tmp_path: Path) -> None:
    path = shared("data/raw/train/digicam_S40_CRW_0117.CRW")
    crop = Crop(700, 501, 64, 48)
    whole = rendered(path, tmp_path)
    expected = whole[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    np.testing.assert_array_equal(rendered(path, tmp_path, crop), expected)


@pytest.mark.parametrize("corner", [(500, 300), (0, 0), (1900, 900), (0, 400), (1900, 0)], ids=str)
def test_what_a_denoiser_is_shown_of_a_large_image(corner: tuple[int, int]) -> None:
    """It is the window with its halo, untouched, and blocks from all over the image."""
    x, y = corner
    piece = Piece(Crop(x, y, 100, 100), halo=20, multiple=4, context=300_000)
    view = piece.view((slice(y, y + 100), slice(x, x + 100)), 1000, 2000)
    image = np.arange(1000 * 2000).reshape(1000, 2000)
    shown = np.concatenate([image[window] for window in view.windows], axis=view.axis)
    assert shown.size <= 300_000 and shown.size > 200_000
    np.testing.assert_array_equal(shown[view.wanted], image[y : y + 100, x : x + 100])
    rows, columns = view.wanted
    for part, size, start, whole in ((rows, shown.shape[0], y, 1000), (columns, shown.shape[1], x, 2000)):
        assert part.start % 4 == start % 4  # the same place on the grid
        assert part.start >= 20 or start == 0
        assert size - part.stop >= 20 or start + 100 == whole
    seen = shown.ravel()
    assert np.unique(seen // 2000 // 250).size == 4 and np.unique(seen % 2000 // 500).size == 4


def test_names(tmp_path: Path) -> None:
    crop = Crop(1, 2, 3, 4)
    for name, relative in (
        ("a.b.jpg", "deep/a.b-crop-1-2-3-4.jpg"),
        ("raw", "deep/raw-crop-1-2-3-4"),  # of a camera file without a suffix
    ):
        source = named_as_piece(Source(tmp_path / name, "deep/x", f"deep/{name}"), crop)
        assert source.relative == relative and source.path == tmp_path / name
