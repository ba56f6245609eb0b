"""Files in, denoised files out: pixels, depth, metadata and mosaics are kept."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.results.denoised_files import DenoisedFiles, Summary
from cycleisp.dataloaders.results.denoised_raw import RawFileDenoiser
from cycleisp.dataloaders.sources import find_sources
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import read_raw
from cycleisp.utils.raw.noise import FixedNoise
from tests.support.paths import files_of
from tests.support.pictures import (
    HALF_A_LEVEL,
    PROFILE,
    camera_exif,
    encode_png,
    random_mosaic,
    random_picture,
    write_dng,
    write_png,
)

NOISE = FixedNoise(0.01, 0.0005)


class Raw:
    """A RAW denoiser that changes nothing and remembers what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[NDArray, NDArray]] = []

    def __call__(self, packed: NDArray, variance: NDArray) -> NDArray:
        assert packed.shape == variance.shape and packed.shape[:2] == (1, 4)
        self.calls.append((packed, variance))
        return packed


def identity(photo: NDArray) -> NDArray:
    assert photo.shape[:2] == (1, 3) and 0 <= photo.min() <= photo.max() <= 1
    return photo


def denoise(output: Path, *inputs: Path, raw: Raw | None = None, noise: FixedNoise | None = None) -> Summary:
    files = DenoisedFiles(output, identity, RawFileDenoiser(raw or Raw(), noise))
    return files.run(find_sources(inputs, exclude=output))


# ---------------------------------------------------------------- photos


@pytest.mark.parametrize(("height", "width"), [(16, 24), (17, 23), (2, 2), (3, 9)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_an_identity_leaves_is_the_very_picture(tmp_path: Path, dtype: type, height: int, width: int) -> None:
    picture = random_picture(height, width, dtype)
    write_png(tmp_path / "in" / "a.png", picture)
    summary = denoise(tmp_path / "out", tmp_path / "in")
    assert (summary.made, summary.kept, summary.skipped) == (1, 0, [])
    stored = read_photo(tmp_path / "out" / "a.png")
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, picture)


def test_every_level_of_sixteen_bits_comes_back(tmp_path: Path) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    write_png(tmp_path / "in" / "a.png", np.stack([levels, levels[::-1], levels.T], axis=2))
    denoise(tmp_path / "out", tmp_path / "in")
    np.testing.assert_array_equal(read_photo(tmp_path / "out" / "a.png")[..., 0], levels)


def test_results_are_rounded_not_cut(tmp_path: Path) -> None:
    source = write_png(tmp_path / "a.png", np.full((8, 8, 3), 100, np.uint8))
    DenoisedFiles(tmp_path / "out", lambda photo: photo + 0.6 / 255, None).run(find_sources([source]))
    assert (read_photo(tmp_path / "out" / "a.png") == 101).all()


def test_grey_photos_come_out_in_three_equal_channels(tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "a.png", random_picture(9, 12)[..., 0])
    denoise(tmp_path / "out", tmp_path / "in")
    stored = read_photo(tmp_path / "out" / "a.png")
    np.testing.assert_array_equal(stored, np.repeat(random_picture(9, 12)[..., :1], 3, axis=2))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_and_profile_are_kept_and_the_picture_stands_upright(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    Image.fromarray(random_picture(10, 14)).save(path, kind, exif=camera_exif(turn=6), icc_profile=PROFILE)
    assert denoise(tmp_path / "out", path).made == 1
    content = (tmp_path / "out" / "a.png").read_bytes()
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED).shape == (14, 10, 3)
    with Image.open(io.BytesIO(content)) as image:
        tags = image.getexif()
        assert image.info["icc_profile"] == PROFILE
        assert tags[ExifTags.Base.Make] == "Maker"
        assert tags.get_ifd(ExifTags.IFD.Exif)[34855] == 800
        assert tags.get(ExifTags.Base.Orientation, 1) == 1
    np.testing.assert_array_equal(read_photo(tmp_path / "out" / "a.png"), read_photo(path))


# ---------------------------------------------------------------- camera files


@pytest.mark.parametrize(("height", "width"), [(32, 40), (33, 40), (32, 41), (35, 37)])
@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_a_mosaic_comes_back_as_it_was_in_every_pattern_and_size(
    tmp_path: Path, pattern: str, height: int, width: int
) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(height, width), pattern, xyz2cam=np.eye(3))
    raw = Raw()
    summary = denoise(tmp_path / "out", path, raw=raw, noise=NOISE)
    assert summary.made == 1, summary.skipped
    assert files_of(tmp_path / "out") == {"a.png", "a.dng"}
    before, after = read_raw(path), read_raw(tmp_path / "out" / "a.dng")
    assert (after.pattern, after.mosaic.shape) == (pattern, (height, width))
    np.testing.assert_allclose(after.mosaic, before.mosaic, atol=HALF_A_LEVEL)
    np.testing.assert_allclose(after.white_balance, before.white_balance, rtol=1e-4)
    assert after.cam2rgb is not None and before.cam2rgb is not None
    np.testing.assert_allclose(after.cam2rgb, before.cam2rgb, atol=1e-3)
    assert read_photo(tmp_path / "out" / "a.png").shape == (height, width, 3)
    # the network was given RGGB: its first plane holds the red photosites of the file
    row, column = divmod(pattern.index("R"), 2)
    red = before.mosaic[row::2, column::2]
    planes = raw.calls[0][0][0, 0]
    np.testing.assert_array_equal(planes[-red.shape[0] :, -red.shape[1] :][:4, :4], red[-planes.shape[0] :][:4, :4])


