"""Starting the training of a denoiser from a smaller one.

The weights of the smaller network are kept, and the parts that it lacks begin as the identity:
groups of the paper's networks, blocks of the gated ones.
"""

from torch import nn

from cycleisp.networks.blocks import RRG
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.gated_denoiser import GatedBlock
from cycleisp.networks.pretrained import find_weights, load_network
from cycleisp.utils.weights.errors import WeightsError

SETTINGS = ("stabilized", "multiple")  # of a denoiser, which its parameters do not show


def go_on_from(network: Denoiser, name_or_path: str) -> None:
    """Fills a denoiser with weights of one of the same sizes, or of fewer groups or gated blocks.

    What the weights lack comes last in its level, and returns its input until it is trained. So the
    network begins with exactly the results of the smaller one.

    Args:
        network: freshly built; changed in place.
        name_or_path: as `networks.pretrained.load_network` takes it.

    Raises:
        WeightsError: as `load_network`; or sizes that differ in more than the number of groups or
            gated blocks, or more of them.
    """
    smaller = load_network(name_or_path, type(network))
    known, wanted = smaller.state_dict(), network.state_dict()
    fits = known.keys() <= wanted.keys() and all(wanted[key].shape == value.shape for key, value in known.items())
    fits = fits and all(getattr(smaller, name, None) == getattr(network, name, None) for name in SETTINGS)
    parts = {name: part for name, part in network.named_modules() if isinstance(part, RRG | GatedBlock)}
    added = [name for name in parts if not any(key.startswith(f"{name}.") for key in known)]
    lacking = wanted.keys() - known.keys()
    if not fits or any(not key.startswith(tuple(f"{name}." for name in added)) for key in lacking):
        groups = sum(isinstance(part, RRG) for part in smaller.modules())
        raise WeightsError(
            f"{find_weights(name_or_path)}: to go on from it, the recipe's network must have its sizes, "
            f"and at least its {f'{groups} groups' if groups else 'blocks in each level'}"
        )
    network.load_state_dict(known, strict=False)
    for name in added:
        part = parts[name]
        if isinstance(part, RRG):  # gated blocks begin as the identity by themselves
            nn.init.zeros_(part.conv.weight)
            assert part.conv.bias is not None
            nn.init.zeros_(part.conv.bias)
