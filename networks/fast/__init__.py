"""The fast way without autograd: the plain modules' results, in less time and less memory.

Nearly all of a network's time goes into its trunk (`DeepFeatures`). `run` computes a trunk,
together with the layers before and behind it, in one of two ways:

    strips/     on a CPU, and on a CUDA GPU for images whose features do not fit into its memory:
                strips of rows are computed while they are in the cache. A photo of any size gives
                what one pass over the whole photo gives.

    kernels/    on a CUDA GPU: Triton kernels that read and write features less often, recorded as
                CUDA graphs.

The blocks of the gated denoisers are computed on a CPU by `tiles/`, one small tile after the other.

`training.py` makes training on a CUDA GPU faster: it compiles blocks and records trunks.

The results equal those of the plain modules up to rounding; README.md beside this file says why.
Users do not call this package. `cycleisp.networks.acceleration` does, unless it is switched off:

    CYCLEISP_FAST=0 python denoise.py ...                    # for a process
    with acceleration.fast(enabled=False): ...               # for a block of code

The project works without this folder, only slower: delete it with tests/networks/fast, and set
CYCLEISP_FAST=0.
"""

import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from cycleisp.networks.acceleration import Begin, Finish
from cycleisp.networks.blocks import DeepFeatures
from cycleisp.networks.fast.strips import feature_maps, striped_trunk


def run(
    begin: Begin,
    deep: DeepFeatures,
    finish: Finish,
    planes: Tensor,
    aligned: Sequence[Tensor] = (),
    scale: int = 1,
) -> Tensor | None:
    """Returns finish(deep(begin(planes)), *aligned), or None.

    None says that the plain modules are to compute it. Call this function without autograd only.
    The arguments are those of `cycleisp.networks.acceleration.run_trunk`. None is returned on
    devices other than CPUs and CUDA GPUs, on a CPU in other types than float32, and on a GPU for
    which there are no kernels.
    """
    if striped_trunk.suits(deep, planes, scale):
        return striped_trunk.run(begin, deep, finish, planes, aligned, scale)
    if planes.device.type != "cuda":
        return None
    from cycleisp.networks.fast.kernels import fused_trunk  # here, since Triton takes half a second

    trunk = fused_trunk.find(deep, striped_trunk.features_like(planes))
    return None if trunk is None else finish(trunk(begin(planes)), *aligned)


def feature_memory(size: int) -> int:
    """Returns how many bytes of feature maps a CPU keeps in memory, if a map has `size` bytes."""
    return feature_maps.kept_in_memory(size, torch.device("cpu"))


def forget(deep: DeepFeatures) -> None:
    """Drops everything that is kept of a trunk's weights, so that the next `run` reads them anew.

    The kernels work on weights in a layout of their own. They notice most changes of the weights by
    PyTorch's version counters, which fused optimizers and writes to `weight.data` do not touch. So
    `run_trunk` calls this function at every forward pass with gradients, and every step of a
    `torch.optim` optimizer has the same effect for the weights that it changes. What remains are
    changes by hand: call this function after `average.weight.data.lerp_(...)`, for example.
    """
    kernels = sys.modules.get("cycleisp.networks.fast.kernels.fused_trunk")
    if kernels is not None:
        kernels.forget(deep)
