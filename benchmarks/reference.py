"""The plain forward of the paper's networks, which is the fixed reference of benchmarks/speed.py.

It is written from the structure that the paper gives, with one PyTorch call for each step, NCHW,
float32: what one gets without thinking about speed. It uses a network of this project only for its
weights. Do not make it faster.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from cycleisp.networks import RawDenoiser, Rgb2Raw, SrgbDenoiser
from cycleisp.networks.blocks import DAB, RRG, DeepFeatures
from cycleisp.utils.raw import bayer


def dual_attention(block: DAB, features: Tensor) -> Tensor:
    """Computes a DAB: conv - PReLU - conv, both attentions of that, 1x1 convolution, skip."""
    hidden = F.conv2d(features, block.conv1.weight, block.conv1.bias, padding=1)
    u = F.conv2d(F.prelu(hidden, block.activation.weight), block.conv2.weight, block.conv2.bias, padding=1)
    pooled = torch.cat([u.amax(dim=1, keepdim=True), u.mean(dim=1, keepdim=True)], dim=1)
    spatial = torch.sigmoid(F.conv2d(pooled, block.spatial_attention.conv.weight, padding=1)) * u
    squeeze, excite = block.channel_attention.squeeze, block.channel_attention.excite
    squeezed = F.relu(F.conv2d(u.mean(dim=(2, 3), keepdim=True), squeeze.weight, squeeze.bias))
    channel = torch.sigmoid(F.conv2d(squeezed, excite.weight, excite.bias)) * u
    return features + F.conv2d(torch.cat([spatial, channel], dim=1), block.fuse.weight, block.fuse.bias)


def residual_group(group: RRG, features: Tensor) -> Tensor:
    """Computes an RRG: DABs, a convolution, and the group's input added."""
    deep = features
    for block in group.blocks:
        assert isinstance(block, DAB)
        deep = dual_attention(block, deep)
    return features + F.conv2d(deep, group.conv.weight, group.conv.bias, padding=1)


def trunk(deep: DeepFeatures, features: Tensor) -> Tensor:
    """Computes the groups one after the other, and a convolution."""
    for group in deep.groups:
        assert isinstance(group, RRG)
        features = residual_group(group, features)
    return F.conv2d(features, deep.conv.weight, deep.conv.bias, padding=1)


def body(network: SrgbDenoiser | RawDenoiser | Rgb2Raw, planes: Tensor) -> Tensor:
    """Computes head, trunk, PReLU and tail."""
    shallow = F.conv2d(planes, network.head.weight, network.head.bias, padding=1)
    deep = F.prelu(trunk(network.deep, shallow), network.activation.weight)
    return F.conv2d(deep, network.tail.weight, network.tail.bias, padding=1)


def srgb_denoiser(network: SrgbDenoiser, noisy: Tensor) -> Tensor:
    """Denoises (B, 3, H, W) by a network without unshuffle."""
    return noisy + body(network, noisy)


def raw_denoiser(network: RawDenoiser, noisy: Tensor, variance: Tensor) -> Tensor:
    """Denoises (B, 4, H, W) by a network without unshuffle and stabilisation."""
    return noisy + body(network, torch.cat([noisy, variance], dim=1))


def rgb2raw(network: Rgb2Raw, srgb: Tensor) -> Tensor:
    """Converts (B, 3, H, W) to packed RAW by a network without unshuffle and companding."""
    return bayer.pack(bayer.mosaic(body(network, srgb), "RGGB"))
