"""How the released CycleISP weights name their parameters, and in which order.

This module knows names and tensors, and no files. A released file holds one branch, and differs
from ours by more than names. The PReLU that all blocks share appears under the name of every place
that uses it; the colour branch stores its fixed blur; RAW2RGB stores a 1x1 convolution that is
never used. What may stand before all names, as `module.`, is the business of dialects.py.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cycleisp.utils.gaussian import gaussian_taps
from cycleisp.utils.images import Space
from cycleisp.utils.weights.kinds import KINDS, Kind

BRANCHES: dict[str, Kind] = {name: kind for name, kind in KINDS.items() if kind.released is not None}
BLUR = "blur.weight"
_SPANNING = ("width", "num_groups", "num_blocks", "reduction")  # sizes that show in the shapes of a released file
_NEUTRAL = {"unshuffle": 1, "companded": False, "stabilized": False, "blur": "released"}  # what the layout can express


class LayoutError(ValueError):
    """Weights that do not fit the released layout; the message does not name the file."""


# ---------------------------------------------------------------- names


def _both(released: str, ours: str) -> list[tuple[str, str]]:
    return [(f"{released}.{kind}", f"{ours}.{kind}") for kind in ("weight", "bias")]


_IN_BLOCK = [
    ("SA.spatial.conv.weight", "spatial_attention.conv.weight"),
    *_both("CA.conv_du.0", "channel_attention.squeeze"),
    *_both("CA.conv_du.2", "channel_attention.excite"),
    *_both("body.0", "conv1"),
    ("body.1.weight", "activation.weight"),
    *_both("body.2", "conv2"),
    *_both("conv1x1", "fuse"),
]
_AFTER_TAIL = [("tail.1.weight", "activation.weight"), *_both("tail_rgb.0", "to_rgb")]  # RAW2RGB
_NEVER_USED = ("conv1x1.0.weight", "conv1x1.0.bias")  # RAW2RGB


def _names(num_groups: int, num_blocks: int) -> list[tuple[str, str]]:
    """Returns (released, ours) for the parameters of all branches, in the order of a file."""
    names = _both("head.0", "head")
    for group in range(num_groups):
        for block in range(num_blocks):
            here, there = f"body.{group}.body.{block}", f"deep.groups.{group}.blocks.{block}"
            names += [(f"{here}.{released}", f"{there}.{ours}") for released, ours in _IN_BLOCK]
        names += _both(f"body.{group}.body.{num_blocks}", f"deep.groups.{group}.conv")
    names += _both(f"body.{num_groups}", "deep.conv")
    names += [(f"body.{num_groups + 1}.weight", "activation.weight")]
    return names + _both("tail.0", "tail")


def _names_of(kind: str, num_groups: int, num_blocks: int) -> list[tuple[str, str]]:
    return _names(num_groups, num_blocks) + (_AFTER_TAIL if kind == "Raw2Rgb" else [])


def _depth(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """Returns the numbers of groups, and of blocks in a group, in a released state dict."""
    found = [match for name in state if (match := re.match(r"body\.(\d+)\.body\.(\d+)\.SA\.", name))]
    if not found:
        raise LayoutError("no blocks of CycleISP in it")
    return max(int(match[1]) for match in found) + 1, max(int(match[2]) for match in found) + 1


# ---------------------------------------------------------------- released to ours


def from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames a released state dict to our names, without the blur and the unused convolution.

    A name that the layout does not have stays as it is. Where the copies of the shared PReLU
    differ, the last one in the file is taken for all, as it is when PyTorch loads such a file into
    modules that share a tensor.

    Args:
        state: by plain names.

    Raises:
        LayoutError: nothing of CycleISP in it.
    """
    our_names = dict([*_names(*_depth(state)), *_AFTER_TAIL])
    ours = {our_names.get(name, name): tensor for name, tensor in state.items() if name not in (BLUR, *_NEVER_USED)}
    slopes = [tensor for name, tensor in state.items() if our_names.get(name, "").endswith("activation.weight")]
    return {name: slopes[-1] if name.endswith("activation.weight") else tensor for name, tensor in ours.items()}


