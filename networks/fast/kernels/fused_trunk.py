"""The trunk of every network on a CUDA GPU without autograd: the modules' result from half the memory traffic.

Its blocks are the kernels of networks/fast/kernels/block_kernels.py, with cuDNN's convolutions where those are faster.
Small images leave a GPU waiting for Python, which starts two hundred kernels for a network. So the second image of a
shape is recorded as a CUDA graph, and from then on one call starts them all.
"""

import logging
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycleisp.networks.blocks import DAB, RRG, DeepFeatures

try:
    from cycleisp.networks.fast.kernels import block_kernels as kernels
except ImportError as error:  # no Triton for this system
    _missing: ImportError | None = error
else:
    _missing = None

GRAPH_VALUES = 1 << 25  # of features: in larger ones Python is ahead of the GPU
GRAPHS = 8  # of a trunk to keep, each with two maps of its own
_INNERMOST = torch.channels_last
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Block:
    conv1: Tensor
    conv1_bias: Tensor
    slopes: Tensor
    conv2: Tensor
    attention: "kernels.AttentionWeights"


@dataclass(frozen=True)
class _Group:
    blocks: list[_Block]
    conv: Tensor
    bias: Tensor


class FusedTrunk:
    """A trunk's weights as the kernels want them.

    Args:
        deep: the trunk, on the device to compute on. It may go on learning: see `is_current`.
        dtype: of the features: float32, bfloat16 or float16.
        precision: of float32 products: ieee or tf32.
    """

    def __init__(self, deep: DeepFeatures, dtype: torch.dtype, precision: str) -> None:
        self.precision = precision
        self._weights = list(deep.parameters())
        self._made_from = self._versions()
        self._groups = [_pack_group(group, dtype) for group in deep.groups if isinstance(group, RRG)]
        self._conv, self._bias = _pack_conv(deep.conv, dtype)
        self._graphs: OrderedDict[tuple[int, ...], _Graph | None] = OrderedDict()

    def is_current(self) -> bool:
        """Whether the weights are still those that this was made of."""
        return self._made_from == self._versions()

    def _versions(self) -> tuple[int, ...]:
        """Changes when a weight is written to, or when the network moves."""
        return (self._weights[0].data_ptr(), *(weight._version for weight in self._weights))

    def __call__(self, features: Tensor) -> Tensor:
        """What the trunk makes of (B, C, H, W), in the features' type; valid until the next call."""
        with torch.autocast(features.device.type, enabled=False), torch.cuda.device_of(features):
            return self._call(features)

    def _call(self, features: Tensor) -> Tensor:
        shape = tuple(features.shape)
        if features.device.type != "cuda" or features.numel() > GRAPH_VALUES:
            return self.compute(features)
        if shape not in self._graphs:
            self._graphs[shape] = None
            if len(self._graphs) > GRAPHS:
                self._graphs.popitem(last=False)
            return self.compute(features)
        self._graphs.move_to_end(shape)
        graph = self._graphs[shape]
        if graph is None:
            graph = self._graphs[shape] = _Graph(self, features)
        return graph(features)

    def compute(self, features: Tensor) -> Tensor:
        """The trunk, kernel by kernel."""
        features = features.contiguous(memory_format=_INNERMOST)
        for group in self._groups:
            deep = features
            for block in group.blocks:
                deep = self._dual_attention(block, deep)
            deep = _convolve(deep, group.conv)
            kernels.add(deep, group.bias, features)
            features = deep
        return _convolve(features, self._conv).add_(self._bias.to(features.dtype).view(1, -1, 1, 1))

    def _dual_attention(self, block: _Block, features: Tensor) -> Tensor:
        weights = block.attention
        if kernels.convolves(features.shape[1], features.dtype):
            hidden = kernels.convolve_activate(features, block.conv1, block.conv1_bias, block.slopes)
            u, pooled = kernels.convolve_pool(hidden, block.conv2, weights.conv2_bias)
        else:
            hidden = _convolve(features, block.conv1)
            kernels.activate(hidden, block.conv1_bias, block.slopes)
            u = _convolve(hidden, block.conv2)
            pooled = kernels.pool(u, weights.conv2_bias)
        kernels.dual_attention(u, features, pooled, weights, self.precision)
        return u


