"""Networks that compute in float16 inside and take and give float32.

What is large, or small beside what it is added to, stays in float32: the images, the
variance-stabilising transform, the curves between linear and display-like values, the first and the
last layer, and the mean over all pixels in channel attention, whose sum would leave float16's range
(65504) on images above some hundred pixels square. A denoiser's correction is added to its image in
float32.

Stabilised RAW is the larger, the less noise there is: without any it would have no end. So the
variance of noise counts as at least LEAST_VARIANCE.
"""

from typing import Any

import torch
from torch import Tensor, nn

from cycleisp.networks.blocks import GlobalMean
from cycleisp.networks.companding import LinearDemosaic
from cycleisp.networks.onnx_files.graphs import RawDenoising, RawDenoisingAtLevel
from cycleisp.networks.raw2rgb import ColorCorrection, Raw2Rgb

LEAST_VARIANCE = 3e-9  # a deviation of a step of 14 bits; half of the least of configs/noise


def in_half(graph: nn.Module) -> None:
    """Makes the networks of a graph compute in float16 inside, in place.

    Args:
        graph: of graphs.py, or a network of any kind.
    """
    kept = {layer for part in graph.modules() for layer in _kept_whole(part)}
    with torch.no_grad():
        for part in graph.modules():
            if part not in kept:
                for parameter in part.parameters(recurse=False):
                    parameter.data = parameter.data.half()
    for part in graph.modules():
        if isinstance(part, RawDenoising | RawDenoisingAtLevel):
            part.least_variance = LEAST_VARIANCE
        if isinstance(part, GlobalMean):
            part.register_forward_pre_hook(_to_float)
            part.register_forward_hook(_result_to_half)
        if isinstance(head := getattr(part, "head", None), nn.Conv2d):
            head.register_forward_hook(_result_to_half)
        if isinstance(last := _last(part), nn.Module):
            last.register_forward_pre_hook(_to_float)


def _kept_whole(part: nn.Module) -> list[nn.Module]:
    """Returns the layers of a network that stay in float32."""
    if isinstance(part, LinearDemosaic):
        return [part]
    return [layer for layer in (getattr(part, "head", None), _last(part)) if isinstance(layer, nn.Conv2d)]


def _last(network: nn.Module) -> object:
    """Returns the layer at which a network's features become float32 again, or None."""
    if isinstance(network, ColorCorrection):
        return None  # its result meets the features of RAW2RGB
    return getattr(network, "to_rgb" if isinstance(network, Raw2Rgb) else "tail", None)


def _to_float(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(image.float() for image in inputs)


def _result_to_half(_layer: nn.Module, _inputs: Any, result: Tensor) -> Tensor:
    return result.half()