def describe(state: Mapping[str, Tensor], kind: str | None = None) -> tuple[str, dict[str, Any]]:
    """Returns which network a released state dict holds, and its sizes as our files state them.

    RGB2RAW and the sRGB denoiser have the same names and shapes; the paper's ones differ in size.

    Args:
        state: by plain names.
        kind: the network, where the caller knows it; one of BRANCHES.

    Raises:
        LayoutError: no branch of CycleISP, another one than `kind`, or two networks it may be.
    """
    head, tail, squeeze = (
        state.get(name) for name in ("head.0.weight", "tail.0.weight", "body.0.body.0.CA.conv_du.0.weight")
    )
    if head is None or tail is None or squeeze is None or min(head.ndim, tail.ndim, squeeze.ndim) < 2:
        raise LayoutError("no branch of CycleISP: no head, tail or channel attention by the released names")
    num_groups, num_blocks = _depth(state)
    width = head.shape[0]
    reduction = max(1, width // max(1, squeeze.shape[0]))
    found = dict(zip(_SPANNING, (width, num_groups, num_blocks, reduction), strict=True))
    likely = _likely_networks(state, head.shape[1], tail.shape[0])
    if kind is None and len(likely) > 1:  # told apart by the paper's sizes
        defaults = {name: BRANCHES[name].sizes().model_dump(include=set(_SPANNING)) for name in likely}
        likely = [name for name in likely if defaults[name] == found] or likely
    if kind is None and len(likely) > 1:
        raise LayoutError(f"{' and '.join(likely)} of these sizes look the same; say which one it is")
    if kind is not None and kind not in likely:
        raise LayoutError(f"looks like {' or '.join(likely)}, not like {kind}")
    kind = kind or likely[0]
    if kind == "ColorCorrection":
        _check_blur(state[BLUR])
    branch = BRANCHES[kind]
    described: dict[str, Any] = {branch.part: branch.sizes.model_validate(found).model_dump()}
    return kind, {**described, "stabilized": False} if branch.denoises else described


def _likely_networks(state: Mapping[str, Tensor], channels_in: int, channels_out: int) -> list[str]:
    """Returns the networks whose released files look like this one."""
    marked, fitting = [], []
    for name, kind in BRANCHES.items():
        assert kind.released is not None
        if kind.released.mark:
            marked += [name] if kind.released.mark in state else []
        elif kind.released.channels == (channels_in, channels_out):
            fitting.append(name)
    if not marked and not fitting:
        raise LayoutError(f"no branch of CycleISP has {channels_in} channels in and {channels_out} out")
    return marked[:1] or fitting


def denoised_space(state: Mapping[str, Tensor]) -> Space | None:
    """Returns the space of the images that a released denoiser takes; None for another network.

    Only the first convolution is looked at.

    Args:
        state: by plain names.
    """
    first = state.get("head.0.weight")
    for kind in BRANCHES.values():
        assert kind.released is not None
        channels = kind.released.channels
        if kind.denoises and channels and first is not None and first.shape[1:2] == channels[:1]:
            return kind.denoises
    return None


def _check_blur(stored: Tensor) -> None:
    released = released_blur()
    if stored.shape != released.shape or not torch.allclose(stored.float(), released, atol=1e-6):
        raise LayoutError(f"its blur of {tuple(stored.shape)} is not the released one, sigma 12 cut to 21x21")


def check_complete(ours: Mapping[str, Tensor], kind: str, sizes: Mapping[str, Any]) -> None:
    """Raises a LayoutError unless weights by our names are exactly those of `kind`."""
    expected = {name for _, name in _names_of(kind, *_depth_of(kind, sizes))}
    missing, surplus = sorted(expected - ours.keys()), sorted(ours.keys() - expected)
    if missing or surplus:
        found = [f"lacks {len(missing)} entries, first {missing[0]!r}"] if missing else []
        found += [f"has {len(surplus)} that it knows not, first {surplus[0]!r}"] if surplus else []
        raise LayoutError(f"no whole {kind}: it {' and '.join(found)}")


def _depth_of(kind: str, sizes: Mapping[str, Any]) -> tuple[int, int]:
    branch = sizes[BRANCHES[kind].part]
    return branch["num_groups"], branch["num_blocks"]


# ---------------------------------------------------------------- ours to released


def to_released(ours: Mapping[str, Tensor], kind: str, sizes: Mapping[str, Any]) -> dict[str, Tensor]:
    """Renames weights by our names to a released state dict, in the order of the released files.

    RAW2RGB's unused convolution is filled with zeros.

    Args:
        ours: the shared PReLU may appear under one of its names or under all.
        kind: one of BRANCHES.
        sizes: as the header of our files states them.

    Raises:
        LayoutError: an option that the layout cannot express, or incomplete weights.
    """
    check_expressible(kind, sizes)
    slopes = [tensor for name, tensor in ours.items() if name.endswith("activation.weight")]
    names = _names_of(kind, *_depth_of(kind, sizes))
    shared = {name: slopes[-1] for _, name in names if slopes and name.endswith("activation.weight")}
    ours = {**ours, **shared}
    check_complete(ours, kind, sizes)
    released = {name: ours[our_name] for name, our_name in names}
    if kind == "Raw2Rgb":
        width, dtype = ours["head.weight"].shape[0], ours["head.weight"].dtype
        released["conv1x1.0.weight"] = torch.zeros(width, 2 * width, 1, 1, dtype=dtype)
        released["conv1x1.0.bias"] = torch.zeros(width, dtype=dtype)
    if kind == "ColorCorrection":
        released[BLUR] = released_blur()
    return released


def check_expressible(kind: str, sizes: Mapping[str, Any]) -> None:
    """Raises a LayoutError if a network of these sizes has no place in the released layout."""
    if kind not in BRANCHES:
        raise LayoutError(f"a released file holds one branch, this one a {kind}")
    part = BRANCHES[kind].part
    branch = sizes.get(part)
    if not isinstance(branch, dict):
        raise LayoutError(f"its sizes lack {part}")
    options = {**branch, "stabilized": sizes.get("stabilized", False)}
    ours = [
        f"{key}={value}" for key, value in options.items() if key not in _SPANNING and value != _NEUTRAL.get(key, False)
    ]
    if ours:
        raise LayoutError(f"the released layout cannot express {', '.join(ours)}, options of this project")


def released_blur() -> Tensor:
    """Returns the fixed blur of the colour branch, (3, 1, 21, 21).

    It is a Gaussian of sigma 12 pixels, cut; its sum is 1.
    """
    taps = gaussian_taps(torch.tensor(12.0, dtype=torch.float64), radius=10)
    return torch.outer(taps, taps).float().repeat(3, 1, 1, 1)
