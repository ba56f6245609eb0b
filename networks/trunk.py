"""Which way features go through a network's trunk: three ways, one result."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cycleisp.networks.blocks import DeepFeatures
from cycleisp.networks.fast.kernels import fused_trunk
from cycleisp.networks.fast.strips import strips


def run(
    begin: strips.Begin,
    deep: DeepFeatures,
    finish: strips.Finish,
    planes: Tensor,
    aligned: Sequence[Tensor] = (),
    scale: int = 1,
) -> Tensor:
    """finish(deep(begin(planes)), *aligned), the fastest way there is.

    With autograd, or where hooks of the blocks are to be called, module by module. Without, on a CPU by strips
    (networks/fast/strips/strips.py); on a CUDA GPU by kernels (networks/fast/kernels/fused_trunk.py), and what does not
    fit there by strips.

    Args:
        begin: from planes to shallow features, no row looking further than the neighbouring ones.
        deep: the trunk.
        finish: from deep features to the result, no row looking further than the neighbouring ones.
        planes: (B, C, H, W).
        aligned: further images (B, C', H/scale, W/scale) that `finish` needs.
        scale: rows of planes for a row of features.

    Returns:
        (B, C'', H/scale, W/scale)
    """
    module_by_module = torch.is_grad_enabled() or deep.whole
    if not module_by_module and strips.wins(deep, planes, scale):
        return strips.run(begin, deep, finish, planes, aligned, scale)
    features = begin(planes)
    fused = None if module_by_module else fused_trunk.find(deep, features)
    return finish((fused or deep)(features), *aligned)
