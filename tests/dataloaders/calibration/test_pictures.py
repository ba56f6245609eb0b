"""The noise of a camera from ordinary pictures, by ISO setting."""

from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.calibration import pictures
from cycleisp.dataloaders.calibration.pictures import noise_by_iso
from cycleisp.utils.processes.apart import SWITCH
from tests.support.calibration_frames import FakeCamera, write_frame
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


def test_pictures_of_another_range_are_not_pooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal digital numbers are another noise level where the file puts white elsewhere."""
    monkeypatch.setenv(SWITCH, "0")
    pooled: list[int] = []
    monkeypatch.setattr(pictures, "measure_picture", lambda planes: "levels")
    monkeypatch.setattr(pictures, "noise_of", lambda each: pooled.append(len(each)))
    mosaic = np.full((64, 64), 900, np.uint16)
    cameras = {
        "a": FakeCamera(),
        "b": FakeCamera(black=516),  # a black level that was measured in the picture
        "c": FakeCamera(black=128, white=4095),
        "d": FakeCamera(),
        "e": FakeCamera(white=15000),
    }
    paths = [write_frame(tmp_path / f"{name}.dng", mosaic, 800, 0.1, camera) for name, camera in cameras.items()]
    paths.append(write_frame(tmp_path / "other_iso.dng", mosaic, 400, 0.1, cameras["c"]))
    unusable = noise_by_iso(paths).unusable
    assert pooled == [1, 3]  # ISO 400, and a, b and d of ISO 800
    assert [path.name for path, _ in unusable] == ["c.dng", "e.dng"]
    assert unusable[0][1] == (
        "goes from black at 128 to white at 4095, most pictures at ISO 800 from 512 to 16383; "
        "calibrate those of one bit depth at a time"
    )
