"""ONNX files as denoisers: whole images and tiles agree, files of one size take any image."""

from pathlib import Path

import numpy as np
import pytest

from cycleisp.utils.errors import UserError
from cycleisp.utils.onnx_denoiser import open_onnx
from tests.support.onnx_files import smoothed, write_onnx

for package in ("onnx", "onnxruntime"):
    pytest.importorskip(package, reason="ONNX files need the extra onnx: onnx and onnxruntime")

RNG = np.random.default_rng(0)
PHOTO = RNG.random((1, 3, 37, 51), np.float32)
RAW = RNG.random((1, 4, 21, 30), np.float32)


@pytest.mark.parametrize("side", [None, 16], ids=["any size", "16x16"])
@pytest.mark.parametrize("tile", [None, 8])
def test_tiles_come_out_as_the_whole_image(tmp_path: Path, side: int | None, tile: int | None) -> None:
    denoiser = open_onnx(write_onnx(tmp_path / "a.onnx", 3, side), tile, threads=1)
    found = denoiser(PHOTO)
    inside = (..., slice(0, 36), slice(0, 50))  # what is padded sees another border
    np.testing.assert_allclose(found[inside], smoothed(PHOTO)[inside], atol=1e-6)
    assert found.shape == PHOTO.shape and found.dtype == np.float32
    small = denoiser(PHOTO[..., :5, :3])
    np.testing.assert_allclose(small[..., :4, :2], smoothed(PHOTO[..., :5, :3])[..., :4, :2], atol=1e-6)


def test_raw_comes_with_its_variance(tmp_path: Path) -> None:
    denoiser = open_onnx(write_onnx(tmp_path / "a.onnx", 4), 8, threads=1)
    variance = np.full_like(RAW, 0.005)
    found = denoiser(RAW, variance)
    np.testing.assert_allclose(found[..., :20, :], ((RAW + smoothed(RAW)) / 2)[..., :20, :], atol=1e-6)
    with pytest.raises(ValueError, match="needs the noise variance"):
        denoiser(RAW)
    fixed = open_onnx(write_onnx(tmp_path / "b.onnx", 4, level="shot=0.01,read=0.0005"), threads=1)
    assert (fixed.level, fixed.takes_variance) == ("shot=0.01,read=0.0005", False)
    np.testing.assert_allclose(fixed(RAW, variance), smoothed(RAW), atol=1e-6)


def test_bad_images_and_files_are_refused(tmp_path: Path) -> None:
    denoiser = open_onnx(write_onnx(tmp_path / "a.onnx", 3), threads=1)
    with pytest.raises(ValueError, match="NaN"):
        denoiser(np.full_like(PHOTO, np.nan))
    with pytest.raises(ValueError, match=r"one image \(1, C, H, W\)"):
        denoiser(np.concatenate([PHOTO, PHOTO]))
    with pytest.raises(UserError, match=r"none\.onnx: cannot be read \(No such file"):
        open_onnx(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"bad\.onnx: .*give a denoiser that export_onnx\.py has written"):
        open_onnx(tmp_path / "bad.onnx")
    other = write_onnx(tmp_path / "other.onnx", 3)
    other.write_bytes(other.read_bytes().replace(b"multiple", b"MULTIPLE"))
    with pytest.raises(UserError, match="expected a denoiser's file"):
        open_onnx(other)
