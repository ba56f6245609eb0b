"""match_colors.py as users call it: views in, pictures and tables out; bad input told in a line."""

from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.photos import read_photo
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.inference.color_matching import ColorMatcher
from match_colors import main
from tests.support.color_luts import read_cube
from tests.support.paths import files_of
from tests.support.pictures import encode_png, random_picture, write_png
from tests.support.scripts import Outcome, call_script, error_line, start_script


def match(weights: Path, *options: object) -> Outcome:
    return call_script(main, "--weights", weights, "--working-size", 64, "--device", "cpu", *options)


def write_views(folder: Path, names: str = "ab") -> tuple[Path, Path]:
    """Folders of sources, 8 bit, and of targets."""
    for seed, name in enumerate(names):
        write_png(folder / "s" / f"{name}.png", random_picture(40, 56, seed=seed))
        write_png(folder / "t" / f"{name}.png", random_picture(48, 64, seed=50 + seed))
    return folder / "s", folder / "t"


def test_the_script_runs_from_the_shell(tmp_path: Path, tiny_weights: Path, tiny_isp: CycleISP) -> None:
    source = write_png(tmp_path / "s.png", random_picture(75, 101, np.uint16, seed=1))
    target = write_png(tmp_path / "t.png", random_picture(60, 90, seed=2))
    views = ("--source", source, "--target", target, "--output", tmp_path / "out" / "a.png", "--luts")
    options = ("--weights", tiny_weights, "--working-size", 64, "--device", "cpu")
    result = start_script("match_colors.py", *views, *options)
    assert result.returncode == 0, result.stderr
    assert "1 matched, 0 kept from before, 0 skipped" in result.stdout
    assert files_of(tmp_path / "out") == {"a.png", "a.cube"}
    stored, before = read_photo(tmp_path / "out" / "a.png"), read_photo(source)
    assert (stored.dtype, stored.shape) == (np.uint16, before.shape)
    table = ColorMatcher(tiny_isp, 64).lut(
        before.astype(np.float32) / np.float32(65535), read_photo(target).astype(np.float32) / np.float32(255)
    )
    np.testing.assert_allclose(read_cube(tmp_path / "out" / "a.cube").nodes, table.nodes, atol=1e-4)
    np.testing.assert_allclose(stored, table.apply(before), atol=1e-4 * 65535)
    assert not np.array_equal(stored, before)


def test_folders_are_matched_and_kept_by_the_next_run(tmp_path: Path, tiny_weights: Path) -> None:
    source, target = write_views(tmp_path, "abc")
    line = ("--source", source, "--target", target, "--output", tmp_path / "out", "--smooth", 0.5)
    result = match(tiny_weights, *line)
    assert result.returncode == 0, result.stderr
    assert "3 matched, 0 kept from before, 0 skipped" in result.stdout
    assert files_of(tmp_path / "out") == {"a.png", "b.png", "c.png"}
    before = (tmp_path / "out" / "b.png").read_bytes()
    assert "0 matched, 3 kept from before, 0 skipped" in match(tiny_weights, *line).stdout
    (tmp_path / "out" / "b.png").unlink()
    assert "1 matched, 2 kept from before, 0 skipped" in match(tiny_weights, *line).stdout
    assert (tmp_path / "out" / "b.png").read_bytes() == before
    assert "3 matched, 0 kept" in match(tiny_weights, *line, "--overwrite").stdout
    assert (tmp_path / "out" / "b.png").read_bytes() == before


def test_bad_files_are_listed_with_status_one_and_the_good_ones_made(tmp_path: Path, tiny_weights: Path) -> None:
    source, target = write_views(tmp_path, "ab")
    alone = write_png(source / "alone.png", random_picture(8, 8))
    truncated = source / "b.png"
    truncated.write_bytes(encode_png(random_picture(24, 32))[:500])
    result = match(tiny_weights, "--source", source, "--target", target, "--output", tmp_path / "out")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "1 matched, 0 kept from before, 2 skipped" in result.stdout
    assert f"skipped {alone}: expected one target of its name, found none" in result.stdout
    assert f"skipped {truncated}: is damaged" in result.stdout
    assert files_of(tmp_path / "out") == {"a.png"}


def test_one_target_serves_a_folder(tmp_path: Path, tiny_weights: Path) -> None:
    source, target = write_views(tmp_path, "ab")
    result = match(tiny_weights, "--source", source, "--target", target / "a.png", "--output", tmp_path / "out")
    assert "2 matched" in result.stdout, result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--smooth", -1), "--smooth -1.0: expected a standard deviation in frames, at least 0"),
        (("--smooth", "nan"), "--smooth nan: expected"),
        (("--smooth", "inf"), "--smooth inf: expected"),
        (("--working-size", 63), "--working-size 63: expected pixels, at least 64"),
        (("--weights", "nowhere.safetensors"), "nowhere.safetensors: neither a file nor shipped weights"),
        (("--source", "gone"), "gone: no such file or folder"),
        (("--target", "gone.png"), "gone.png: no such file or folder"),
        (("--output", "result.png"), "result.png: expected a folder"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_options_without_sense_are_one_line(
    tmp_path: Path, tiny_weights: Path, options: tuple[object, ...], words: str
) -> None:
    source, target = write_views(tmp_path)
    line = ("--source", source, "--target", target, "--output", tmp_path / "out")
    assert words in error_line(match(tiny_weights, *line, *options))
    assert not (tmp_path / "out").exists()


def test_weights_of_another_network_are_one_line(tmp_path: Path, weights: dict[str, Path]) -> None:
    source, target = write_views(tmp_path)
    line = ("--source", source, "--target", target, "--output", tmp_path / "out")
    assert f"{weights['srgb']}: holds a SrgbDenoiser" in error_line(match(weights["srgb"], *line))
