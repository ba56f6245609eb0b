"""Small ONNX denoisers, made without PyTorch's exporter, which takes seconds for every file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HALO = 1
WEIGHTS = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 16


def write_onnx(path: Path, channels: int, side: int | None = None, level: str = "", multiple: int = 2) -> Path:
    """Writes a denoiser that smooths each plane by WEIGHTS, with zeros beyond the borders.

    One of RAW takes a part of the smoothing away where the variance is low: it returns
    noisy + (smooth - noisy) * min(100 * variance, 1). With a level it has no variance, and smooths
    wholly.
    """
    from onnx import TensorProto, helper, numpy_helper

    shape = [1, channels, side, side] if side else ["batch", channels, "height", "width"]
    names = ["noisy", "variance"] if channels == 4 and not level else ["noisy"]
    kernel = np.broadcast_to(WEIGHTS, (channels, 1, 3, 3)).copy()
    constants = [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(np.float32(100), "hundred")]
    constants.append(numpy_helper.from_array(np.float32(1), "one"))
    nodes = [helper.make_node("Conv", ["noisy", "kernel"], ["smooth"], group=channels, pads=[1, 1, 1, 1])]
    if "variance" in names:
        nodes += [
            helper.make_node("Sub", ["smooth", "noisy"], ["change"]),
            helper.make_node("Mul", ["variance", "hundred"], ["wanted"]),
            helper.make_node("Min", ["wanted", "one"], ["share"]),
            helper.make_node("Mul", ["change", "share"], ["part"]),
            helper.make_node("Add", ["noisy", "part"], ["denoised"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["smooth"], ["denoised"]))
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]
    output = helper.make_tensor_value_info("denoised", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "smoothing", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    size = f"{side}x{side} of noisy, batch 1" if side else "any, batches of any number"
    facts = {"multiple": str(multiple), "halo": str(HALO), "reach": str(HALO), "size": size, "noise_level": level}
    helper.set_model_props(model, facts)
    path.write_bytes(model.SerializeToString())
    return path


def smoothed(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns what such a denoiser makes of a photo (1, C, H, W)."""
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = image.shape[2:]
    parts = [
        WEIGHTS[row, column] * padded[..., row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    ]
    return np.clip(sum(parts), 0, 1).astype(np.float32)
