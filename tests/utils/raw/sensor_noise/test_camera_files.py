"""A camera's noise file: what is read, what may be left out, and what is refused in which words."""

from pathlib import Path

import pytest

from cycleisp.utils.config import ConfigError
from cycleisp.utils.raw.sensor_noise.camera_files import IsoNoise, read_camera_file
from tests.support.paths import ROOT

PLAIN = "iso:\n  100: {shot_noise: 1.0e-4, read_noise: 1.0e-6}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "camera.yaml"
    path.write_text(text)
    return path


def test_numbers_and_one_a_site(tmp_path: Path) -> None:
    text = "iso:\n  800: {shot_noise: 1e-3, read_noise: [1e-6, 2.0e-6, 3e-6, 0], row_noise: 0}\n"
    noise = read_camera_file(written(tmp_path, text)).iso[800]
    assert noise.shot_noise == (1e-3,) * 4  # without a point 1e-3 is text to YAML 1.1
    assert noise.read_noise == (1e-6, 2e-6, 3e-6, 0)
    assert noise.row_noise == (0,) * 4
    assert noise.stated() == {"shot_noise", "read_noise", "row_noise"}


def test_a_key_at_the_top_holds_for_all_settings_that_do_not_have_it(tmp_path: Path) -> None:
    text = (
        "quantization_bits: 12\ntukey_lambda: [0.1, -0.2]\nhot_pixel_amplitude: 0.1\niso:\n"
        "  '100': {shot_noise: 1.0e-4, read_noise: 1.0e-6, hot_pixel_density: 0.001}\n"
        "  200.0: {shot_noise: 2.0e-4, read_noise: 1.0e-6, hot_pixel_density: 0.0, quantization_bits: 11.5}\n"
    )
    first, second = read_camera_file(written(tmp_path, text)).iso.values()
    assert (first.quantization_bits, second.quantization_bits) == (12, 11.5)
    assert first.tukey_lambda == second.tukey_lambda == (0.1, -0.2)


def test_the_example_of_the_documentation_has_every_key_and_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "conventions.md").read_text(encoding="utf-8")
    (example,) = (part.split("```")[0] for part in page.split("```yaml\n")[1:])
    noise = read_camera_file(written(tmp_path, example))
    assert all(setting.stated() == set(IsoNoise.model_fields) for setting in noise.iso.values())
    assert noise.scatter.read_noise == 0.5 and noise.poisson


def test_what_else_a_calibration_writes_is_not_used(tmp_path: Path) -> None:
    text = (
        "camera: {maker: Some, model: One}\nblack_level: [512, 512, 512, 512]\niso:\n"
        "  100: {shot_noise: 1.0e-4, read_noise: 1.0e-6, row_noise: 0, "
        "read_noise_error: 1.0e-8, hot_pixels: [[3, 7]]}\n"
    )
    assert read_camera_file(written(tmp_path, text)).iso.keys() == {100}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected keys and values"),
        ("- 3\n", "expected keys and values"),
        ("[", "not YAML"),
        ("shot_noise: 0.01\n", "has no key iso"),
        ("iso: {}\n", "iso"),
        ("iso: 100\n", "iso"),
        ("iso: {100: 5}\n", "iso.100"),
        ("iso: {0: {shot_noise: 0, read_noise: 0}}\n", "above 0"),
        ("iso: {fast: {shot_noise: 0, read_noise: 0}}\n", "iso.fast"),
        ("iso: {100: {shot_noise: 0.01}}\n", "iso.100.read_noise: Field required"),
        ("iso: {100: {shot_noise: 1.5, read_noise: 0}}\n", "iso.100.shot_noise.*variance in"),
        ("iso: {100: {shot_noise: -1, read_noise: 0}}\n", "iso.100.shot_noise.*variance in"),
        ("iso: {100: {shot_noise: .nan, read_noise: 0}}\n", "iso.100.shot_noise.*variance in"),
        ("iso: {100: {shot_noise: true, read_noise: 0}}\n", "iso.100.shot_noise.*variance in"),
        ("iso: {100: {shot_noise: much, read_noise: 0}}\n", "iso.100.shot_noise.*variance in"),
        ("iso: {100: {shot_noise: 0.1, read_noise: [0, 0, 0]}}\n", "iso.100.read_noise.*or four, of R, G_r, G_b, B"),
        (PLAIN + "tukey_lambda: -0.5\n", "tukey_lambda.*-0.3"),
        (PLAIN + "tukey_lambda: []\n", "tukey_lambda"),
        (PLAIN + "quantization_bits: 40\n", "quantization_bits"),
        (PLAIN + "hot_pixel_density: 0.1\n", "needs hot_pixel_amplitude"),
        (PLAIN + "dead_pixel_density: 2\n", "dead_pixel_density"),
        (PLAIN + "scatter: {read_noise: -1}\n", "scatter.read_noise"),
        (PLAIN + "scatter: {shot_noise: 1}\n", "scatter.shot_noise"),
        (PLAIN + "column_nois: 0.1\n", "unknown key column_nois; did you mean column_noise"),
        ("iso: {100: {shot_noise: 0.1, read_noise: 0, row_nose: 0}}\n", "did you mean row_noise"),
        (PLAIN + "  200: {shot_noise: 0.1, read_noise: 0, row_noise: 0}\n", "row_noise is stated at some"),
        ("iso: {100: {shot_noise: 0, read_noise: 0}, 100: {shot_noise: 0, read_noise: 0}}\n", "occurs 2 times"),
    ],
)
def test_anything_else_is_refused_in_one_line_that_names_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=words) as refused:
        read_camera_file(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