class _Graph:
    """One shape's trunk, recorded."""

    def __init__(self, trunk: FusedTrunk, features: Tensor) -> None:
        device = features.device
        with torch.inference_mode(False), torch.no_grad():
            self._given = torch.empty_like(features, memory_format=_INNERMOST)
            self._given.copy_(features)
            side = torch.cuda.Stream(device)
            side.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(side):
                trunk.compute(self._given)
            torch.cuda.current_stream(device).wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            # threads that read photos may use the device meanwhile
            with torch.cuda.graph(self._graph, pool=_pool(device), capture_error_mode="thread_local"):
                self._result = trunk.compute(self._given)

    def __call__(self, features: Tensor) -> Tensor:
        self._given.copy_(features)
        self._graph.replay()
        return self._result


@cache
def _pool(device: torch.device) -> Any:
    """Memory that all graphs of a device use in turn for what lies inside a trunk."""
    return torch.cuda.graph_pool_handle()


def _convolve(features: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(features, weight, padding=1).contiguous(memory_format=_INNERMOST)


# ---------------------------------------------------------------- weights


def _pack_group(group: RRG, dtype: torch.dtype) -> _Group:
    blocks = [_pack_block(block, dtype) for block in group.blocks if isinstance(block, DAB)]
    return _Group(blocks, *_pack_conv(group.conv, dtype))


def _pack_conv(conv: nn.Conv2d, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    assert conv.bias is not None
    return conv.weight.detach().to(dtype).contiguous(memory_format=_INNERMOST), _float(conv.bias)


def _pack_block(block: DAB, dtype: torch.dtype) -> _Block:
    channels = block.conv1.in_channels
    attention, fuse = block.channel_attention, block.fuse.weight.detach()[:, :, 0, 0]
    assert attention.squeeze.bias is not None and attention.excite.bias is not None and block.fuse.bias is not None
    conv1, conv1_bias = _pack_conv(block.conv1, dtype)
    conv2, conv2_bias = _pack_conv(block.conv2, dtype)
    if kernels.convolves(channels, dtype):
        conv1, conv2 = (w.permute(2, 3, 1, 0).reshape(9, channels, channels).contiguous() for w in (conv1, conv2))
    packed = kernels.AttentionWeights(
        conv2_bias=conv2_bias,
        kernel=_float(block.spatial_attention.conv.weight[0]),
        squeeze=_float(attention.squeeze.weight[:, :, 0, 0]),
        squeeze_bias=_float(attention.squeeze.bias),
        excite=_float(attention.excite.weight[:, :, 0, 0]),
        excite_bias=_float(attention.excite.bias),
        spatial_matrix=fuse[:, :channels].t().to(dtype).contiguous(),
        spatial_offset=_float(fuse[:, :channels] @ conv2_bias),
        channel_matrix=_float(fuse[:, channels:].t()),
        fuse_bias=_float(block.fuse.bias),
    )
    return _Block(conv1, conv1_bias, _float(block.activation.weight), conv2, packed)


def _float(weight: Tensor) -> Tensor:
    return weight.detach().float().contiguous()


# ---------------------------------------------------------------- the trunks in use

_Kind = tuple[torch.dtype, str]
_trunks: "weakref.WeakKeyDictionary[DeepFeatures, dict[_Kind, FusedTrunk]]" = weakref.WeakKeyDictionary()
_failures: set[tuple[int, _Kind]] = set()  # for which widths and kinds of features there are no kernels here


def find(deep: DeepFeatures, features: Tensor) -> FusedTrunk | None:
    """The trunk as kernels for such features, made at the first call and again when its weights changed.

    None where there are no such kernels: on other devices than CUDA; where Triton, a C compiler or Python's headers are
    missing; on GPUs that are too small or too old for them. Networks run without.
    """
    kind = (features.dtype, "tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee")
    if features.device.type != "cuda" or (features.shape[1], kind) in _failures:
        return None
    kept = _trunks.setdefault(deep, {})
    if kind not in kept or not kept[kind].is_current():
        try:
            if _missing is not None:
                raise _missing
            exactly = torch.autocast(features.device.type, enabled=False)
            with torch.inference_mode(False), torch.no_grad(), exactly, torch.cuda.device_of(features):
                kept[kind] = FusedTrunk(deep, *kind)
                kept[kind].compute(features.new_zeros(1, features.shape[1], 16, 16))  # its kernels are made
        except Exception as error:  # of whatever is missing
            _failures.add((features.shape[1], kind))
            reason = str(error).strip().partition("\n")[0]
            log.warning("networks run without kernels of their own, which would be faster: %s", reason)
            return None
    return kept[kind]
