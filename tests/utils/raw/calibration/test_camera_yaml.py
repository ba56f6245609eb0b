"""The file of a calibration is a camera's noise file: what was measured is what readers draw."""

from pathlib import Path

import pytest
import torch
import yaml

from cycleisp.utils.config.files import ConfigError
from cycleisp.utils.raw.calibration.camera_yaml import Setting, camera_yaml, noise_profile, read_hot_pixels
from cycleisp.utils.raw.calibration.estimate import Estimate, four
from cycleisp.utils.raw.noise import NoiseError
from cycleisp.utils.raw.sensor_noise.camera_files import read_camera_file
from cycleisp.utils.raw.sensor_noise.cameras import CameraNoise
from cycleisp.utils.raw.sensor_noise.names import find_noise


def setting(scale: float = 1.0, **more: Estimate) -> Setting:
    """Returns all that a calibration may find, where no two values are equal."""

    def sites(value: float) -> tuple[Estimate, Estimate, Estimate, Estimate]:
        return four(Estimate(value * scale * factor, value * scale / 100) for factor in (1.0, 1.1, 1.2, 1.3))

    return {
        "shot_noise": sites(3e-5),
        "read_noise": sites(4e-8),
        "row_noise": sites(2e-9),
        "column_noise": sites(1e-10),
        "tukey_lambda": Estimate(-0.05, 0.01),
        "hot_pixel_density": Estimate(1e-5, 1e-6),
        "hot_pixel_amplitude": Estimate(0.03, 0.001),
        "quantization_bits": Estimate(13.954, 0.0),
        **more,
    }


def written(tmp_path: Path, settings: dict[float, Setting], name: str = "Some Camera") -> Path:
    path = tmp_path / "mycamera.yaml"
    details = {iso: {"mosaic": [6, 8], "hot_pixels": [[1, 2], [3, 4]], "clipped": False} for iso in settings}
    path.write_text(camera_yaml(settings, details, name, "1.2.3"), encoding="utf-8")
    return path


def test_every_value_comes_back(tmp_path: Path) -> None:
    settings = {800.0: setting(), 3200.0: setting(4.0)}
    content = read_camera_file(written(tmp_path, settings))
    assert content.name == "Some Camera" and set(content.iso) == {800, 3200}
    for iso, expected in settings.items():
        for key, value in expected.items():
            values = [value.value] if isinstance(value, Estimate) else [one.value for one in value]
            found = getattr(content.iso[iso], key)
            assert list(found if isinstance(found, tuple) else (found,)) == pytest.approx(values, rel=1e-5), key


def test_errors_and_details_stand_beside_and_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, {800.0: setting()})
    content = yaml.safe_load(path.read_text())
    assert content["calibration"][800]["standard_errors"]["shot_noise"] == pytest.approx([3e-7] * 4)
    assert content["calibration"][800]["standard_errors"]["tukey_lambda"] == 0.01
    assert content["calibration"][800]["hot_pixels"] == [[1, 2], [3, 4]]
    assert path.read_text().startswith("# The noise of a camera") and "CycleISP 1.2.3" in path.read_text()


def test_the_file_is_a_noise_model_at_one_setting_or_between_two(tmp_path: Path) -> None:
    path = written(tmp_path, {800.0: setting(), 3200.0: setting(4.0)})
    noise = find_noise(f"{path}@1600")
    assert isinstance(noise, CameraNoise)
    assert noise.at(1600)["shot_noise"] == pytest.approx([3e-5 * 2 * factor for factor in (1.0, 1.1, 1.2, 1.3)])
    noisy = noise.add(torch.full((4, 64, 64), 0.5), seed=1).image
    assert float(noisy[0].var()) == pytest.approx(0.5 * 6e-5 + 8e-8 + 4e-9, rel=0.1)
    with pytest.raises(NoiseError, match="knows ISO 800 to 3200"):
        find_noise(f"{path}@6400")


def test_estimates_out_of_range_become_its_ends(tmp_path: Path) -> None:
    """Unbiased estimates of a variance that is 0 are below 0 half of the time."""
    around_zero = four(Estimate(value, 1e-10) for value in (-1e-10, 0.0, 1e-10, -2e-10))
    odd = setting() | {"column_noise": around_zero, "tukey_lambda": Estimate(-0.5, 0.1)}
    content = read_camera_file(written(tmp_path, {800.0: odd}))
    assert content.iso[800].column_noise == (0, 0, 1e-10, 0)
    assert content.iso[800].tukey_lambda == (-0.3,)


def test_what_one_setting_alone_has_is_kept_aside(tmp_path: Path) -> None:
    """A file states a part at all settings or at none."""
    less = {key: value for key, value in setting().items() if key not in ("row_noise", "hot_pixel_amplitude")}
    path = written(tmp_path, {800.0: setting(), 3200.0: less})
    content = read_camera_file(path)
    stated = content.iso[800].stated()
    assert not stated & {"row_noise", "hot_pixel_density", "hot_pixel_amplitude"} and "column_noise" in stated
    aside = yaml.safe_load(path.read_text())["calibration"]
    assert set(aside[800]["not_used"]) == {"row_noise", "hot_pixel_density", "hot_pixel_amplitude"}
    assert set(aside[3200]["not_used"]) == {"hot_pixel_density"}


def test_hot_photosites_come_back(tmp_path: Path) -> None:
    path = written(tmp_path, {800.0: setting(), 3200.0: setting(4.0)})
    found = read_hot_pixels(path)
    assert set(found) == {800, 3200}
    shape, rows, columns = found[800]
    assert (shape, rows.tolist(), columns.tolist()) == ((6, 8), [1, 3], [2, 4])
    for content in ("iso: {}", path.read_text().replace("[3, 4]", "[6, 4]"), path.read_text().replace("[3, 4]", "[6]")):
        path.write_text(content)
        with pytest.raises(
            ConfigError, match=r"mycamera\.yaml: .*expected a file that calibrate_camera\.py has written"
        ):
            read_hot_pixels(path)


def test_any_name_of_a_camera_can_be_written(tmp_path: Path) -> None:
    for name in ("", "a: b # c", "カメラ", "\x1b[31m", "'\""):
        content = read_camera_file(written(tmp_path, {800.0: setting()}, name))
        assert content.name == (name.replace("\x1b", "\\x1b") or None)


def test_a_setting_without_shot_or_read_noise_is_refused() -> None:
    less = {key: value for key, value in setting().items() if key != "read_noise"}
    for settings in ({}, {800.0: less}):
        with pytest.raises(ValueError, match="expected settings with shot_noise and read_noise"):
            camera_yaml(settings, {}, "", "1")


def test_the_tag_of_a_dng_has_all_noise_that_does_not_depend_on_light() -> None:
    profile = noise_profile(setting())
    rest = 4e-8 + 2e-9 + 1e-10
    rounding = 0.25**13.954 / 12
    expected = [pair for factor in (1.0, 1.15, 1.3) for pair in (3e-5 * factor, rest * factor + rounding)]
    assert profile == pytest.approx(expected, rel=1e-9)
