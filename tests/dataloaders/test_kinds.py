"""The kind of a file is found by its content, whatever its name, and however damaged it is."""

import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cycleisp.dataloaders.kinds import kind_of, mosaic_size
from cycleisp.dataloaders.sources import Source
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png, write_raw_behind_thumbnail

MAKE = [(271, "s", 0, "Canon", False), (272, "s", 0, "EOS 5D", False)]
HEADS = {
    b"\xff\xd8\xff\xe1": "photo",
    b"\x89PNG\r\n\x1a\n": "photo",
    b"RIFF\x10\0\0\0WEBPVP8 ": "photo",
    b"\0\0\0\x18ftypheic\0\0\0\0mif1heic": "photo",
    b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1": "photo",
    b"FUJIFILMCCD-RAW 0201": "raw",
    b"\0\0\0\x18ftypcrx \0\0\0\1crx isom": "raw",
    b"II\x1a\0\0\0HEAPCCDR": "raw",
    b"IIU\0\x18\0\0\0": "raw",
    b"IIRO\x08\0\0\0": "raw",
    b"IIRS\x08\0\0\0": "raw",
    b"MMOR\0\0\0\x08": "raw",
    b"II*\0\x10\0\0\0CR\2\0": "raw",
    b"II*\0\x08\0\0\0IIII": "raw",
    b"FOVb\0\0\2\0": "raw",
    b"\0MRM\0\0\1\0": "raw",
    b"\0\0\0\x18ftypisom\0\0\0\0mp42": "unknown",
    b"RIFF\x10\0\0\0WAVEfmt ": "unknown",
    b"II*\0": "unknown",
    b"": "unknown",
    b"text": "unknown",
}


@pytest.mark.parametrize("head", HEADS)
def test_the_first_bytes_tell(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "file").write_bytes(head + bytes(64) if head else b"")
    assert kind_of(tmp_path / "file") == HEADS[head]


@pytest.mark.parametrize("name", ["a.dng", "a.TIF", "a.jpg", "no suffix"])
def test_a_camera_file_is_one_under_any_name(tmp_path: Path, name: str) -> None:
    path = write_dng(tmp_path / name, random_mosaic(32, 40))
    assert kind_of(path) == "raw"
    assert Source(path, "a").space == "raw"


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_a_colour_filter_makes_a_camera_file_in_every_kind_of_tiff(tmp_path: Path, order: str, big: bool) -> None:
    tifffile.imwrite(tmp_path / "a.tif", random_mosaic(32, 40), photometric=32803, byteorder=order, bigtiff=big)
    tifffile.imwrite(tmp_path / "b.tif", random_picture(32, 40), photometric="rgb", byteorder=order, bigtiff=big)
    assert [kind_of(tmp_path / name) for name in ("a.tif", "b.tif")] == ["raw", "tiff"]


@pytest.mark.parametrize("name", [b"old.tif", b"caf\xe9.tif"], ids=["ASCII", "Latin-1"])
def test_libraw_reads_a_file_of_any_name(tmp_path: Path, name: bytes) -> None:
    """LibRaw takes names in UTF-8 only, and some old cameras' files are told by LibRaw alone."""
    path = write_dng(tmp_path / os.fsdecode(name), random_mosaic(64, 80))
    assert mosaic_size(path) == (80, 64)


def test_a_mosaic_behind_a_thumbnail_is_found(tmp_path: Path) -> None:
    path = write_raw_behind_thumbnail(tmp_path / "EOS1D.TIF", random_mosaic(64, 80))
    assert kind_of(path) == "raw"
    with Image.open(path) as image:
        assert image.size == (16, 16)  # what a reader of photos would take for the photo


@pytest.mark.parametrize("side", [32, 900])
def test_an_exported_photo_that_names_its_camera_stays_a_photo(tmp_path: Path, side: int) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, random_picture(side, side + 2), photometric="rgb", extratags=MAKE)
    with tifffile.TiffWriter(path, append=True) as file:
        file.write(random_picture(16, 16), photometric="rgb", subfiletype=1)
    assert kind_of(path) == "tiff"
    assert Source(path, "a").space == "srgb"


def test_names_decide_where_the_content_does_not(tmp_path: Path) -> None:
    (tmp_path / "a.dng").write_bytes(b"garbage")
    (tmp_path / "b.png").write_bytes(b"garbage")
    tifffile.imwrite(tmp_path / "old.nef", random_picture(8, 8), photometric="rgb")
    write_png(tmp_path / "photo.dng", random_picture(8, 8))
    spaces = {
        name: Source(tmp_path / name, "x").space for name in ("a.dng", "b.png", "old.nef", "photo.dng", "gone.dng")
    }
    assert spaces == {"a.dng": "raw", "b.png": "srgb", "old.nef": "raw", "photo.dng": "srgb", "gone.dng": "raw"}


def test_damaged_directories_end_the_search_and_nothing_else(tmp_path: Path) -> None:
    content = write_raw_behind_thumbnail(tmp_path / "a.tif", random_mosaic(32, 40)).read_bytes()
    rng, path = random.Random(0), tmp_path / "b.tif"
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 12)):
            damaged[rng.randrange(400)] = rng.randrange(256)
        path.write_bytes(damaged[: rng.randint(8, len(damaged))])
        assert kind_of(path) in ("raw", "tiff", "photo", "unknown")
    loop = struct.pack("<4sIHHHIII", b"II*\0", 8, 1, 330, 4, 1, 8, 8)  # a directory below itself, and behind itself
    path.write_bytes(loop)
    assert kind_of(path) == "tiff"


def test_16_bits_of_grey_are_a_photo(tmp_path: Path) -> None:
    """LibRaw opens some of them as if they were camera files."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint16), photometric="minisblack", extratags=MAKE)
    assert kind_of(tmp_path / "a.tif") == "tiff"