# The tag, then shot and read noise of R, G_r, G_b, B.
PROFILES: dict[str, tuple[list[float], list[float], list[float]]] = {
    "one pair": ([0.01, 0.0005], [0.01] * 4, [0.0005] * 4),
    "three pairs": ([0.01, 1e-4, 0.02, 2e-4, 0.03, 3e-4], [0.01, 0.02, 0.02, 0.03], [1e-4, 2e-4, 2e-4, 3e-4]),
    "four pairs": (
        [0.01, 1e-4, 0.02, 2e-4, 0.03, 3e-4, 0.04, 4e-4],
        [0.01, 0.02, 0.03, 0.04],
        [1e-4, 2e-4, 3e-4, 4e-4],
    ),
}


@pytest.mark.parametrize("kind", PROFILES)
def test_the_variance_comes_from_the_noise_profile_of_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level("INFO")
    profile, shot, read = PROFILES[kind]
    raw = Raw()
    path = write_dng(tmp_path / "a.dng", random_mosaic(32, 40), noise_profile=profile)
    assert denoise(tmp_path / "out", path, raw=raw).made == 1
    packed, variance = raw.calls[0]
    expected = np.reshape(shot, (1, 4, 1, 1)) * packed + np.reshape(read, (1, 4, 1, 1))
    np.testing.assert_allclose(variance, expected, rtol=1e-6)
    assert "a.dng: noise from the file's NoiseProfile, shot=0.01,read=" in caplog.text


def test_a_level_of_the_user_goes_before_that_of_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    raw = Raw()
    path = write_dng(tmp_path / "a.dng", random_mosaic(32, 40), noise_profile=[0.3, 0.1])
    denoise(tmp_path / "out", path, raw=raw, noise=NOISE)
    packed, variance = raw.calls[0]
    np.testing.assert_allclose(variance, 0.01 * packed + 0.0005, rtol=1e-6)
    assert "a.dng: noise from --noise, shot=0.01,read=0.0005" in caplog.text


def test_without_a_profile_the_level_is_estimated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    raw = Raw()
    path = write_dng(tmp_path / "a.dng", random_mosaic(200, 240))
    assert denoise(tmp_path / "out", path, raw=raw).made == 1
    assert "a.dng: noise from an estimate, shot=" in caplog.text
    packed, variance = raw.calls[0]
    at_half = variance[(packed > 0.45) & (packed < 0.55)].mean().item()
    assert at_half == pytest.approx(0.001 * 0.5 + 1e-5, rel=0.3)


@pytest.mark.parametrize("profile", [[0.01, 1e-4] * 2, None])
def test_a_noise_level_that_is_not_to_be_found_says_to_give_one(tmp_path: Path, profile: list[float] | None) -> None:
    """A profile of two pairs fits no sensor, and a picture of one value tells nothing."""
    path = write_dng(tmp_path / "a.dng", np.full((64, 64), 500, np.uint16), noise_profile=profile)
    summary = denoise(tmp_path / "out", path)
    ((skipped, reason),) = summary.skipped
    assert skipped == path
    assert reason.startswith(f"{path}: ") and "give --noise" in reason
    assert not files_of(tmp_path / "out")


# ---------------------------------------------------------------- folders, going on, bad files


def test_names_below_a_folder_are_kept_and_equal_ones_get_their_suffix(tmp_path: Path) -> None:
    for name in ("deep/er/été 1.v2.png", "top.png"):
        write_png(tmp_path / "in" / name, random_picture(8, 8))
    write_dng(tmp_path / "in" / "top.dng", random_mosaic(32, 32), noise_profile=[0.01, 1e-4])
    assert denoise(tmp_path / "out", tmp_path / "in").made == 3
    assert files_of(tmp_path / "out") == {"deep/er/été 1.v2.png", "top.png", "top.dng", "top.png.png"}


