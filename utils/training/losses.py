"""The loss of the networks that predict RAW (CycleISP, Sec. 3.1)."""

import torch.nn.functional as F
from torch import Tensor


def raw_log_l1_loss(predicted: Tensor, target: Tensor, epsilon: float) -> Tensor:
    """Returns L1 plus L1 of logarithms, so that dark values count as much as highlights.

    mean |p - t| + mean |log max(p, epsilon) - log max(t, epsilon)|, with natural logarithms.

    Args:
        predicted: linear RAW of any shape; it may leave [0, 1].
        target: linear RAW in [0, 1] of the same shape.
        epsilon: the darkest value that the logarithm tells apart.

    Raises:
        ValueError: the shapes differ.
    """
    if predicted.shape != target.shape:
        raise ValueError(f"loss of different shapes: {tuple(predicted.shape)} and {tuple(target.shape)}")
    log_difference = predicted.clamp(min=epsilon).log() - target.clamp(min=epsilon).log()
    return F.l1_loss(predicted, target) + log_difference.abs().mean()
