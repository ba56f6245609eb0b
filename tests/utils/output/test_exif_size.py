"""The size in EXIF data."""

import pytest
from PIL import ExifTags, Image

from cycleisp.utils.output.exif_size import with_size


def exif(*, endian: str = "<") -> bytes:
    tags = Image.Exif()
    tags.endian = endian
    tags[ExifTags.Base.Make], tags[ExifTags.Base.ImageWidth] = "Maker", 6000
    tags.get_ifd(ExifTags.IFD.Exif).update({40962: 70000, 40963: 4000, 37500: b"note"})
    return tags.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("size", [(640, 480), (70000, 90000)])
def test_stated_sizes_become_those_of_the_picture_and_nothing_moves(endian: str, size: tuple[int, int]) -> None:
    before = exif(endian=endian)
    changed = with_size(before, *size)
    assert len(changed) == len(before)
    after = Image.Exif()
    after.load(changed)
    inner = after.get_ifd(ExifTags.IFD.Exif)
    assert (after[ExifTags.Base.ImageWidth], inner[40962], inner[40963]) == (size[0], *size)
    assert after[ExifTags.Base.Make] == "Maker" and inner[37500] == b"note"
    assert ExifTags.Base.ImageLength not in after  # what is not stated is not added


@pytest.mark.parametrize("content", [b"", b"II*\0", b"no TIFF at all", b"II*\0\xff\xff\xff\xff", exif()[:40]])
def test_damaged_data_stay_as_they_are(content: bytes) -> None:
    assert with_size(content, 5, 5) == content