def test_what_is_there_is_kept_and_what_is_missing_made(tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "a.png", random_picture(8, 8))
    write_dng(tmp_path / "in" / "b.dng", random_mosaic(32, 32), noise_profile=[0.01, 1e-4])
    assert denoise(tmp_path / "out", tmp_path / "in").made == 2
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    summary = denoise(tmp_path / "out", tmp_path / "in")
    assert (summary.made, summary.kept) == (0, 2)
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"
    for name in ("b.png", "b.dng"):  # both belong to a camera file
        (tmp_path / "out" / name).unlink()
        summary = denoise(tmp_path / "out", tmp_path / "in")
        assert (summary.made, summary.kept) == (1, 1)
        assert files_of(tmp_path / "out") == {"a.png", "b.png", "b.dng"}
    sources = find_sources([tmp_path / "in"])
    assert DenoisedFiles(tmp_path / "out", identity, RawFileDenoiser(Raw()), overwrite=True).run(sources).made == 2
    assert (tmp_path / "out" / "a.png").read_bytes() != b"mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_never_replaced_by_its_result(tmp_path: Path, overwrite: bool) -> None:
    """Without this, a camera file whose output is its own folder would be lost."""
    raw = write_dng(tmp_path / "a.dng", random_mosaic(32, 32), noise_profile=[0.01, 1e-4])
    photo = write_png(tmp_path / "b.png", random_picture(8, 8))
    before = {path: path.read_bytes() for path in (raw, photo)}
    sources = find_sources([raw, photo])
    summary = DenoisedFiles(tmp_path, identity, RawFileDenoiser(Raw()), overwrite=overwrite).run(sources)
    assert {path: path.read_bytes() for path in before} == before
    assert [path for path, _ in summary.skipped] == [raw, photo]
    assert all("would replace an input; give another --output" in reason for _, reason in summary.skipped)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated.png": (lambda path: path.write_bytes(encode_png(random_picture(24, 32))[:500]), "damaged|truncated"),
    "alpha.png": (lambda path: path.write_bytes(encode_png(np.zeros((8, 8, 4), np.uint8))), "alpha"),
    "empty.jpg": (lambda path: path.write_bytes(b""), "empty"),
    "garbage.dng": (lambda path: path.write_bytes(b"garbage" * 500), "LibRaw cannot read it"),
    "xtrans.dng": (
        lambda path: write_dng(path, random_mosaic(36, 36), "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"),
        "X-Trans",
    ),
    "cut.dng": (
        lambda path: path.write_bytes(write_dng(path, random_mosaic(64, 64)).read_bytes()[:4000]),
        "LibRaw cannot read it|NoiseProfile|tell its noise level",
    ),
}


def test_bad_files_are_told_and_do_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, (make, _) in BAD.items():
        make(tmp_path / "in" / name)
    for name in ("aaa.png", "zzz.png"):
        write_png(tmp_path / "in" / name, random_picture(8, 8))
    summary = denoise(tmp_path / "out", tmp_path / "in")
    assert summary.made == 2
    assert {path.name for path, _ in summary.skipped} == set(BAD)
    for path, reason in summary.skipped:
        assert reason.startswith(f"{path}: ")
        assert any(word in reason for word in BAD[path.name][1].split("|")), reason
    assert files_of(tmp_path / "out") == {"aaa.png", "zzz.png"}


def test_a_file_for_which_no_denoiser_was_given_is_refused(tmp_path: Path) -> None:
    raw = write_dng(tmp_path / "a.dng", random_mosaic(32, 32))
    photo = write_png(tmp_path / "b.png", random_picture(8, 8))
    sources = find_sources([raw, photo])
    for photo_denoiser, raw_denoiser, bad, words in (
        (identity, None, raw, "is a camera RAW file, the weights are for sRGB; name a RawDenoiser"),
        (None, RawFileDenoiser(Raw(), NOISE), photo, "is an sRGB photo, the weights are for RAW; name an SrgbDenoiser"),
    ):
        files = DenoisedFiles(tmp_path / bad.stem, photo_denoiser, raw_denoiser)
        summary = files.run(sources)
        assert summary.made == 1
        assert summary.skipped == [(bad, f"{bad}: {words}")]


@pytest.mark.parametrize("below", ["", "below"])
@pytest.mark.parametrize("kind", ["photo", "raw"])
def test_an_output_that_cannot_be_written_is_one_clear_error(tmp_path: Path, kind: str, below: str) -> None:
    (tmp_path / "file").write_text("here already")
    if kind == "photo":
        source = write_png(tmp_path / "a.png", random_picture(8, 8))
    else:
        source = write_dng(tmp_path / "a.dng", random_mosaic(32, 32))
    with pytest.raises(UserError, match=r"cannot be written .*give another --output"):
        denoise(tmp_path / "file" / below, source, noise=NOISE)
    assert (tmp_path / "file").read_text() == "here already"


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that runs out, for example, is told and costs one file."""
    write_png(tmp_path / "in" / "a.png", random_picture(8, 8))
    write_png(tmp_path / "in" / "b.png", random_picture(8, 8))
    calls: list[Sequence[int]] = []

    def short_of_memory(photo: NDArray) -> NDArray:
        calls.append(photo.shape)
        if len(calls) == 1:
            raise MemoryError
        return photo

    summary = DenoisedFiles(tmp_path / "out", short_of_memory, None).run(find_sources([tmp_path / "in"]))
    assert summary.made == 1
    assert summary.skipped == [(tmp_path / "in" / "a.png", f"{tmp_path / 'in' / 'a.png'}: MemoryError")]
    assert files_of(tmp_path / "out") == {"b.png"}
