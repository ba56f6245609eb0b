"""Camera files in, denoised DNG and PNG out: what raw converters and viewers make of them."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cycleisp.dataloaders.results.denoised_raw import RawFileDenoiser
from cycleisp.utils.orientation import ORIENTATIONS, upright
from cycleisp.utils.raw.camera_files import read_raw, render_with_libraw
from cycleisp.utils.raw.dng.tags import read_tags
from cycleisp.utils.raw.noise import FixedNoise
from tests.support.camera_files import BLACK, PENTAX, vignetted_scene, write_camera_raw, write_phone_dng
from tests.support.dng_layouts import write_tagged_dng
from tests.support.paths import shared
from tests.support.pictures import random_mosaic

NOISE = FixedNoise(1e-3, 1e-5)


def unchanged(path: Path) -> tuple[Path, bytes]:
    """Passes a camera file through a denoiser that changes nothing; returns its DNG and its PNG."""
    result = path.parent / "out" / f"{path.stem}.dng"
    return result, RawFileDenoiser(lambda packed, variance: packed, NOISE).write(path, result)


# ---------------------------------------------------------------- raw converters


def dcraw(path: Path, folder: Path) -> NDArray:
    """Returns dcraw's rendering with the camera's white balance."""
    if shutil.which("dcraw") is None:
        pytest.skip("dcraw is not installed")
    done = subprocess.run(["dcraw", "-c", "-T", "-6", "-w", str(path)], capture_output=True, check=True, timeout=60)
    return tifffile.imread(io.BytesIO(done.stdout))


def rawtherapee(path: Path, folder: Path) -> NDArray:
    """Returns RawTherapee's rendering with its neutral profile."""
    if shutil.which("rawtherapee-cli") is None:
        pytest.skip("rawtherapee-cli is not installed")
    rendered = folder / f"{path.parent.name}_{path.stem}.tif"
    command = ["rawtherapee-cli", "-o", str(rendered), "-t", "-b16", "-Y", "-c", str(path)]
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin:/usr/local/bin"}  # nobody's own settings
    subprocess.run(command, capture_output=True, check=True, timeout=120, env=environment)
    return tifffile.imread(rendered)


def libraw(path: Path, folder: Path) -> NDArray:
    """Returns LibRaw's rendering with its automatic brightness and white level."""
    with rawpy.imread(str(path)) as raw:
        return raw.postprocess(use_camera_wb=True, output_bps=16)


CONVERTERS = pytest.mark.parametrize("develop", [dcraw, rawtherapee, libraw])


def write_pentax(path: Path) -> Path:
    levels, _ = vignetted_scene(320, 400)
    wide = 4 * np.maximum(levels, BLACK) - 4 * BLACK
    return write_camera_raw(path.with_suffix(".pef"), wide.astype(np.uint16), camera=PENTAX)


@CONVERTERS
@pytest.mark.parametrize("write", [write_phone_dng, write_pentax], ids=["DNG of a phone", "format of a camera"])
def test_the_result_develops_as_its_source(tmp_path: Path, develop, write) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a.dng")
    before, after = (develop(file, tmp_path).astype(float) for file in (path, unchanged(path)[0]))
    assert after.shape == before.shape
    np.testing.assert_allclose(after.mean(axis=(0, 1)), before.mean(axis=(0, 1)), rtol=0.01)
    assert before.mean() > 2000  # of 65535: there is a picture


