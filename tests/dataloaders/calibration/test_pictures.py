"""The noise of a camera from ordinary pictures, by ISO setting."""

from pathlib import Path

from cycleisp.dataloaders.calibration.pictures import noise_by_iso
from tests.support.camera_files import write_phone_dng
from tests.support.pictures import random_mosaic, write_dng


def test_pictures_of_a_setting_are_taken_together_and_others_are_named(tmp_path: Path) -> None:
    """A phone's pictures at ISO 3200, with shot noise of 1e-3 and read noise of 1e-5."""
    paths = [write_phone_dng(tmp_path / f"{seed}.dng", seed=seed) for seed in range(2)]
    paths.append(write_dng(tmp_path / "no_iso.dng", random_mosaic(128, 128)))
    (tmp_path / "broken.dng").write_bytes(b"II*\0 no picture")
    seen: list[Path] = []

    def progress(files):  # type: ignore[no-untyped-def]
        for file in files:
            seen.append(file)
            yield file

    found = noise_by_iso([*paths, tmp_path / "broken.dng"], progress)
    assert seen == [*paths, tmp_path / "broken.dng"]
    assert list(found.settings) == [3200.0]
    noise = found.settings[3200.0]
    assert noise.pictures == 2 and not noise.black_clipped
    level, truth = noise.variance(0.2), 1e-3 * 0.2 + 1e-5
    assert abs(level.value - truth) <= 4 * level.error and level.error < 0.1 * truth
    assert [path.name for path, _ in found.unusable] == ["no_iso.dng", "broken.dng"]
    assert "ISO" in found.unusable[0][1] and str(tmp_path) not in found.unusable[0][1]
