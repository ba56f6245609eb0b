"""spandrel, with which chaiNNer and ComfyUI load networks, loads the denoisers of photos."""

import pytest
import torch

from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.pretrained import find_weights, load_denoiser

spandrel = pytest.importorskip("spandrel", reason="spandrel's networks need the extra spandrel")
from cycleisp.spandrel import install  # noqa: E402  # after the check that its package is there


@pytest.mark.parametrize(("name", "tiling"), [("compact_srgb", "DISCOURAGED"), ("fast_srgb", "SUPPORTED")])
def test_spandrel_denoises_as_we_do(name: str, tiling: str) -> None:
    install()
    install()  # a second call changes nothing
    loaded = spandrel.ModelLoader().load_from_file(find_weights(name))
    network, _ = load_denoiser(name, "srgb")
    assert type(loaded.model) is type(network) and loaded.architecture.name == f"CycleISP {type(network).__name__}"
    assert (loaded.purpose, loaded.scale, loaded.input_channels, loaded.tiling.name) == ("Restoration", 1, 3, tiling)
    photo = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(photo), TiledDenoiser(network)(photo).clamp(0, 1))
    odd = loaded(photo[:, :, 1:, 3:])
    assert odd.shape == (1, 3, 39, 53) and bool(odd.isfinite().all())


@pytest.mark.parametrize("name", ["compact_raw", "base_raw", "compact_isp"])
def test_networks_without_a_place_in_spandrel_are_not_taken_for_denoisers_of_photos(name: str) -> None:
    install()
    with pytest.raises(spandrel.UnsupportedModelError):
        spandrel.ModelLoader().load_from_file(find_weights(name))
