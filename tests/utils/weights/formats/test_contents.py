"""What lies under a weight file's name, and is none."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from cycleisp.networks import SrgbDenoiser
from cycleisp.networks.pretrained import load_any, load_network
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import save_tensors
from cycleisp.utils.weights.formats.contents import layout_of
from denoise import main as denoise
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import call_script, error_line

PAGE = b"\xef\xbb\xbf\n <!DOCTYPE html><html><head><title>Google Drive -\n Quota &amp; more\x1b</title></head></html>"


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.pth"), io.BytesIO())
    return stream.getvalue()


CONTENTS = {
    "web page": (PAGE, r"is a web page \('Google Drive - Quota & more'\), no weights .*get the file itself"),
    "web page without title": (b"<html>quota</html>", "is a web page, no weights"),
    "XML of a bucket": (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "is a web page"),
    "empty": (b"", "is empty .*get it again"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
    "annex pointer": (b"/annex/objects/SHA256E-s1--00.pth\n", "git annex get"),
    "JSON": (b'{"error": {"code": 404}}', "is JSON text .*get the file itself"),
    "text": (b"404: Not Found\n", "is text, no weights"),
    "gzip": (gzip.compress(bytes(9)), "gzip; unpack it"),
    "bzip2": (bz2.compress(bytes(9)), "bzip2; unpack it"),
    "xz": (lzma.compress(bytes(9)), "xz; unpack it"),
    "tar": (tarred(), "is a tar archive; unpack it"),
    "zip of weights": (zipped(folder__a_dot_pth=b"x"), r"is a zip archive that holds 'folder/a\.pth'; unpack it"),
    "zip of other things": (zipped(a_dot_txt=b"x"), r"is a zip archive of something else \('a\.txt'\)"),
    "empty zip": (zipped(), "is an empty zip archive"),
    "TorchScript": (zipped(a__data_dot_pkl=b"", a__constants_dot_pkl=b""), "is a TorchScript program"),
    "ONNX": (b"\x08\x08\x12\x07pytorch\x1a\x052.4.0", "is an ONNX model"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "is an HDF5 file"),
    "JPEG": (b"\xff\xd8\xff\xe0" + bytes(99), "is a JPEG picture"),
    "DNG": (b"II*\x00" + bytes(99), "is a TIFF or RAW picture"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("case", CONTENTS)
def test_what_is_no_weight_file_is_named(tmp_path: Path, case: str, suffix: str) -> None:
    content, words = CONTENTS[case]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    for load in (load_any, lambda path: load_network(path, SrgbDenoiser)):
        with pytest.raises(WeightsError, match=rf"a{suffix}: {words}" if "is" in words[:3] else words) as error:
            load(path)
        assert str(error.value).startswith(f"{path}: ")
        assert str(error.value).isprintable()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_script_says_that_it_is_a_web_page(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(PAGE)
    photo = write_png(tmp_path / "photo.png", random_picture(8, 8))
    result = call_script(denoise, photo, "--output", tmp_path / "out", "--weights", tmp_path / f"a{suffix}")
    assert "is a web page" in error_line(result)
    assert not (tmp_path / "out").exists()


def test_layouts_are_told_by_content_and_suffixes_may_be_capitals(tmp_path: Path) -> None:
    state = {"a": torch.zeros(2)}
    torch.save(state, tmp_path / "a.PTH")
    torch.save(state, tmp_path / "b.pth", _use_new_zipfile_serialization=False)
    save_tensors(tmp_path / "c.SafeTensors", state, {})
    assert [layout_of(path) for path in sorted(tmp_path.iterdir())] == ["zip", "pickle", "safetensors"]


def test_a_folder_and_a_pipe_are_no_weight_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weight file"):
        layout_of(tmp_path)
    with pytest.raises(WeightsError, match="no such weight file"):
        layout_of(Path("/dev/zero"))
