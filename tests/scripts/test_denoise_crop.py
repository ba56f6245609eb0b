"""denoise.py --crop: names, kinds of files, places; bad pieces in one line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from torch import Tensor

from cycleisp.dataloaders.photos import read_photo
from cycleisp.networks.inference.tiled import TiledDenoiser
from denoise import main
from tests.support.paths import files_of
from tests.support.pictures import orientation_exif, random_mosaic, random_picture, write_dng, write_png
from tests.support.scripts import Outcome, call_script, error_line


def denoise(*options: object) -> Outcome:
    return call_script(main, "--device", "cpu", *options)


def test_pieces_have_names_of_their_own_beside_the_whole(tmp_path: Path, weights: dict[str, Path]) -> None:
    picture = random_picture(40, 60, np.uint16)
    write_png(tmp_path / "in" / "deep" / "a.png", picture)
    line = (tmp_path / "in", "--output", tmp_path / "out", "--weights", weights["srgb-identity"])
    for options in ((), ("--crop", "7,5,20,10"), ("--crop", "8,5,20,10"), ("--crop", "7,5,20,10")):
        result = denoise(*line, *options)
        assert result.returncode == 0, result.stderr
    assert "0 denoised, 1 kept from before" in result.stdout
    pieces = {"deep/a-crop-7-5-20-10.png", "deep/a-crop-8-5-20-10.png"}
    assert files_of(tmp_path / "out") == {"deep/a.png", *pieces}
    np.testing.assert_array_equal(read_photo(tmp_path / "out" / "deep" / "a-crop-7-5-20-10.png"), picture[5:15, 7:27])
    assert "0 denoised, 1 kept from before" in denoise(*line).stdout
    words = error_line(denoise(*line, "--crop", "7,5,20,10", "--strength", 0.5))
    assert "a-crop-7-5-20-10.png: made with chroma=None, luma=None" in words


def test_pieces_count_in_the_upright_picture(tmp_path: Path, weights: dict[str, Path]) -> None:
    stored = random_picture(40, 60)
    (tmp_path / "in").mkdir()
    Image.fromarray(stored).save(tmp_path / "in" / "a.png", exif=orientation_exif(6))
    result = denoise(
        *(tmp_path / "in", "--output", tmp_path / "out", "--weights", weights["srgb-identity"], "--crop", "3,20,30,40")
    )
    assert result.returncode == 0, result.stderr
    seen = np.rot90(stored, -1)  # 40 wide and 60 high
    np.testing.assert_array_equal(read_photo(tmp_path / "out" / "a-crop-3-20-30-40.png"), seen[20:60, 3:33])


def test_without_pooling_a_piece_with_its_halo_alone_is_as_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fast_srgb does not pool. Sums of another order may turn a rounding by one level."""
    shown: list[int] = []
    run = TiledDenoiser.__call__

    def watched(self: TiledDenoiser, noisy: Tensor, variance: Tensor | None = None) -> Tensor:
        shown.append(noisy.shape[2] * noisy.shape[3])
        return run(self, noisy, variance)

    monkeypatch.setattr(TiledDenoiser, "__call__", watched)
    write_png(tmp_path / "a.png", random_picture(300, 320))
    line = (tmp_path / "a.png", "--output", tmp_path / "out", "--weights", "fast_srgb")
    for options in ((), ("--crop", "141,133,30,20")):
        assert denoise(*line, *options).returncode == 0
    whole, piece = (
        read_photo(tmp_path / "out" / f"a{suffix}.png").astype(int) for suffix in ("", "-crop-141-133-30-20")
    )
    assert shown[0] == 300 * 320 and shown[1] < shown[0]
    assert np.abs(piece - whole[133:153, 141:171]).max() <= 1


def test_of_a_camera_file_the_picture_is_made_and_no_dng(tmp_path: Path, weights: dict[str, Path]) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(120, 160), noise_profile=[0.01, 1e-4])
    line = (path, "--output", tmp_path / "out", "--weights", weights["raw-identity"])
    assert denoise(*line).returncode == 0
    result = denoise(*line, "--crop", "40,30,33,21")
    assert result.returncode == 0, result.stderr
    assert files_of(tmp_path / "out") == {"a.dng", "a.png", "a-crop-40-30-33-21.png"}
    whole, piece = (read_photo(tmp_path / "out" / f"a{suffix}.png") for suffix in ("", "-crop-40-30-33-21"))
    np.testing.assert_array_equal(piece, whole[30:51, 40:73])


@pytest.mark.parametrize(
    ("crop", "words"),
    [
        ("1,2,3", "--crop 1,2,3: expected X,Y,W,H in whole pixels, such as 1200,800,512,384"),
        ("middle", "--crop middle: expected X,Y,W,H"),
        ("1,2,0,4", "--crop 1,2,0,4: expected X and Y of at least 0, and W and H of at least 1 pixel"),
        ("=-1,2,3,4", "--crop -1,2,3,4: expected X and Y of at least 0"),
    ],
)
def test_a_piece_that_is_none_is_one_line(tmp_path: Path, weights: dict[str, Path], crop: str, words: str) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(8, 8))
    options = [f"--crop{crop}"] if crop.startswith("=") else ["--crop", crop]
    result = denoise(photo, "--output", tmp_path / "out", "--weights", weights["srgb"], *options)
    assert words in error_line(result)
    assert not (tmp_path / "out").exists()


def test_a_picture_that_does_not_hold_the_piece_is_skipped(tmp_path: Path, weights: dict[str, Path]) -> None:
    small = write_png(tmp_path / "in" / "small.png", random_picture(24, 30))
    write_png(tmp_path / "in" / "wide.png", random_picture(24, 80))
    raw = write_dng(tmp_path / "a.dng", random_mosaic(24, 30), noise_profile=[0.01, 1e-4])
    for inputs, kind, name in ((tmp_path / "in", "srgb", small), (raw, "raw", raw)):
        line = (inputs, "--output", tmp_path / "out", "--weights", weights[f"{kind}-identity"], "--crop", "25,5,10,10")
        result = denoise(*line)
        assert result.returncode == 1
        words = f"skipped {name}: --crop 25,5,10,10 reaches beyond the picture of 30x24 pixels; choose a piece inside"
        assert words in result.stdout
    assert files_of(tmp_path / "out") == {"wide-crop-25-5-10-10.png"}


def test_a_piece_states_its_own_size(tmp_path: Path, weights: dict[str, Path]) -> None:
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = "Maker"
    tags.get_ifd(ExifTags.IFD.Exif).update({40962: 60, 40963: 40})
    (tmp_path / "in").mkdir()
    Image.fromarray(random_picture(40, 60)).save(tmp_path / "in" / "a.png", exif=tags)
    line = (tmp_path / "in", "--output", tmp_path / "out", "--weights", weights["srgb-identity"])
    assert denoise(*line, "--crop", "7,5,20,10").returncode == 0
    with Image.open(tmp_path / "out" / "a-crop-7-5-20-10.png") as piece:
        inner = piece.getexif().get_ifd(ExifTags.IFD.Exif)
    assert (inner[40962], inner[40963]) == (20, 10)