def test_exiftool_finds_the_same(tmp_path: Path) -> None:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    names = (
        "Make", "Model", "UniqueCameraModel", "Software", "Artist", "Copyright", "ModifyDate", "Orientation",
        "DNGVersion", "ColorMatrix1", "ColorMatrix2", "CalibrationIlluminant1", "CalibrationIlluminant2",
        "AsShotNeutral", "AnalogBalance", "BaselineExposure", "BaselineExposureOffset", "LinearResponseLimit",
        "ProfileName", "ProfileToneCurve", "DefaultScale", "DefaultCropOrigin", "DefaultCropSize",
        "DefaultUserCrop", "OpcodeList1", "OpcodeList2", "OpcodeList3", "OriginalRawFileName", "ExposureTime",
        "ISO", "DateTimeOriginal", "SerialNumber", "LensInfo", "LensModel", "GPSLatitude", "GPSLatitudeRef",
        "GPSAltitudeRef", "CFAPattern", "XMPToolkit",
    )  # fmt: skip
    path = write_phone_dng(tmp_path / "a.dng")
    found = []
    for file in (path, unchanged(path)[0]):
        command = ["exiftool", "-json", *(f"-{name}" for name in names), str(file)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        found.append({name: value for name, value in json.loads(done.stdout)[0].items() if name != "SourceFile"})
    assert found[0] == found[1]
    assert len(found[0]) >= len(names) - 2
    checked = subprocess.run(["exiftool", "-validate", "-warning", "-a", str(unchanged(path)[0])], capture_output=True)
    assert b"Error" not in checked.stdout


# ---------------------------------------------------------------- the rendering


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_picture_stands_upright_as_libraw_shows_the_source(tmp_path: Path, orientation: int) -> None:
    path = write_tagged_dng(tmp_path / "a.dng", random_mosaic(32, 48), {274: ("H", 1, orientation)})
    _, png = unchanged(path)
    shown = np.asarray(Image.open(io.BytesIO(png)))
    with rawpy.imread(str(path)) as raw:
        expected = raw.postprocess(use_camera_wb=True, no_auto_bright=True, adjust_maximum_thr=0.0)
    assert shown.shape == expected.shape
    inside = np.s_[4:-4, 4:-4]  # borders are demosaicked from what there is
    assert np.abs(shown[inside].astype(int) - expected[inside]).mean() < 1
    np.testing.assert_array_equal(shown, upright(render_with_libraw(path), orientation))


def test_the_picture_has_exif_and_a_profile(tmp_path: Path) -> None:
    _, png = unchanged(write_phone_dng(tmp_path / "a.dng"))
    with Image.open(io.BytesIO(png)) as image:
        tags = image.getexif()
        exif, gps = (tags.get_ifd(place) for place in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo))
        assert image.info["icc_profile"]
        assert (tags[ExifTags.Base.Make], tags[ExifTags.Base.Model]) == ("Maker", "Model 7")
        assert tags[ExifTags.Base.Orientation] == 1
    assert exif[ExifTags.Base.LensModel] == "A Lens 24-70mm" and exif[ExifTags.Base.ISOSpeedRatings] == 3200
    assert exif[ExifTags.Base.ColorSpace] == 1  # sRGB now, whatever the camera was set to
    assert gps[ExifTags.GPS.GPSLatitudeRef] == "N"


def test_a_white_level_that_only_libraw_knows_renders_the_same(tmp_path: Path) -> None:
    path = write_camera_raw(tmp_path / "a.arw", vignetted_scene(320, 400)[0])
    result, png = unchanged(path)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), render_with_libraw(path))
    np.testing.assert_array_equal(read_raw(result).mosaic, read_raw(path).mosaic)


# ---------------------------------------------------------------- sidecars


def test_sidecars_are_copied_under_the_name_of_the_result(tmp_path: Path) -> None:
    path = write_phone_dng(tmp_path / "IMG_1.DNG")
    (tmp_path / "IMG_1.xmp").write_text("of Adobe's programs")
    (tmp_path / "IMG_1.DNG.xmp").write_text("of darktable")
    result, _ = unchanged(path)
    assert result.with_suffix(".xmp").read_text() == "of Adobe's programs"
    assert result.with_name("IMG_1.dng.xmp").read_text() == "of darktable"


def test_a_sidecar_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    path = write_phone_dng(tmp_path / "a.dng")
    (tmp_path / "a.XMP").write_text("of the source")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.xmp").write_text("edited")
    unchanged(path)
    assert (tmp_path / "out" / "a.xmp").read_text() == "edited"


def test_a_sidecar_beyond_the_limit_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_phone_dng(tmp_path / "a.dng")
    with (tmp_path / "a.xmp").open("wb") as file:
        file.truncate(1 << 34)  # a hole, which takes no place
    result, _ = unchanged(path)
    assert "a.xmp: the sidecar is not copied" in caplog.text
    assert result.is_file() and not result.with_suffix(".xmp").exists()


# ---------------------------------------------------------------- the given case


def test_the_given_phone_dng_keeps_its_gain_map_and_its_exposure(tmp_path: Path) -> None:
    path = shared("cases/dng-opcodes/phone_gainmap.dng")
    result = tmp_path / "result.dng"
    RawFileDenoiser(lambda packed, variance: packed, NOISE).write(path, result)
    before, after = read_tags(path), read_tags(result)
    assert before is not None and after is not None
    for code in (271, 272, 50708, 50721, 50728, 50730, 50778, 51009):
        assert after.ifd0[code] == before.ifd0[code]


@pytest.mark.parametrize("orientation", [1, 2, 5])
def test_the_given_mirrored_files_come_out_mirrored(tmp_path: Path, orientation: int) -> None:
    path = shared(f"cases/raw-mirrored/orient{orientation}.dng")
    result = tmp_path / "result.dng"
    png = RawFileDenoiser(lambda packed, variance: packed, NOISE).write(path, result)
    tags = read_tags(result)
    assert tags is not None and tags.ifd0[274].numbers == (orientation,)
    with rawpy.imread(str(path)) as raw:
        expected = raw.postprocess(use_camera_wb=True, no_auto_bright=True, adjust_maximum_thr=0.0)
    shown = np.asarray(Image.open(io.BytesIO(png)))
    assert shown.shape == expected.shape and np.abs(shown[4:-4, 4:-4].astype(int) - expected[4:-4, 4:-4]).mean() < 1
