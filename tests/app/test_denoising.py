"""The first tab without a browser: files open, pieces are shown, results keep what they should."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from skimage import data

from cycleisp.app.actions import denoising
from cycleisp.app.actions.denoising import VIEW, Wanted, noise_text, piece_of, preview, result, weights_for
from cycleisp.app.actions.opening import OVERVIEW, Opened, open_file
from cycleisp.app.actions.pairs import make_pair
from cycleisp.app.actions.running import StopButton, StopPressed, within
from cycleisp.app.actions.views import match_view
from cycleisp.app.actions.workspace import Workspace
from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.networks.fast.strips import convolutions
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.raw.camera_files import read_raw
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png

SHOT, READ = 0.01, 1e-4


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write_png(tmp_path / "photo.png", random_picture(40, 60))


@pytest.fixture
def camera_file(tmp_path: Path) -> Path:
    return write_dng(tmp_path / "shot.dng", random_mosaic(64, 96), noise_profile=[SHOT, READ])


def named(weights: dict[str, Path], name: str) -> str:
    return str(weights[name])


def test_a_photo_is_opened_with_its_size_and_depth(photo: Path) -> None:
    opened, small = open_file(photo)
    assert (opened.space, opened.height, opened.width) == ("srgb", 40, 60)
    assert opened.about == "photo.png: a photo of 60x40 pixels, 8 bits"
    np.testing.assert_array_equal(small, read_photo(photo))


def test_the_small_picture_is_small(tmp_path: Path) -> None:
    _, small = open_file(write_png(tmp_path / "wide.png", random_picture(8, 2 * OVERVIEW)))
    assert small.shape == (4, OVERVIEW, 3)


def test_a_camera_file_is_opened_with_its_noise(camera_file: Path) -> None:
    opened, small = open_file(camera_file)
    assert (opened.space, opened.height, opened.width) == ("raw", 64, 96)
    assert (opened.shot_noise, opened.read_noise) == (SHOT, READ)
    assert "noise from the file's NoiseProfile: shot 0.01, read 0.0001" in opened.about
    assert small.shape == (64, 96, 3)


def test_without_a_profile_the_noise_is_estimated(tmp_path: Path) -> None:
    opened, _ = open_file(write_dng(tmp_path / "shot.dng", random_mosaic(256, 256)))
    assert opened.shot_noise is not None and 0.0005 < opened.shot_noise < 0.002  # `random_mosaic` has 0.001
    assert "noise from an estimate" in opened.about


def test_noise_that_nobody_can_tell_is_left_to_the_user(tmp_path: Path) -> None:
    opened, _ = open_file(write_dng(tmp_path / "shot.dng", np.full((64, 64), 500, np.uint16)))
    assert (opened.shot_noise, opened.read_noise) == (None, None)
    assert opened.about.endswith("its noise cannot be told, so give it below")


def test_a_damaged_file_is_named_without_its_folder(place: Workspace) -> None:
    damaged = place.uploads / "0123abc" / "my photo.jpg"
    damaged.parent.mkdir()
    damaged.write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    with pytest.raises(UserError) as caught:
        open_file(damaged)
    sentence = place.sentence(caught.value)
    assert sentence.startswith("my photo.jpg: ") and str(place.folder) not in sentence


@pytest.mark.parametrize("zoom", denoising.ZOOMS)
@pytest.mark.parametrize(("x", "y"), [(0.5, 0.5), (0, 0), (1, 1), (0.9, 0.01)])
def test_a_piece_fills_the_view_and_lies_inside(zoom: int, x: float, y: float) -> None:
    opened = Opened(Path("a.png"), "srgb", height=3000, width=4000, about="")
    piece = piece_of(opened, zoom, x, y)
    assert (piece.width, piece.height) == (VIEW[0] // zoom, VIEW[1] // zoom)
    assert 0 <= piece.x <= 4000 - piece.width and 0 <= piece.y <= 3000 - piece.height


def test_a_piece_is_around_what_was_clicked() -> None:
    piece = piece_of(Opened(Path("a.png"), "srgb", height=3000, width=4000, about=""), 4, x=0.25, y=0.75)
    assert (piece.x + piece.width / 2, piece.y + piece.height / 2) == (1000, 2250)


def test_a_small_picture_is_shown_whole() -> None:
    piece = piece_of(Opened(Path("a.png"), "srgb", height=31, width=50, about=""), 1)
    assert (piece.x, piece.y, piece.width, piece.height) == (0, 0, 50, 31)


def test_a_noise_level_counts_when_it_was_changed() -> None:
    raw = Opened(Path("a.dng"), "raw", 64, 96, "", SHOT, READ)
    assert noise_text(raw, SHOT, READ) == noise_text(raw, None, None) == "auto"
    assert noise_text(raw, 0.02, READ) == "shot=0.02,read=0.0001"
    assert noise_text(raw, 0.02, None) == "shot=0.02,read=0"


@pytest.mark.parametrize(("space", "first"), [("srgb", "compact_srgb"), ("raw", "compact_raw")])
def test_shipped_denoisers_are_offered(space: Space, first: str) -> None:
    names = weights_for(space)
    assert names[0] == first and len(set(names)) == len(names) > 1
    assert all(name.endswith(space) for name in names)


def read(path: Path) -> NDArray:
    return read_photo(path)


def test_a_piece_before_is_the_photo_and_after_the_denoisers(
    place: Workspace, photo: Path, weights: dict[str, Path]
) -> None:
    opened, _ = open_file(photo)
    piece = denoising.Crop(10, 4, 32, 24)
    own = read(photo)[4:28, 10:42]
    before, after = preview(place, opened, Wanted(named(weights, "srgb")), piece)
    np.testing.assert_array_equal(read(before), own)
    assert (read(after) != own).any() and read(after).shape == own.shape


def test_the_piece_before_is_made_once(
    place: Workspace, camera_file: Path, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, _ = open_file(camera_file)
    runs, run = [], denoising.denoise_files

    def counted(*files: Any, **settings: Any) -> Summary:
        runs.append(settings)
        return run(*files, **settings)

    monkeypatch.setattr(denoising, "denoise_files", counted)
    pieces, wanted = [denoising.Crop(0, 0, 64, 48), denoising.Crop(2, 0, 64, 48)], Wanted(named(weights, "raw"))
    first, *_ = preview(place, opened, wanted, pieces[0])
    content = read(first)
    assert (preview(place, opened, replace(wanted, luma=0.5), pieces[0])[0], len(runs)) == (first, 3)
    assert preview(place, opened, wanted, pieces[1])[0] != first and len(runs) == 5
    first.unlink()  # as when it was removed with the old ones
    again = preview(place, opened, wanted, pieces[0])[0]
    np.testing.assert_array_equal(read(again), content)


def test_weights_are_shipped_or_a_file(place: Workspace, photo: Path, weights: dict[str, Path], tmp_path: Path) -> None:
    opened, _ = open_file(photo)
    default, own = (result(place, opened, Wanted(name), denoising.PNG) for name in (" ", f" {weights['srgb']} "))
    same = result(place, opened, Wanted("compact_srgb"), denoising.PNG)
    np.testing.assert_array_equal(read(default), read(same))
    assert (read(own) != read(same)).any()
    text = tmp_path / "notes.safetensors"
    text.write_text("no weights")
    for name, words in (
        (str(tmp_path / "none.safetensors"), "neither a file nor shipped weights"),
        (str(weights["raw"]), "is an sRGB photo, the weights are for RAW"),
        ("compact_isp", "is a CycleISP, a SrgbDenoiser or "),
        (str(text), "notes.safetensors: "),
    ):
        with pytest.raises(UserError, match=words):
            result(place, opened, Wanted(name), denoising.PNG)
    with pytest.raises(
        UserError, match="others can reach this page, so it has the shipped weights alone: compact_srgb"
    ):
        result(replace(place, own_weights=False), opened, Wanted(str(weights["srgb"])), denoising.PNG)


def test_strength_zero_gives_the_photo_back(place: Workspace, photo: Path, weights: dict[str, Path]) -> None:
    opened, _ = open_file(photo)
    made = result(place, opened, Wanted(named(weights, "srgb"), luma=0, chroma=0), denoising.PNG)
    assert made.name == "photo_denoised.png"
    np.testing.assert_array_equal(read(made), read(photo))


def test_a_tiff_of_8_bits_has_16_and_more_than_256_levels(
    place: Workspace, photo: Path, weights: dict[str, Path]
) -> None:
    opened, _ = open_file(photo)
    same = result(place, opened, Wanted(named(weights, "srgb-identity")), denoising.TIFF)
    np.testing.assert_array_equal(tifffile.imread(same), read(photo).astype(np.uint16) * 257)
    other = tifffile.imread(result(place, opened, Wanted(named(weights, "srgb")), denoising.TIFF))
    assert other.dtype == np.uint16 and (other % 257 != 0).any()


def test_a_camera_file_becomes_a_dng(place: Workspace, camera_file: Path, weights: dict[str, Path]) -> None:
    opened, _ = open_file(camera_file)
    wanted = Wanted(named(weights, "raw"), noise=noise_text(opened, 0.02, READ))
    made = result(place, opened, wanted, denoising.DNG)
    assert made.name == "shot_denoised.dng"
    assert read_raw(made).mosaic.shape == read_raw(camera_file).mosaic.shape
    before, after = preview(place, opened, wanted, denoising.Crop(0, 0, 64, 48))
    assert read(before).shape == read(after).shape == (48, 64, 3)
    assert (read(before) != read(after)).any()


def test_work_ends_when_its_time_is_over(place: Workspace, photo: Path, weights: dict[str, Path]) -> None:
    opened, _ = open_file(photo)
    with pytest.raises(UserError, match="takes longer than the 0 minutes"), within(0, lambda words, share: None):
        result(place, opened, Wanted(named(weights, "srgb")), denoising.PNG)


@pytest.mark.parametrize("kind", ["photo", "pair", "views"])
def test_work_of_every_tab_is_stopped_by_the_button(
    kind: str, place: Workspace, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button is pressed while a network computes, by a network that presses it."""
    view = write_png(tmp_path / "view.png", np.ascontiguousarray(data.astronaut()[:320:2, :320:2]))
    opened, button, looks = open_file(photo)[0], StopButton(), []
    assert not button.press()
    work: Callable[[], object] = {
        "photo": lambda: result(place, opened, Wanted("compact_srgb"), denoising.PNG),
        "pair": lambda: make_pair(place, photo, "sidd", seed=0),
        "views": lambda: match_view(place, view, view),
    }[kind]
    convolution = convolutions.direct

    def pressing(*weights: Any) -> convolutions.Convolution:
        looks.append(button.press())
        return convolution(*weights)

    monkeypatch.setattr(convolutions, "direct", pressing)
    monkeypatch.setattr(convolutions, "winograd", pressing)
    lock = threading.Lock()
    with pytest.raises(StopPressed), within(60, lambda words, share: None, button, lock):
        work()
    assert looks and all(looks) and not button.press() and not lock.locked()
    monkeypatch.undo()
    with within(60, lambda words, share: None, button, lock):
        work()


def test_progress_is_told(place: Workspace, photo: Path, weights: dict[str, Path]) -> None:
    opened, told = open_file(photo)[0], []
    with within(60, lambda words, share: told.append(share)):
        result(place, opened, Wanted(named(weights, "srgb")), denoising.PNG)
    assert told == sorted(told) and told[-1] == 1.0


def test_everything_is_removed_with_the_page(photo: Path, weights: dict[str, Path]) -> None:
    from cycleisp.app.actions.workspace import workspace

    with workspace("cpu") as place:
        made = result(place, open_file(photo)[0], Wanted(named(weights, "srgb")), denoising.PNG)
        assert made.is_file()
    assert not place.folder.exists()
