"""A trunk on a CUDA GPU without autograd: the modules' result with half the memory traffic.

Blocks are computed by the kernels of networks/fast/kernels/block_kernels.py, with cuDNN's
convolutions where those are faster. With small images a GPU would wait for Python, which starts two
hundred kernels for a network. So the second image of a shape is recorded as a CUDA graph, and from
then on one call starts all kernels.
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
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from cycleisp.networks.blocks import DAB, RRG, DeepFeatures

try:
    from cycleisp.networks.fast.kernels import block_kernels as kernels
except ImportError as error:  # no Triton for this system
    _missing: ImportError | None = error
else:
    _missing = None

GRAPH_VALUES = 1 << 25  # of features; with larger maps Python is ahead of the GPU
GRAPHS = 8  # kept for each trunk, each with two maps of its own
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
    """A trunk with its weights in the layout that the kernels need.

    Args:
        deep: the trunk, on the device that it shall compute on. Its weights may change later: see
            `is_current`.
        dtype: type of the features: float32, bfloat16 or float16.
        precision: of float32 products: ieee or tf32.
    """

    def __init__(self, deep: DeepFeatures, dtype: torch.dtype, precision: str) -> None:
        self.precision = precision
        self.weights = list(deep.parameters())
        self._made_from = self._versions()
        self._groups = [_pack_group(group, dtype) for group in deep.groups if isinstance(group, RRG)]
        self._conv, self._bias = _pack_conv(deep.conv, dtype)
        self._graphs: OrderedDict[tuple[int, ...], _Graph | None] = OrderedDict()

    def is_current(self) -> bool:
        """Returns whether the weights are still those that this object was made from.

        It compares PyTorch's version counters. Fused optimizers change weights without counting;
        see `forget`.
        """
        return self._made_from == self._versions()

    def _versions(self) -> tuple[int, ...]:
        """Returns numbers that change when a weight is written to, and when the network moves."""
        return (self.weights[0].data_ptr(), *(weight._version for weight in self.weights))

    def __call__(self, features: Tensor) -> Tensor:
        """Returns the result for features (B, C, H, W). The next call may overwrite it."""
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
        """Computes the trunk kernel by kernel."""
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
    """A trunk recorded for one shape of features."""

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
            # other threads, which read photos, may use the device in the meantime
            with torch.cuda.graph(self._graph, pool=_pool(device), capture_error_mode="thread_local"):
                self._result = trunk.compute(self._given)

    def __call__(self, features: Tensor) -> Tensor:
        self._given.copy_(features)
        self._graph.replay()
        return self._result


@cache
def _pool(device: torch.device) -> Any:
    """Returns the memory that all graphs of a device use in turn for the maps inside a trunk."""
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
_failures: set[tuple[int, _Kind]] = set()  # widths and kinds of features that have no kernels here


def find(deep: DeepFeatures, like: Tensor) -> FusedTrunk | None:
    """Returns the trunk as kernels, or None where there are none.

    They are made at the first call, and again when the weights have changed.

    Args:
        deep: the trunk.
        like: has the type and the device of the features.

    Returns:
        None where there are no such kernels: on other devices than CUDA, where Triton, a C compiler
        or Python's headers are missing, and on GPUs that are too small or too old. One line in the
        log says why.

    Raises:
        torch.OutOfMemoryError: if memory runs out while the kernels are made. The next call tries
            again.
    """
    kind = (like.dtype, "tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee")
    channels = deep.conv.in_channels
    if like.device.type != "cuda" or (channels, kind) in _failures:
        return None
    kept = _trunks.setdefault(deep, {})
    trunk = kept.get(kind)
    if trunk is not None and trunk.is_current():
        return trunk
    kept.pop(kind, None)
    try:
        trunk = kept[kind] = _make(deep, like, kind)
    except torch.OutOfMemoryError:  # which says nothing about the kernels
        raise
    except Exception as error:  # depends on what is missing
        _failures.add((channels, kind))
        reason = str(error).strip().partition("\n")[0]
        log.warning("networks run without kernels of their own, which would be faster: %s", reason)
        return None
    return trunk


def forget(deep: DeepFeatures) -> None:
    """Drops what is kept of a trunk's weights; the next `find` reads them anew."""
    _trunks.pop(deep, None)


@cache
def _watch_optimizers() -> None:
    """Makes every optimizer's step forget the trunks whose weights it changes, from now on."""

    def forget_changed(optimizer: Optimizer, *_: object) -> None:
        changed = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        for deep, kept in list(_trunks.items()):
            if any(id(weight) in changed for trunk in kept.values() for weight in trunk.weights):
                forget(deep)

    register_optimizer_step_post_hook(forget_changed)


def _make(deep: DeepFeatures, like: Tensor, kind: _Kind) -> FusedTrunk:
    """Makes a trunk and runs it once on a small image, so that its kernels are compiled."""
    if _missing is not None:
        raise _missing
    _watch_optimizers()
    exactly = torch.autocast(like.device.type, enabled=False)
    with torch.inference_mode(False), torch.no_grad(), exactly, torch.cuda.device_of(like):
        trunk = FusedTrunk(deep, *kind)
        trunk.compute(like.new_zeros(1, deep.conv.in_channels, 16, 16))
    return trunk
