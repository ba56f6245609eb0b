"""The plain forward of the paper's networks, the fixed yardstick of benchmarks/speed.py.

Written straight from the structure that the paper gives, one PyTorch call for each step, NCHW, float32: what one gets
without thinking about speed. It takes a network of this project for its weights alone. Not to be made faster.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from cycleisp.networks import RawDenoiser, Rgb2Raw, SrgbDenoiser
from cycleisp.networks.blocks import DAB, RRG, DeepFeatures
from cycleisp.utils.raw import bayer


def dual_attention(block: DAB, features: Tensor) -> Tensor:
    """conv - PReLU - conv, spatial and channel attention of it side by side, 1x1 convolution, skip."""
    hidden = F.conv2d(features, block.conv1.weight, block.conv1.bias, padding=1)
    u = F.conv2d(F.prelu(hidden, block.activation.weight), block.conv2.weight, block.conv2.bias, padding=1)
    pooled = torch.cat([u.amax(dim=1, keepdim=True), u.mean(dim=1, keepdim=True)], dim=1)
    spatial = torch.sigmoid(F.conv2d(pooled, block.spatial_attention.conv.weight, padding=1)) * u
    squeeze, excite = block.channel_attention.squeeze, block.channel_attention.excite
    squeezed = F.relu(F.conv2d(u.mean(dim=(2, 3), keepdim=True), squeeze.weight, squeeze.bias))
    channel = torch.sigmoid(F.conv2d(squeezed, excite.weight, excite.bias)) * u
    return features + F.conv2d(torch.cat([spatial, channel], dim=1), block.fuse.weight, block.fuse.bias)


def residual_group(group: RRG, features: Tensor) -> Tensor:
    """DABs, a convolution, and the group's input."""
    deep = features
    for block in group.blocks:
        assert isinstance(block, DAB)
        deep = dual_attention(block, deep)
    return features + F.conv2d(deep, group.conv.weight, group.conv.bias, padding=1)


def trunk(deep: DeepFeatures, features: Tensor) -> Tensor:
    """Groups one behind the other, and a convolution."""
    for group in deep.groups:
        assert isinstance(group, RRG)
        features = residual_group(group, features)
    return F.conv2d(features, deep.conv.weight, deep.conv.bias, padding=1)


def body(network: SrgbDenoiser | RawDenoiser | Rgb2Raw, planes: Tensor) -> Tensor:
    """Head, trunk, PReLU, tail."""
    shallow = F.conv2d(planes, network.head.weight, network.head.bias, padding=1)
    deep = F.prelu(trunk(network.deep, shallow), network.activation.weight)
    return F.conv2d(deep, network.tail.weight, network.tail.bias, padding=1)


def srgb_denoiser(network: SrgbDenoiser, noisy: Tensor) -> Tensor:
    """Of a network without unshuffle: (B, 3, H, W) -> (B, 3, H, W)."""
    return noisy + body(network, noisy)


def raw_denoiser(network: RawDenoiser, noisy: Tensor, variance: Tensor) -> Tensor:
    """Of a network without unshuffle and stabilisation: two (B, 4, H, W) -> (B, 4, H, W)."""
    return noisy + body(network, torch.cat([noisy, variance], dim=1))


def rgb2raw(network: Rgb2Raw, srgb: Tensor) -> Tensor:
    """Of a network without unshuffle and companding: (B, 3, H, W) -> packed (B, 4, H/2, W/2)."""
    return bayer.pack(bayer.mosaic(body(network, srgb), "RGGB"))
