"""Building blocks of every CycleISP network: dual attention block and recursive residual group.

Source: CycleISP (arXiv 2003.07761), Sec. 3.1. All blocks of a network share one PReLU with C
slopes, as in the released weights. So blocks receive it from the network that owns them.
"""

import torch
from torch import Tensor, cat, nn
from torch.utils.checkpoint import checkpoint


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Returns a 3x3 convolution that keeps height and width."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)


class SpatialAttention(nn.Module):
    """Where to look: (B, C, H, W) -> weights (B, 1, H, W) in (0, 1).

    They depend on the maximum and the mean over the channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        pooled = cat([features.amax(dim=1, keepdim=True), features.mean(dim=1, keepdim=True)], dim=1)
        return self.conv(pooled).sigmoid()


class GlobalMean(nn.Module):
    """Each channel's mean over the image: (B, C, H, W) -> (B, C, 1, 1).

    It is the only step of a trunk that sees the whole image.
    """

    def forward(self, features: Tensor) -> Tensor:
        return features.mean(dim=(2, 3), keepdim=True)


class ChannelAttention(nn.Module):
    """What to look at: (B, C, H, W) -> weights (B, C, 1, 1) in (0, 1).

    They depend on each channel's mean over the image.

    Args:
        width: number of channels C.
        reduction: the bottleneck has C / reduction channels.
    """

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        if width % reduction:
            raise ValueError(f"width must be a multiple of reduction, got {width} and {reduction}")
        self.pool = GlobalMean()
        self.squeeze = nn.Conv2d(width, width // reduction, kernel_size=1)
        self.excite = nn.Conv2d(width // reduction, width, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.excite(self.squeeze(self.pool(features)).relu()).sigmoid()


class DAB(nn.Module):
    """Dual attention block: two convolutions, spatial beside channel attention, and a skip.

    Args:
        width: channels C of input and output, (B, C, H, W).
        reduction: the channel attention's bottleneck has C / reduction channels.
        activation: the PReLU that all blocks of one network share.
    """

    def __init__(self, width: int, reduction: int, activation: nn.PReLU) -> None:
        super().__init__()
        self.conv1 = conv3x3(width, width)
        self.activation = activation
        self.conv2 = conv3x3(width, width)
        self.spatial_attention = SpatialAttention()
        self.channel_attention = ChannelAttention(width, reduction)
        self.fuse = nn.Conv2d(2 * width, width, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        u = self.conv2(self.activation(self.conv1(features)))
        attended = cat([self.spatial_attention(u) * u, self.channel_attention(u) * u], dim=1)
        return features + self.fuse(attended)


class Chain(nn.Sequential):
    """Blocks, one after the other, which can be computed again for the gradient (`save_memory`)."""

    computed_again = False

    def forward(self, features: Tensor) -> Tensor:
        again = self.computed_again and torch.is_grad_enabled()
        for block in self:
            features = checkpoint(block, features, use_reentrant=False) if again else block(features)
        return features


class RRG(nn.Module):
    """Recursive residual group: `num_blocks` DABs, a convolution and a skip, on (B, C, H, W)."""

    def __init__(self, width: int, num_blocks: int, reduction: int, activation: nn.PReLU) -> None:
        super().__init__()
        self.blocks = Chain(*(DAB(width, reduction, activation) for _ in range(num_blocks)))
        self.conv = conv3x3(width, width)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv(self.blocks(features))


class DeepFeatures(nn.Module):
    """The trunk of every network: RRG_1 ... RRG_N and a closing convolution, on (B, C, H, W)."""

    def __init__(self, width: int, num_groups: int, num_blocks: int, reduction: int, activation: nn.PReLU) -> None:
        super().__init__()
        self.groups = nn.Sequential(*(RRG(width, num_blocks, reduction, activation) for _ in range(num_groups)))
        self.conv = conv3x3(width, width)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(self.groups(features))


def check_image(name: str, image: Tensor, channels: int, multiple: int = 1) -> None:
    """Raises a ValueError unless `multiple` divides the sides of an image (B, channels, H, W)."""
    if image.ndim != 4 or image.shape[1] != channels:
        raise ValueError(f"{name}: expected (B, {channels}, H, W), got {tuple(image.shape)}")
    height, width = image.shape[2:]
    if height % multiple or width % multiple or not height * width:
        raise ValueError(
            f"{name}: sides must be positive multiples of {multiple}, got {height}x{width}; "
            "pad with utils.padding.pad_to_multiple and crop afterwards"
        )


def save_memory(network: nn.Module) -> None:
    """Makes a network's training take less memory, in place.

    Only the blocks' inputs are kept; features inside of blocks are computed again for the gradient.
    The gradients are the same, and a step takes about a third longer.
    """
    for module in network.modules():
        if isinstance(module, Chain):
            module.computed_again = True
