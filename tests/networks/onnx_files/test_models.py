"""ONNX Runtime computes what PyTorch computes: other sizes, batches, tiles.

PyTorch's exporter takes seconds for every file, however small. So one file holds all networks.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cycleisp.networks import (
    ColorCorrection,
    GuidedRaw2Rgb,
    Raw2Rgb,
    RawDenoiser,
    RawGatedDenoiser,
    Rgb2Raw,
    SrgbDenoiser,
    acceleration,
)
from cycleisp.networks.onnx_files import models
from cycleisp.networks.onnx_files.contracts import Contract, Port, contract_for, graph_for
from cycleisp.networks.onnx_files.origins import Origin
from cycleisp.utils.padding import pad_to_multiple
from tests.support.paths import ROOT

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason="ONNX files need the extra onnx: onnx, onnxscript and onnxruntime")

SMALL = {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 2}
NAMES = ("photos", "RAW", "RAW, stabilized, one level", "RAW, gated", "RGB2RAW", "RAW2RGB")
LEVEL = torch.tensor([[0.01, 0.02, 0.02, 0.01]]), torch.tensor([[0.0005]])


def gated() -> RawGatedDenoiser:
    """Builds a network whose blocks, which begin as the identity, do something."""
    torch.manual_seed(0)
    network = RawGatedDenoiser(4, (1, 1), (1,), 1).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith("scale"):
            parameter.fill_(0.5)
    return network


class All(nn.Module):
    """All networks behind one set of inputs, in the order of NAMES."""

    contract = Contract(
        "all of them",
        (Port("noisy", 4, 1, "RAW"), Port("variance", 4, 1, ""), Port("photo", 3, 1, ""), Port("reference", 3, 2, "")),
        tuple(Port(f"out{number}", 3, scale, "") for number, scale in enumerate((1, 1, 1, 1, 1, 2))),
        multiple=4,
        least=6,
    )

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.networks = nn.ModuleList(
            [
                SrgbDenoiser(**SMALL, unshuffle=2),
                RawDenoiser(**SMALL, unshuffle=4),
                RawDenoiser(**SMALL, stabilized=True),
                gated(),
                Rgb2Raw(**SMALL, unshuffle=2, companded=True),
                GuidedRaw2Rgb(Raw2Rgb(**SMALL, companded=True), ColorCorrection(**SMALL, unshuffle=2)),
            ]
        )
        levels = (None, None, LEVEL, None, None, None)
        pairs = zip(self.networks, levels, strict=True)
        self.graphs = nn.ModuleList(graph_for(network, level) for network, level in pairs)
        self.eval().requires_grad_(False)

    def forward(self, noisy: Tensor, variance: Tensor, photo: Tensor, reference: Tensor) -> tuple[Tensor, ...]:
        given = ((photo,), (noisy, variance), (noisy,), (noisy, variance), (reference,), (noisy, reference))
        return tuple(graph(*images) for graph, images in zip(self.graphs, given, strict=True))

    def plain(self, noisy: Tensor, variance: Tensor, photo: Tensor, reference: Tensor) -> list[NDArray[np.float32]]:
        """Runs the networks as they are used elsewhere: padded before, cropped after."""
        shot, read = (factor[..., None, None] for factor in LEVEL)
        at_level = shot * noisy + read
        given = ((photo,), (noisy, variance), (noisy, at_level), (noisy, variance), (reference,), (noisy, reference))
        with torch.no_grad(), acceleration.fast(enabled=False):
            return [as_elsewhere(network, images) for network, images in zip(self.networks, given, strict=True)]


def as_elsewhere(network: nn.Module, images: Sequence[Tensor]) -> NDArray[np.float32]:
    multiple, (height, width) = getattr(network, "multiple", 1), images[-1].shape[2:]
    return network(*(pad_to_multiple(image, multiple) for image in images))[..., :height, :width].numpy()


def content_of(graph: nn.Module, contract: Contract, tile: int | None = None) -> bytes:
    known = models.facts(contract, Origin("tiny", "0" * 64, licence="CC0-1.0"), "Tiny", tile, half=False)
    return models.to_bytes(models.to_model(graph, contract, tile), known)


def results(content: bytes, inputs: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    session = models.open_session(content)
    names = [given.name for given in session.get_inputs()]
    return session.run(None, {name: image.numpy() for name, image in zip(names, inputs, strict=True)})


def test_files_for_any_size_compute_what_pytorch_does() -> None:
    networks = All()
    content = content_of(networks, networks.contract)
    for batch, height, width in ((1, 37, 45), (3, 12, 19), (2, 9, 8)):
        inputs = networks.contract.example(batch, height, width)
        for name, found, expected in zip(NAMES, results(content, inputs), networks.plain(*inputs), strict=True):
            assert found.dtype == np.float32 and found.shape == expected.shape, name
            assert np.abs(found - expected).max() <= 1e-4, name


def test_tiles_with_the_halo_are_the_whole_image() -> None:
    """The function in the guide cuts tiles as the contract says. The file says what it is."""
    network = gated()
    contract = contract_for(network)
    tile = 2 * network.halo + 8
    session = models.open_session(content_of(graph_for(network), contract, tile))
    noisy, variance = contract.example(1, tile + 21, 2 * tile - 5)
    guide = Path(ROOT, "docs", "guides", "onnx.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import numpy.*?)```", guide, re.DOTALL)
    names: dict[str, Callable[..., Any]] = {}
    exec(compile(code, "docs/guides/onnx.md", "exec"), names)  # type: ignore[arg-type]

    def run(*tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        assert all(one.shape[2:] == (tile, tile) for one in tiles)
        return models.run(session, [torch.from_numpy(np.ascontiguousarray(one)) for one in tiles])

    found = names["in_tiles"](run, [noisy.numpy(), variance.numpy()], tile, network.multiple, network.halo)
    with torch.no_grad(), acceleration.fast(enabled=False):
        assert np.abs(found - as_elsewhere(network, (noisy, variance))).max() <= 1e-4
    said = session.get_modelmeta().custom_metadata_map
    assert (said["licence"], said["weights_sha256"], said["opset"]) == ("CC0-1.0", "0" * 64, "18")
    assert said["halo"] == str(network.halo) and "RGGB" in said["input.noisy"]
    assert [given.shape for given in session.get_inputs()] == [[1, 4, tile, tile]] * 2


def test_a_file_says_nothing_of_the_machine_that_made_it() -> None:
    import onnx

    node = onnx.helper.make_node("Relu", ["a"], ["b"], doc_string=str(ROOT))
    node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=f'File "{ROOT}/networks/blocks.py"')
    a, b = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "ab")
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "graph", [a], [b]))
    assert str(ROOT).encode() in model.SerializeToString()
    models.remove_notes(model)
    assert str(ROOT).encode() not in model.SerializeToString()
