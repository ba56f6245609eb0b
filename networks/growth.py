"""Starting the training of a denoiser from a smaller one.

The weights of the smaller network are kept, and groups that it lacks begin as the identity.
"""

from torch import nn

from cycleisp.networks.blocks import RRG
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.pretrained import find_weights, load_network
from cycleisp.utils.weights.errors import WeightsError

SETTINGS = ("stabilized", "multiple")  # of a denoiser, which its parameters do not show


def go_on_from(network: Denoiser, name_or_path: str) -> None:
    """Fills a denoiser with weights of one of the same sizes, or (the paper's) of fewer groups.

    Groups that the weights lack come last, and return their input until they are trained. So the
    network begins with exactly the results of the smaller one.

    Args:
        network: freshly built; changed in place.
        name_or_path: as `networks.pretrained.load_network` takes it.

    Raises:
        WeightsError: as `load_network`; or sizes that differ in more than the number of groups, or
            more groups.
    """
    smaller = load_network(name_or_path, type(network))
    known, wanted = smaller.state_dict(), network.state_dict()
    old, new = _count_groups(smaller), _count_groups(network)
    fits = known.keys() <= wanted.keys() and all(wanted[key].shape == value.shape for key, value in known.items())
    fits = fits and all(getattr(smaller, name, None) == getattr(network, name, None) for name in SETTINGS)
    lacking = wanted.keys() - known.keys()
    added = {key for key in wanted if key.startswith(tuple(f"deep.groups.{index}." for index in range(old, new)))}
    if not fits or lacking != added:
        groups = f", and at least its {old} groups" if old else ""
        raise WeightsError(
            f"{find_weights(name_or_path)}: to go on from it, the recipe's network must have its sizes{groups}"
        )
    network.load_state_dict(known, strict=False)
    for group in [module for module in network.modules() if isinstance(module, RRG)][old:]:
        nn.init.zeros_(group.conv.weight)
        assert group.conv.bias is not None
        nn.init.zeros_(group.conv.bias)


def _count_groups(network: nn.Module) -> int:
    """Returns the number of recursive residual groups, which only the paper's networks have."""
    return sum(isinstance(module, RRG) for module in network.modules())
