"""Photos of other colour spaces: pairs are sRGB, denoised photos keep their colours."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import denoise
import generate_data
from cycleisp.dataloaders.photos import read_photo, read_photo_and_metadata
from tests.support.paths import shared
from tests.support.pictures import encode_png, png_chunk, random_picture
from tests.support.profiles import PROFILES, SPACES, from_srgb, profile_chunk
from tests.support.scripts import call_script


def clean_pictures(photos: Path, out: Path, weights: Path) -> dict[str, np.ndarray]:
    """Makes pairs of a folder, and returns the clean pictures by name."""
    options = ("--input", photos, "--output", out, "--space", "srgb", "--clean-target", "input", "--blur", 0)
    result = call_script(generate_data.main, "--device", "cpu", "--weights", weights, *options)
    assert result.returncode == 0, result.stderr
    return {path.stem: read_photo(path).astype(float) for path in out.rglob("*.png") if "clean" in str(path)}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pairs_of_one_picture_in_many_spaces_look_alike(tmp_path: Path, tiny_weights: Path, dtype: type) -> None:
    picture = random_picture(24, 32, dtype)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "srgb.png").write_bytes(encode_png(picture))
    for name, colors in SPACES.items():
        content = encode_png(from_srgb(picture, colors), profile_chunk(PROFILES[name]))
        (tmp_path / "photos" / f"{name}.png").write_bytes(content)
    clean = clean_pictures(tmp_path / "photos", tmp_path / "pairs", tiny_weights)
    assert set(clean) == {"srgb", *SPACES}
    np.testing.assert_array_equal(clean["srgb"], picture)
    for name in SPACES:
        assert np.abs(clean[name] - picture).mean() / np.iinfo(dtype).max * 255 < 1


def test_the_photos_that_went_wrong_look_alike(tmp_path: Path, tiny_weights: Path) -> None:
    """They are JPEGs of halved colour resolution: they differ in noise, no longer in colour."""
    clean = clean_pictures(shared("cases/wide-gamut-pairs"), tmp_path / "pairs", tiny_weights)
    for name in ("adobe", "p3"):
        assert np.abs((clean[name] - clean["srgb"]).mean((0, 1))).max() < 0.2


CHUNKS = {
    "cICP": png_chunk(b"cICP", bytes((12, 16, 0, 1))),
    "gAMA": png_chunk(b"gAMA", (100000).to_bytes(4, "big")),
    "iCCP": profile_chunk(PROFILES["Display P3"]),
}


@pytest.mark.parametrize("kind", CHUNKS)
def test_denoised_photos_keep_their_colors(kind: str, tmp_path: Path, weights: dict[str, Path]) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(encode_png(random_picture(24, 32), CHUNKS[kind]))
    options = ("--output", tmp_path / "out", "--weights", weights["srgb-identity"], "--device", "cpu")
    result = call_script(denoise.main, photo, *options)
    assert result.returncode == 0, result.stderr
    (pixels, said), (kept, kept_said) = (
        read_photo_and_metadata(path) for path in (photo, tmp_path / "out" / "photo.png")
    )
    np.testing.assert_array_equal(kept, pixels)
    assert kept_said == said and (said.color_chunks or said.icc_profile)


def test_an_eps_in_the_clothes_of_a_png_is_skipped_unopened(tmp_path: Path, weights: dict[str, Path]) -> None:
    (tmp_path / "photo.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n")
    options = ("--output", tmp_path / "out", "--weights", weights["srgb-identity"], "--device", "cpu")
    result = call_script(denoise.main, tmp_path / "photo.png", *options)
    assert result.returncode == 1
    assert "is PostScript, not a JPEG" in result.stdout + result.stderr


def test_a_photo_beyond_pillows_limit_is_denoised(
    tmp_path: Path, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setenv("CYCLEISP_APART", "0")
    (tmp_path / "photo.png").write_bytes(encode_png(random_picture(24, 32)))
    options = ("--output", tmp_path / "out", "--weights", weights["srgb-identity"], "--device", "cpu")
    assert call_script(denoise.main, tmp_path / "photo.png", *options).returncode == 0
    monkeypatch.setenv("CYCLEISP_MAX_PIXELS", "767")
    result = call_script(denoise.main, tmp_path / "photo.png", *options, "--overwrite")
    assert result.returncode == 1 and "CYCLEISP_MAX_PIXELS" in result.stdout + result.stderr
