"""Tags of DNG files come out as they are stored; what is damaged is left out."""

import struct
from pathlib import Path

import numpy as np
import pytest

from cycleisp.utils.raw.dng.tags import missing_bytes, read_tags
from tests.support.dng_layouts import NOISE_PROFILE, write_tagged_dng

MOSAIC = np.arange(32 * 48, dtype=np.uint16).reshape(32, 48)
ORDERS = pytest.mark.parametrize("byteorder", "<>")


def tiff(*entries: tuple[int, int, int, int], following: int = 0, size: int = 200) -> bytes:
    """Returns a TIFF of one directory at 8: code, type, count, value or offset of each tag."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", following)).ljust(size, b"\0")


@ORDERS
@pytest.mark.parametrize("preview", [False, True])
def test_each_tag_keeps_its_type_and_bytes(tmp_path: Path, byteorder: str, preview: bool) -> None:
    wanted = {
        NOISE_PROFILE: ("d", 2, (0.01, 4e-4)),
        50730: ("2i", 1, (-3, 2)),  # BaselineExposure
        51009: ("B", 6, bytes(range(6))),  # OpcodeList2
        271: ("s", 0, "Maker"),
    }
    tags = read_tags(write_tagged_dng(tmp_path / "a.dng", MOSAIC, wanted, preview, byteorder=byteorder))
    assert tags is not None and tags.byteorder == byteorder
    assert (tags.raw is tags.ifd0) != preview
    assert (tags.raw[256].numbers, tags.raw[257].numbers) == ((48,), (32,))
    assert tags.ifd0[256].numbers == ((24,) if preview else (48,))
    profile, exposure, opcodes, maker = (tags.raw[code] for code in wanted)
    assert (profile.type, profile.count, profile.numbers) == (12, 2, (0.01, 4e-4))
    assert profile.data == struct.pack(f"{byteorder}2d", 0.01, 4e-4)
    assert profile.little_endian() == struct.pack("<2d", 0.01, 4e-4)
    assert (exposure.type, exposure.numbers) == (10, (-1.5,))
    assert exposure.little_endian() == struct.pack("<2i", -3, 2)
    assert opcodes.data == opcodes.little_endian() == bytes(range(6))
    assert maker.text == "Maker" and maker.numbers == ()
    assert tags.find(NOISE_PROFILE) is profile and tags.find(50708) is tags.ifd0[50708] and tags.find(1) is None


def test_a_quotient_by_zero_is_no_number(tmp_path: Path) -> None:
    tags = read_tags(write_tagged_dng(tmp_path / "a.dng", MOSAIC, {50730: ("2i", 2, (1, 0, 1, 4))}))
    assert tags is not None
    first, second = tags.ifd0[50730].numbers
    assert np.isnan(first) and second == 0.25


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",  # a directory outside of the file
        tiff((256, 4, 1, 9)),  # no DNGVersion
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
    ids=len,
)
def test_what_is_no_dng_has_no_tags(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.dng").write_bytes(content)
    assert read_tags(tmp_path / "a.dng") is None
    assert missing_bytes(tmp_path / "a.dng") == 0
    assert read_tags(tmp_path / "absent.dng") is None


def test_a_damaged_directory_costs_its_tags_alone(tmp_path: Path) -> None:
    version = (50706, 1, 4, 0x0401)
    damaged = (
        (51041, 12, 2, 1000),  # outside of the file
        (51009, 7, 0xFFFFFFFF, 8),  # more bytes than there are
        (50730, 99, 1, 0),  # no such type
        (330, 4, 1, 8),  # a SubIFD that is this directory
        (34665, 4, 1, 0xFFFFFF00),  # EXIF outside of the file
        (34853, 4, 1, 8),  # GPS that is this directory
    )
    (tmp_path / "a.dng").write_bytes(tiff(version, *damaged, following=8))
    tags = read_tags(tmp_path / "a.dng")
    assert tags is not None and set(tags.ifd0) == {50706, 330, 34665, 34853}
    assert tags.ifd0[50706].data == bytes((1, 4, 0, 0)) and not tags.exif and not tags.gps


def test_values_that_many_tags_share_are_read_once_at_most(tmp_path: Path) -> None:
    """Ten thousand bytes of directory may not ask for gigabytes of values."""
    entries = [(50706, 1, 4, 0x0401), *((40000 + number, 7, 100_000, 0) for number in range(800))]
    (tmp_path / "a.dng").write_bytes(tiff(*entries, size=110_000))
    tags = read_tags(tmp_path / "a.dng")
    assert tags is not None and sum(len(tag.data) for tag in tags.ifd0.values()) <= 110_004


@ORDERS
@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("lost", [0, 1, 500])
def test_missing_bytes_are_counted(tmp_path: Path, byteorder: str, preview: bool, lost: int) -> None:
    path = write_tagged_dng(tmp_path / "a.dng", MOSAIC, {}, preview, byteorder=byteorder)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - lost])  # the mosaic is the last thing in the file
    assert missing_bytes(path) == lost
