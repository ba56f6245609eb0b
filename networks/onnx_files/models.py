"""Makes ONNX models with PyTorch's exporter, writes facts into them, compares them with PyTorch.

Nothing of the machine that exports a model goes into it: PyTorch's notes on where each operation
stands in the source code are removed.
"""

import json
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cycleisp import __version__
from cycleisp.networks import acceleration
from cycleisp.networks.onnx_files.contracts import Contract
from cycleisp.networks.onnx_files.origins import Origin

if TYPE_CHECKING:  # of an extra, which need not be installed
    from onnx import ModelProto
    from onnxruntime import InferenceSession

# The first with all operations that PyTorch's exporter writes, so that no conversion follows; ONNX
# Runtime reads it since 1.14.
OPSET = 18


def to_model(graph: nn.Module, contract: Contract, tile: int | None = None) -> "ModelProto":
    """Exports a graph.

    Args:
        graph: of `contracts.graph_for`, on the CPU.
        contract: of the same network.
        tile: the side of the first input, which becomes the only one, for one image at a time. None
            takes batches of images of any size.
    """
    if tile is None:
        example, shapes = contract.example(2, contract.least + 20, contract.least + 25), contract.any_size()
    else:
        side = tile // contract.inputs[0].scale
        example, shapes = contract.example(1, side, side), None
    # With gradients switched on, though none are asked for: without them the networks overwrite
    # features, row by row, which a graph cannot tell.
    with torch.enable_grad(), _quiet():
        program = torch.onnx.export(
            graph,
            example,
            input_names=[port.name for port in contract.inputs],
            output_names=[port.name for port in contract.outputs],
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    remove_notes(model)
    values, ports = (*model.graph.input, *model.graph.output), (*contract.inputs, *contract.outputs)
    for value, port in zip(values, ports, strict=True):
        value.doc_string = port.meaning
        if tile is None:  # of a result PyTorch only says by which sum it found the size
            sides = ("height", "width") if port.scale == 1 else (f"{port.scale}*height", f"{port.scale}*width")
            for dim, name in zip(value.type.tensor_type.shape.dim[2:], sides, strict=True):
                dim.dim_param = name
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Leaves out what the exporter and its optimizer tell of every node."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def remove_notes(model: "ModelProto") -> None:
    """Removes what the exporter notes beside operations, with paths of this machine."""
    graph = model.graph
    noted = [model, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output]
    for part in (*noted, *model.functions):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for function in model.functions:
        for node in function.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
    graph.ClearField("value_info")  # shapes between operations, which runtimes find themselves


def facts(contract: Contract, origin: Origin, network: str, tile: int | None, half: bool) -> dict[str, str]:
    """Returns what the file says of itself, its metadata_props: key -> text."""
    first = contract.inputs[0].name
    known = {
        "name": origin.name,
        "task": contract.task,
        "network": network,
        "opset": str(OPSET),
        "precision": "float16 inside, float32 inputs and outputs" if half else "float32",
        "layout": "(batch, channels, height, width)",
        "size": "any, batches of any number" if tile is None else f"{tile}x{tile} of {first}, batch 1",
        "multiple": str(contract.multiple),
        "halo": str(contract.halo) if contract.halo is not None and not contract.pools else "none is exact",
        "reach": "" if contract.halo is None else str(contract.halo),  # apart from means over the whole image
        **{f"input.{port.name}": port.meaning for port in contract.inputs},
        **{f"output.{port.name}": port.meaning for port in contract.outputs},
        "noise_level": contract.level,
        "licence": origin.licence,
        "training_data": origin.training_data,
        "numbers": json.dumps(origin.numbers),
        "recipe": origin.recipe,
        "weights_sha256": origin.sha256,
        "made_by": f"cycleisp {__version__}, torch {torch.__version__}",
    }
    return {key: text for key, text in known.items() if text}


def to_bytes(model: "ModelProto", known: dict[str, str]) -> bytes:
    """Checks a model, writes facts into it, and returns the content of its file."""
    import onnx

    model.producer_name, model.producer_version = "cycleisp", __version__
    onnx.helper.set_model_props(model, known)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


# ---------------------------------------------------------------- the comparison with PyTorch


def in_pytorch(graph: nn.Module, inputs: Sequence[Tensor]) -> NDArray[np.float32]:
    """Returns what the plain modules of a graph compute."""
    with torch.no_grad(), acceleration.fast(enabled=False):
        return graph(*inputs).numpy()


def in_onnx_runtime(content: bytes, inputs: Sequence[Tensor]) -> NDArray[np.float32]:
    """Returns what ONNX Runtime computes, on the CPU, for inputs in their order."""
    return run(open_session(content), inputs)


def open_session(content: bytes) -> "InferenceSession":
    """Returns ONNX Runtime's session of a file's content, on the CPU, with PyTorch's threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run(session: "InferenceSession", inputs: Sequence[Tensor]) -> NDArray[np.float32]:
    """Runs a session on inputs in their order."""
    names = [given.name for given in session.get_inputs()]
    return session.run(None, {name: image.numpy() for name, image in zip(names, inputs, strict=True)})[0]


def largest_difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Returns the largest difference of two results; infinite where a value is not finite."""
    difference = float(np.abs(first - second).max())
    return difference if math.isfinite(difference) else math.inf
