"""The container of our weights: equal bytes for equal content, and a checksum of it."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import read_metadata, read_tensors, save_tensors
from cycleisp.utils.weights.formats.released_files import write_released
from cycleisp.utils.weights.formats.safetensors_files import CHECKSUM, read_stored

METADATA = {"network": "Rgb2Raw", "sizes": {"rgb2raw": {"width": 8}}, "step": 7, "version": "1", "training": None}


def tensors() -> dict[str, torch.Tensor]:
    return {
        "head.weight": torch.arange(8.0).reshape(2, 4) / 3,
        "head.bias": torch.tensor([0.5, 0.25]).half(),
        "none": torch.zeros(0, 3),
        "slope": torch.tensor(0.1),
    }


def saved(path: Path) -> Path:
    save_tensors(path, tensors(), METADATA)
    return path


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    """The library's order of metadata comes from hashes that differ from file to file."""
    contents = {saved(tmp_path / f"{number}.safetensors").read_bytes() for number in range(9)}
    turned = {key: METADATA[key] for key in reversed(METADATA)}
    save_tensors(tmp_path / "turned.safetensors", dict(reversed(tensors().items())), turned)
    assert contents == {(tmp_path / "turned.safetensors").read_bytes()}


def test_equal_content_gives_equal_bytes_in_the_released_layout(tmp_path: Path) -> None:
    """PyTorch stores the name of the file in it, if it is told."""
    for name in ("one.pth", "another.pth"):
        write_released(tmp_path / name, tensors(), METADATA)
    assert (tmp_path / "one.pth").read_bytes() == (tmp_path / "another.pth").read_bytes()


def test_any_program_reads_what_is_written(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    length = int.from_bytes(path.read_bytes()[:8], "little")
    assert length % 8 == 0  # the data are aligned
    found = safetensors.torch.load_file(path)
    assert found.keys() == tensors().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors().items())
    with safetensors.safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["step"]) == 7
        assert len(file.metadata()[CHECKSUM]) == 64


def test_every_flipped_bit_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    content = bytearray(path.read_bytes())
    right, said = read_tensors(path), read_metadata(path)
    harmless = 0
    for bit in range(0, 8 * len(content), 3):
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        content[bit // 8] ^= 1 << bit % 8
        try:
            found = read_tensors(path)
        except WeightsError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
            continue
        harmless += 1
        assert read_metadata(path) == said, bit
        assert found.keys() == right.keys()
        assert all(torch.equal(found[name], right[name]) for name in right), bit
    assert harmless < 8 * 64  # those in the name of the checksum, and in spaces


def test_a_file_without_checksum_is_read_and_one_written_anew_by_others_too(tmp_path: Path) -> None:
    header = {"network": json.dumps("Rgb2Raw")}
    safetensors.torch.save_file(tensors(), tmp_path / "plain.safetensors", metadata=header)
    assert read_metadata(tmp_path / "plain.safetensors") == {"network": "Rgb2Raw"}
    with safetensors.safe_open(saved(tmp_path / "a.safetensors"), framework="pt") as file:
        kept = file.metadata()
    safetensors.torch.save_file(tensors(), tmp_path / "again.safetensors", metadata=kept)
    assert read_stored(tmp_path / "again.safetensors").tensors.keys() == tensors().keys()
    changed = {**tensors(), "slope": torch.tensor(0.2)}
    safetensors.torch.save_file(changed, tmp_path / "changed.safetensors", metadata=kept)
    with pytest.raises(WeightsError, match=r"does not match the checksum.*another program has changed it"):
        read_stored(tmp_path / "changed.safetensors")


def with_header(path: Path, header: str, data: bytes = b"\0" * 8, length: int | None = None) -> Path:
    text = header.encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


TENSOR = '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
ODD_HEADERS = {
    "absurd length": ("{" + TENSOR + "}", 1 << 62),
    "no JSON": ("{" + TENSOR, None),
    "a list": ("{[1,2]}", None),
    "twice": ("{" + TENSOR + "," + TENSOR + "}", None),
    "metadata are a number": ('{"__metadata__":7,' + TENSOR + "}", None),
    "metadata hold a number": ('{"__metadata__":{"network":7},' + TENSOR + "}", None),
    "deep": ('{"__metadata__":' + '{"a":' * 20000 + "1" + "}" * 20001 + "}", None),
    "negative side": ('{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', None),
    "huge side": ('{"a":{"dtype":"F32","shape":[1' + "0" * 5000 + '],"data_offsets":[0,8]}}', None),
    "beyond the end": ('{"a":{"dtype":"F32","shape":[4000000000],"data_offsets":[0,16000000000]}}', None),
    "turned offsets": ('{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}', None),
    "unknown type": ('{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}', None),
    "no offsets": ('{"a":{"dtype":"F32","shape":[2]}}', None),
    "a tensor is a number": ('{"a":7}', None),
    "null": ("null    ", None),
}


@pytest.mark.parametrize("case", ODD_HEADERS)
def test_an_impossible_header_is_one_error(tmp_path: Path, case: str) -> None:
    header, length = ODD_HEADERS[case]
    path = with_header(tmp_path / "a.safetensors", header, length=length)
    for read in (read_tensors, read_metadata):
        with pytest.raises(WeightsError, match=r"a\.safetensors: .*get it again") as error:
            read(path)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 700


@pytest.mark.parametrize("value", ["no JSON", "[" * 20000, "9" * 5000, '"\\ud800'])
def test_metadata_of_others_under_our_names_are_one_error(tmp_path: Path, value: str) -> None:
    safetensors.torch.save_file(tensors(), tmp_path / "a.safetensors", metadata={"sizes": value})
    with pytest.raises(WeightsError, match=r"a\.safetensors: .*its header is none of ours"):
        read_metadata(tmp_path / "a.safetensors")


def test_another_layout_under_this_name_is_told(tmp_path: Path) -> None:
    write_released(tmp_path / "a.safetensors", tensors(), {})
    with pytest.raises(WeightsError, match=r"rename it to \.pth"):
        read_tensors(tmp_path / "a.safetensors")
