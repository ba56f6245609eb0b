"""Views in, views in the colours of others out: pairs, what is kept, and films without flicker."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from weakref import WeakSet

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.results.matched_files import MatchedFiles
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.results.view_pairs import find_view_pairs, natural_order
from cycleisp.utils.color.color_lut import ColorLut
from cycleisp.utils.errors import UserError
from tests.support.color_luts import identity_lut, read_cube
from tests.support.paths import files_of
from tests.support.pictures import PROFILE, camera_exif, encode_png, random_picture, write_dng, write_png

Paint = Callable[[str, float], Path]


class MeanShift:
    """Shifts all colours by the difference of the views' means, and remembers the sources' means.

    Args:
        fail: the means of sources that have no table.
        stop: the mean of a source at which the process is stopped.
    """

    def __init__(self, fail: tuple[float, ...] = (), stop: float = -1) -> None:
        self.means: list[float] = []
        self.alive: WeakSet[ColorLut] = WeakSet()
        self.most_alive = 0
        self.fail, self.stop = fail, stop

    def __call__(self, source: NDArray, target: NDArray) -> ColorLut:
        assert source.dtype == target.dtype == np.float32
        assert min(source.min(), target.min()) >= 0 and max(source.max(), target.max()) <= 1
        mean = round(float(source.mean()), 3)
        if mean == self.stop:
            raise KeyboardInterrupt
        self.means.append(mean)
        if mean in self.fail:
            raise ValueError("too few colours")
        lut = ColorLut(identity_lut(5).nodes + (target.mean((0, 1)) - source.mean((0, 1))))
        self.alive.add(lut)
        self.most_alive = max(self.most_alive, len(self.alive))
        return lut


def match(
    source: Path,
    target: Path,
    output: Path,
    estimate: MeanShift | None = None,
    smooth: float = 0,
    luts: bool = False,
    overwrite: bool = False,
) -> Summary:
    files = MatchedFiles(estimate or MeanShift(), smooth, luts, overwrite)
    return files.run(find_view_pairs(source, target, output))


@pytest.fixture
def paint(tmp_path: Path) -> Paint:
    """Returns a function: `paint("source/a.png", 0.25)` writes a photo of one 16 bit grey."""

    def write(name: str, level: float) -> Path:
        return write_png(tmp_path / name, np.full((6, 8, 3), round(level * 65535), np.uint16))

    return write


def level_of(path: Path) -> float:
    return float(read_photo(path).mean()) / 65535


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_of(folder)}


# ---------------------------------------------------------------- one photo


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("height", "width"), [(2, 2), (15, 21)])
def test_a_source_takes_the_colours_and_keeps_its_depth_and_size(
    tmp_path: Path, dtype: type, height: int, width: int
) -> None:
    largest = np.iinfo(dtype).max
    source = write_png(tmp_path / "s.png", (random_picture(height, width, dtype) // 4 + largest // 4).astype(dtype))
    target = write_png(tmp_path / "t.png", random_picture(30, 40, np.uint8) // 4 + 64)
    summary = match(source, target, tmp_path / "out" / "result.png")
    assert (summary.made, summary.kept, summary.skipped) == (1, 0, [])
    result = read_photo(tmp_path / "out" / "result.png")
    assert (result.dtype, result.shape) == (dtype, (height, width, 3))
    wanted = read_photo(target).mean((0, 1)) / 255
    np.testing.assert_allclose(result.mean((0, 1)) / largest, wanted, atol=0.51 / largest + 1e-4)


def test_exif_and_profile_are_the_sources_and_the_picture_stands_upright(tmp_path: Path) -> None:
    Image.fromarray(random_picture(10, 14)).save(tmp_path / "s.jpg", exif=camera_exif(turn=6), icc_profile=PROFILE)
    write_png(tmp_path / "t.png", random_picture(14, 10))
    assert match(tmp_path / "s.jpg", tmp_path / "t.png", tmp_path / "out.png").made == 1
    with Image.open(io.BytesIO((tmp_path / "out.png").read_bytes())) as image:
        assert image.size == (10, 14)
        assert image.info["icc_profile"] == PROFILE
        assert image.getexif()[ExifTags.Base.Make] == "Maker"
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1


@pytest.mark.parametrize("smooth", [0, 1])
def test_the_table_written_is_the_table_applied(tmp_path: Path, smooth: float) -> None:
    for n in range(3):
        write_png(tmp_path / "s" / f"{n}.v2.png", random_picture(8, 9, np.uint16, seed=n))
        write_png(tmp_path / "t" / f"{n}.v2.png", random_picture(8, 9, np.uint16, seed=9 - n))
    match(tmp_path / "s", tmp_path / "t", tmp_path / "out", smooth=smooth, luts=True)
    assert files_of(tmp_path / "out") == {f"{n}.v2.{suffix}" for n in range(3) for suffix in ("png", "cube")}
    for n in range(3):
        table = read_cube(tmp_path / "out" / f"{n}.v2.cube")
        applied = table.apply(read_photo(tmp_path / "s" / f"{n}.v2.png")).astype(int)
        # one level apart, since the numbers in the text are rounded
        assert np.abs(applied - read_photo(tmp_path / "out" / f"{n}.v2.png")).max() <= 1


def test_views_of_other_shapes_are_matched_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, (height, width) in {"wide": (30, 41), "wider": (30, 49), "tall": (41, 30)}.items():
        write_png(tmp_path / f"{name}.png", random_picture(height, width))
    write_png(tmp_path / "s.png", random_picture(60, 80))
    for name, warns in (("wide", False), ("wider", True), ("tall", True)):
        caplog.clear()
        assert match(tmp_path / "s.png", tmp_path / f"{name}.png", tmp_path / "out" / f"{name}.png").made == 1
        assert ("s.png and its target differ in shape, 80x60 and" in caplog.text) == warns


# ---------------------------------------------------------------- pairs


def test_photos_of_two_folders_pair_by_path_without_suffix(tmp_path: Path, paint: Paint) -> None:
    for name, level in (("deep/été 1", 0.3), ("b", 0.4), ("alone", 0.5)):
        paint(f"s/{name}.png", level)
    paint("t/deep/été 1.png", 0.6)
    Image.new("RGB", (8, 6), (128, 128, 128)).save(tmp_path / "t" / "b.jpg", quality=100)
    paint("t/été 1.png", 0.1)
    summary = match(tmp_path / "s", tmp_path / "t", tmp_path / "out")
    assert files_of(tmp_path / "out") == {"deep/été 1.png", "b.png"}
    assert level_of(tmp_path / "out" / "deep" / "été 1.png") == pytest.approx(0.6, abs=1e-4)
    assert level_of(tmp_path / "out" / "b.png") == pytest.approx(128 / 255, abs=5e-3)
    ((skipped, reason),) = summary.skipped
    assert skipped == tmp_path / "s" / "alone.png"
    assert reason.startswith(f"{skipped}: expected one target of its name, found none")


def test_two_targets_of_one_name_are_told_and_not_chosen_from(tmp_path: Path, paint: Paint) -> None:
    for name in ("s/a", "s/b", "t/a", "t/b"):
        paint(f"{name}.png", 0.3)
    Image.new("RGB", (8, 6)).save(tmp_path / "t" / "a.jpg")
    summary = match(tmp_path / "s", tmp_path / "t", tmp_path / "out")
    ((skipped, reason),) = summary.skipped
    assert skipped == tmp_path / "s" / "a.png"
    assert f"found {tmp_path / 't' / 'a.jpg'} and {tmp_path / 't' / 'a.png'}" in reason
    assert files_of(tmp_path / "out") == {"b.png"}


def test_one_target_serves_all_sources(tmp_path: Path, paint: Paint) -> None:
    for name, level in (("a", 0.3), ("deep/b", 0.4)):
        paint(f"s/{name}.png", level)
    Image.new("RGB", (8, 6), (51, 51, 51)).save(tmp_path / "s" / "a.tif")  # of one name with a.png
    target = paint("t.png", 0.6)
    assert match(tmp_path / "s", target, tmp_path / "out").made == 3
    assert files_of(tmp_path / "out") == {"a.png", "a.tif.png", "deep/b.png"}
    for name in files_of(tmp_path / "out"):
        assert read_photo(tmp_path / "out" / name).mean() / (255 if name == "a.tif.png" else 65535) == pytest.approx(
            0.6
        )


def test_numbers_in_names_are_counted_by_value(tmp_path: Path, paint: Paint) -> None:
    names = ["frame2", "frame02", "frame10", "10", "9b", "x/frame1", "x10/f1", "x2/f3", "x2/f20", "frame"]
    expected = ["9b", "10", "frame", "frame02", "frame2", "frame10", "x/frame1", "x2/f3", "x2/f20", "x10/f1"]
    assert sorted(names, key=natural_order) == expected
    for name in names:
        paint(f"s/{name}.png", 0.5)
    pairs = find_view_pairs(tmp_path / "s", paint("t.png", 0.5), tmp_path / "out")
    assert [pair.output for pair in pairs] == [tmp_path / "out" / f"{name}.png" for name in expected]


def pairing_error(source: Path, target: Path, output: Path) -> str:
    with pytest.raises(UserError) as caught:
        find_view_pairs(source, target, output)
    return str(caught.value)


def test_inputs_that_cannot_be_paired_are_refused(tmp_path: Path, paint: Paint) -> None:
    photo, out = paint("s/a.png", 0.3), tmp_path / "out"
    other = paint("t/b.png", 0.4)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.png").write_bytes(encode_png(random_picture(24, 32))[:500])
    write_png(tmp_path / "dot.png", random_picture(1, 1))
    raw = write_dng(tmp_path / "camera.dng", np.full((32, 32), 500, np.uint16))
    for source, target, words in (
        (tmp_path / "gone.png", photo, f"{tmp_path / 'gone.png'}: no such file or folder"),
        (photo.parent, tmp_path / "gone", f"{tmp_path / 'gone'}: no such file or folder"),
        (tmp_path / "empty", photo, f"{tmp_path / 'empty'}: no photo in this folder"),
        (photo.parent, tmp_path / "empty", f"{tmp_path / 'empty'}: no photo in this folder"),
        (photo.parent, other.parent, f"{other.parent}: no photo has the name of one in {photo.parent}"),
        (photo.parent, tmp_path / "bad.png", f"{tmp_path / 'bad.png'}: is damaged"),
        (photo.parent, tmp_path / "dot.png", f"{tmp_path / 'dot.png'}: 1x1 pixels"),
        (photo, photo.parent, f"{photo.parent}: is a folder, but the source {photo} one photo"),
        (raw, photo, f"{raw}: is a camera RAW file"),
        (photo.parent, raw, f"{raw}: is a camera RAW file"),
    ):
        assert words in pairing_error(source, target, out if source.is_dir() else tmp_path / "out.png")
    assert not out.exists()


def test_outputs_of_the_wrong_kind_are_refused(tmp_path: Path, paint: Paint) -> None:
    photo = paint("s/a.png", 0.3)
    (tmp_path / "file").write_text("here already")
    (tmp_path / "folder.png").mkdir()
    for output in (tmp_path / "out.jpg", tmp_path / "out", tmp_path / "s", tmp_path / "folder.png"):
        assert f"{output}: expected a file that ends in .png" in pairing_error(photo, photo, output)
    for output in (tmp_path / "file", tmp_path / "out.png"):
        assert f"{output}: expected a folder" in pairing_error(photo.parent, photo, output)
    assert match(photo, photo, tmp_path / "OUT.PNG").made == 1
    assert match(photo.parent, photo, tmp_path / "folder.png").made == 1


def test_an_input_is_never_replaced(tmp_path: Path, paint: Paint) -> None:
    photo, target = paint("s/a.png", 0.3), paint("t/a.png", 0.4)
    (tmp_path / "link").symlink_to(tmp_path / "s")
    for output in (photo, target, tmp_path / "link" / "a.png"):
        assert "would replace the input" in pairing_error(photo, target, output)
    for output in (photo.parent, target.parent, tmp_path / "link"):
        assert f"{output}: results would lie among the inputs" in pairing_error(photo.parent, target.parent, output)
    below = paint("s/s/a.png", 0.5)  # its result in tmp_path would be s/a.png
    assert below.is_file()
    assert f"would replace the input {photo}" in pairing_error(photo.parent, target, tmp_path)


@pytest.mark.parametrize("output", ["s/out", "t/out", "."])
def test_an_output_inside_or_around_the_inputs_works(tmp_path: Path, paint: Paint, output: str) -> None:
    inputs = {f"{folder}/{name}.png" for folder in "st" for name in "ab"}
    for name in inputs:
        paint(name, 0.4)
    for made, kept in ((2, 0), (0, 2)):
        summary = match(tmp_path / "s", tmp_path / "t", tmp_path / output)
        assert (summary.made, summary.kept, summary.skipped) == (made, kept, [])
    assert files_of(tmp_path) == inputs | {(Path(output) / f"{name}.png").as_posix() for name in "ab"}


# ---------------------------------------------------------------- going on, bad files


def test_what_is_there_is_kept_and_what_is_missing_made(tmp_path: Path, paint: Paint) -> None:
    for n in range(3):
        paint(f"s/{n}.png", 0.3 + 0.1 * n)
    source, target, output = tmp_path / "s", paint("t.png", 0.5), tmp_path / "out"
    assert match(source, target, output).made == 3
    (output / "1.png").write_bytes(b"mine")
    (output / "2.png").unlink()
    estimate = MeanShift()
    summary = match(source, target, output, estimate)
    assert (summary.made, summary.kept, estimate.means) == (1, 2, [0.5])
    assert (output / "1.png").read_bytes() == b"mine"
    (output / "0.cube").write_bytes(b"mine, too")  # in the place of a table: the result gets another name
    assert match(source, target, output, luts=True).made == 3
    assert files_of(output) == {"0.png", "0.cube", "0.png.png", "0.png.cube", "1.png", "1.cube", "2.png", "2.cube"}
    assert (output / "0.cube").read_bytes() == b"mine, too" and (output / "1.png").read_bytes() == b"mine"
    assert match(source, target, output, luts=True).kept == 3
    assert match(source, target, output, overwrite=True).made == 3


def test_bad_files_are_told_and_do_not_stop_the_others(tmp_path: Path, paint: Paint) -> None:
    for n in range(6):
        paint(f"s/{n}.png", 0.3 + 0.1 * n)
        paint(f"t/{n}.png", 0.5)
    (tmp_path / "s" / "1.png").write_bytes(encode_png(random_picture(24, 32))[:500])
    (tmp_path / "t" / "2.png").write_bytes(b"")
    write_png(tmp_path / "s" / "3.png", random_picture(1, 9))
    summary = match(tmp_path / "s", tmp_path / "t", tmp_path / "out", MeanShift(fail=(0.7,)))
    assert summary.made == 2
    assert files_of(tmp_path / "out") == {"0.png", "5.png"}
    assert [path for path, _ in summary.skipped] == [tmp_path / "s" / f"{n}.png" for n in (1, 2, 3, 4)]
    words = ("is damaged", f"{tmp_path / 't' / '2.png'}: the file is empty", "9x1 pixels", "too few colours")
    for (path, reason), expected in zip(summary.skipped, words, strict=True):
        assert reason.startswith(f"{path}: ") and expected in reason


def test_an_output_that_cannot_be_written_is_one_clear_error(tmp_path: Path, paint: Paint) -> None:
    (tmp_path / "file").write_text("here already")
    photo = paint("s/a.png", 0.3)
    with pytest.raises(UserError, match=r"cannot be written .*give another --output"):
        match(photo.parent, photo, tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "here already"


# ---------------------------------------------------------------- films


def film(paint: Paint, sources: list[float], targets: list[float], folder: str = "") -> None:
    """Writes frames of one grey each, frame1 ... frameN, whose letters are in another order."""
    for n, (source, target) in enumerate(zip(sources, targets, strict=True), start=1):
        paint(f"s/{folder}frame{n}.png", source)
        paint(f"t/{folder}frame{n}.png", target)


def shifts(tmp_path: Path, sources: list[float], folder: str = "") -> dict[int, float]:
    """Returns by how much the frames that were made became brighter."""
    paths = {n: tmp_path / "out" / folder / f"frame{n}.png" for n in range(1, len(sources) + 1)}
    return {n: level_of(path) - sources[n - 1] for n, path in paths.items() if path.is_file()}


SOURCES = [0.3 + 0.01 * n for n in range(12)]
SHIFTS = [0.05 * (-1) ** n + 0.02 * n for n in range(12)]
TARGETS = [source + shift for source, shift in zip(SOURCES, SHIFTS, strict=True)]


def gaussian_mean(number: int, sigma: float, bad: tuple[int, ...] = ()) -> float:
    """Returns the shift of frame `number`, counted from 1, by the formula."""
    total = weights = 0.0
    for other in range(1, len(SHIFTS) + 1):
        if abs(other - number) <= 3 * sigma and other not in bad:
            weight = math.exp(-((other - number) ** 2) / (2 * sigma**2))
            total, weights = total + weight * SHIFTS[other - 1], weights + weight
    return total / weights


@pytest.mark.parametrize("sigma", [0.4, 1.0, 1.5, 50.0])
def test_tables_are_averaged_by_a_gaussian_cut_at_three_sigma(tmp_path: Path, paint: Paint, sigma: float) -> None:
    film(paint, SOURCES, TARGETS)
    assert match(tmp_path / "s", tmp_path / "t", tmp_path / "out", smooth=sigma).made == 12
    for number, shift in shifts(tmp_path, SOURCES).items():
        assert shift == pytest.approx(gaussian_mean(number, sigma), abs=3e-5)


def test_a_gaussian_by_hand(tmp_path: Path, paint: Paint) -> None:
    """sigma 0.5 reaches one frame to each side, with exp(-2) = 0.135335."""
    film(paint, [0.5] * 3, [0.5, 0.6, 0.5])
    match(tmp_path / "s", tmp_path / "t", tmp_path / "out", smooth=0.5)
    end, middle = 0.1 * 0.135335 / 1.135335, 0.1 / 1.270671
    assert list(shifts(tmp_path, [0.5] * 3).values()) == pytest.approx([end, middle, end], abs=2e-5)


def test_without_smoothing_each_frame_is_for_itself(tmp_path: Path, paint: Paint) -> None:
    film(paint, SOURCES, TARGETS)
    estimate = MeanShift()
    match(tmp_path / "s", tmp_path / "t", tmp_path / "out", estimate)
    assert list(shifts(tmp_path, SOURCES).values()) == pytest.approx(SHIFTS, abs=3e-5)
    assert estimate.most_alive <= 2


@pytest.mark.parametrize("spoiled", ["source", "target", "no target", "estimate"])
def test_a_bad_frame_is_skipped_and_its_neighbours_go_on_without_it(
    tmp_path: Path, paint: Paint, spoiled: str, caplog: pytest.LogCaptureFixture
) -> None:
    film(paint, SOURCES, TARGETS)
    if spoiled == "no target":
        (tmp_path / "t" / "frame5.png").unlink()
    elif spoiled != "estimate":
        (tmp_path / spoiled[0] / "frame5.png").write_bytes(b"damaged")
    estimate = MeanShift(fail=(0.34,) if spoiled == "estimate" else ())
    summary = match(tmp_path / "s", tmp_path / "t", tmp_path / "out", estimate, smooth=1)
    assert summary.made == 11
    assert [path.name for path, _ in summary.skipped] == ["frame5.png"]
    assert caplog.records == []  # the summary names it, once
    assert estimate.means.count(0.34) == (spoiled == "estimate")
    found = shifts(tmp_path, SOURCES)
    assert 5 not in found
    for number, shift in found.items():
        assert shift == pytest.approx(gaussian_mean(number, 1, bad=(5,)), abs=3e-5)


def test_every_frame_is_estimated_once_and_only_the_window_stays_in_memory(tmp_path: Path, paint: Paint) -> None:
    sources = [0.2 + 0.01 * n for n in range(40)]
    film(paint, sources, sources)
    estimate = MeanShift()
    assert match(tmp_path / "s", tmp_path / "t", tmp_path / "out", estimate, smooth=1).made == 40
    assert estimate.means == pytest.approx(sources, abs=1e-3)
    assert estimate.most_alive <= 7 + 2  # three to each side, one on its way in, one just applied


@pytest.mark.parametrize("bad", [(), (0.36,)])
@pytest.mark.parametrize("smooth", [0, 1])
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    tmp_path: Path, paint: Paint, smooth: float, bad: tuple[float, ...]
) -> None:
    film(paint, SOURCES, TARGETS)
    source, target, output = tmp_path / "s", tmp_path / "t", tmp_path / "out"
    match(source, target, tmp_path / "whole", MeanShift(bad), smooth, luts=True)
    with pytest.raises(KeyboardInterrupt):
        match(source, target, output, MeanShift(bad, stop=0.38), smooth, luts=True)
    before = contents(output)
    assert 0 < len(before) < len(contents(tmp_path / "whole"))
    estimate = MeanShift(bad)
    summary = match(source, target, output, estimate, smooth, luts=True)
    assert summary.kept == len(before) // 2
    assert len(estimate.means) < 12  # what no pending frame needs is not estimated again
    assert contents(output) == contents(tmp_path / "whole")
    for name in ("frame3.png", "frame9.png", "frame10.png"):
        (output / name).unlink()
    match(source, target, output, MeanShift(bad), smooth, luts=True)
    assert contents(output) == contents(tmp_path / "whole")


def test_folders_are_films_of_their_own(tmp_path: Path, paint: Paint) -> None:
    film(paint, [0.5] * 3, [0.4] * 3, "day/")
    film(paint, [0.5] * 3, [0.7] * 3, "night/")
    assert match(tmp_path / "s", tmp_path / "t", tmp_path / "out", smooth=3).made == 6
    for folder, shift in (("day", -0.1), ("night", 0.2)):
        assert list(shifts(tmp_path, [0.5] * 3, folder).values()) == pytest.approx([shift] * 3, abs=2e-5)


def test_smoothing_takes_flicker_away(tmp_path: Path, paint: Paint) -> None:
    """A still scene whose targets alternate."""
    film(paint, [0.5] * 12, [0.45, 0.55] * 6)
    variances = []
    for smooth in (0, 0.5, 1, 2):
        match(tmp_path / "s", tmp_path / "t", tmp_path / "out", smooth=smooth, overwrite=True)
        variances.append(np.var(list(shifts(tmp_path, [0.5] * 12).values())))
    assert variances[0] == pytest.approx(0.05**2, rel=1e-2)
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] < 0.02 * variances[0]
