"""Weight files: round trips, shared tensors, and clear refusals.

Files in the released layout have tests of their own in tests/networks/test_released_weights.py.
"""

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from cycleisp.networks import CycleISP, Rgb2Raw, SrgbDenoiser
from cycleisp.networks.pretrained import build, find_weights, load_network
from cycleisp.utils.weights.conversion import halve
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import load_weights, read_metadata, read_tensors, save_tensors, save_weights
from cycleisp.utils.weights.formats.released_files import read_released, write_released

SIZES = {"rgb2raw": {"width": 8, "num_groups": 1, "num_blocks": 2, "reduction": 4, "unshuffle": 2}}


def saved(path: Path, seed: int = 0) -> tuple[nn.Module, Path]:
    torch.manual_seed(seed)
    network = build("Rgb2Raw", SIZES)
    save_weights(path, network, {"network": "Rgb2Raw", "sizes": SIZES, "step": 7})
    return network, path


def test_round_trip_with_the_shared_prelu_stored_once(tmp_path: Path) -> None:
    network, path = saved(tmp_path / "a.safetensors")
    with torch.no_grad():
        network.activation.weight.uniform_(0, 1)
    save_weights(path, network, {"network": "Rgb2Raw", "sizes": SIZES})
    other = build("Rgb2Raw", SIZES)
    load_weights(other, path)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert path.stat().st_size < 4 * parameters + 20_000


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    network, path = saved(tmp_path / "a.safetensors")
    assert read_metadata(path) == {"network": "Rgb2Raw", "sizes": SIZES, "step": 7}
    loaded = load_network(path, Rgb2Raw)
    photo = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        assert torch.equal(loaded(photo), network(photo))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_another_network_is_refused(tmp_path: Path) -> None:
    _, path = saved(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="holds a Rgb2Raw, a CycleISP is needed"):
        load_network(path, CycleISP)
    with pytest.raises(WeightsError, match=r"a\.safetensors.*not the weights of this SrgbDenoiser|has shape"):
        load_weights(SrgbDenoiser(width=8, num_groups=1, num_blocks=2, reduction=4), path)


def test_missing_and_unknown_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weight file"):
        load_weights(Rgb2Raw(), tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="neither a file nor shipped weights; shipped are"):
        find_weights("never_trained")
    odd = tmp_path / "weights.txt"
    odd.write_text("no weights")
    with pytest.raises(WeightsError, match=r"expected \.safetensors or \.pth"):
        load_weights(Rgb2Raw(), odd)


@pytest.mark.parametrize("keep", [0, 5, 200, 0.5, 0.99])
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: float, suffix: str) -> None:
    network, path = saved(tmp_path / "a.safetensors")
    if suffix == "pth":
        path = tmp_path / "a.pth"
        torch.save({"state_dict": network.state_dict()}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(WeightsError, match=rf"a\.{suffix}.*(get it again|damaged)"):
        load_weights(network, path)


def test_the_older_format_of_pytorch_is_read(tmp_path: Path) -> None:
    """The released files are of 2020 and may have the format of that time."""
    path = tmp_path / "old.pth"
    state = {"module.head.0.weight": torch.arange(6.0).reshape(2, 3)}
    torch.save({"state_dict": state, "epoch": 3}, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_released(path)["head.0.weight"], state["module.head.0.weight"])
    assert read_metadata(path) == {}
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(WeightsError, match=r"old\.pth: .*(get it again|damaged)"):
        read_released(path)


def test_metadata_and_tensors_of_either_kind_of_file(tmp_path: Path) -> None:
    tensors, said = {"a": torch.rand(2, 3)}, {"network": "Rgb2Raw", "sizes": SIZES, "source": {"file": "x.pth"}}
    save_tensors(tmp_path / "a.safetensors", tensors, said)
    write_released(tmp_path / "a.pth", tensors, {**said, "epoch": 3})
    for path, read in ((tmp_path / "a.safetensors", read_tensors), (tmp_path / "a.pth", read_released)):
        assert read_metadata(path) == said
        assert torch.equal(read(path)["a"], tensors["a"])
        assert path.stat().st_mode & 0o777 == 0o644


class _Exploit:
    """An object whose unpickling would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("plain_pickle", [False, True])
def test_code_in_a_pickle_is_refused_and_never_runs(tmp_path: Path, plain_pickle: bool) -> None:
    target, path = tmp_path / "owned", tmp_path / "evil.pth"
    content = {"state_dict": {"head.0.weight": torch.zeros(1)}, "epoch": _Exploit(target)}
    if plain_pickle:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(WeightsError, match=r"evil\.pth: refused"):
        load_weights(Rgb2Raw(), path)
    assert not target.exists()


def test_a_dict_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "numbers.pth"
    torch.save({"state_dict": {"a": 1}}, path)
    with pytest.raises(WeightsError, match="expected a dict with `state_dict`"):
        load_weights(Rgb2Raw(), path)


# ---------------------------------------------------------------- half the bytes


def test_halved_weights_are_half_as_large_and_nearly_the_same(tmp_path: Path) -> None:
    network, path = saved(tmp_path / "whole.safetensors")
    said = halve(path, tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * path.stat().st_size
    assert "of the largest" in said
    assert read_metadata(tmp_path / "half.safetensors") == read_metadata(path)
    other, _ = saved(tmp_path / "other.safetensors", seed=1)
    load_weights(other, tmp_path / "half.safetensors")
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert theirs.dtype == torch.float32
        assert (mine - theirs).abs().max() <= mine.abs().max() * 2**-11 + 1e-7  # float16 has 11 bits


def test_what_cannot_be_halved_is_refused(tmp_path: Path) -> None:
    network, path = saved(tmp_path / "whole.safetensors")
    with pytest.raises(WeightsError, match="expected two"):
        halve(path, tmp_path / "half.pth")
    with pytest.raises(WeightsError, match="exists"):
        halve(path, path)
    with torch.no_grad():
        next(network.parameters()).fill_(1e6)
    save_weights(path, network, {})
    with pytest.raises(WeightsError, match="float16 ends at 65504"):
        halve(path, tmp_path / "half.safetensors")
    assert not (tmp_path / "half.safetensors").exists()
