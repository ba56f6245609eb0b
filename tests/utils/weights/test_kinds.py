"""The table of networks agrees with the classes in networks/, and every entry can be built."""

import inspect
from typing import Any

import pytest
from pydantic import ValidationError

from cycleisp import networks
from cycleisp.networks.pretrained import CLASSES, build
from cycleisp.utils.config import DenoiserNetwork, IspSizes
from cycleisp.utils.config.sizes import DenoiserSizes
from cycleisp.utils.config.values import Section
from cycleisp.utils.weights.kinds import KINDS, PARTS, default_sizes, denoiser_for, denoisers_of, sizes_for

SMALL: dict[str, dict[str, Any]] = {
    part: {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4} for part in PARTS
} | {"gated": {"width": 8, "encoder": [1, 2], "decoder": [1]}}


def test_every_network_has_an_entry() -> None:
    assert set(networks.__all__) == KINDS.keys() == CLASSES.keys()
    assert all(network.__name__ == name for name, network in CLASSES.items())


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.part])
def test_the_defaults_of_the_sizes_are_those_of_the_signature(name: str) -> None:
    kind = KINDS[name]
    signature = {key: argument.default for key, argument in inspect.signature(CLASSES[name]).parameters.items()}
    options = {option: signature.pop(option) for option in kind.options}
    assert kind.sizes().model_dump() == signature
    described = DenoiserNetwork().model_dump()  # the options of a recipe stand beside its parts
    assert options == {option: described[option] for option in kind.options}


@pytest.mark.parametrize("name", KINDS)
def test_every_network_can_be_built(name: str) -> None:
    kind = KINDS[name]
    network = build(name, {part: SMALL[part] for part in kind.parts})
    assert type(network) is CLASSES[name]
    assert [type(branch).__name__ for branch in network.children()][: len(kind.branches)] == list(kind.branches)
    assert bool(kind.part) != bool(kind.branches)


def test_options_reach_the_network() -> None:
    for stabilized in (False, True):
        assert build("RawDenoiser", {**SMALL, "stabilized": stabilized}).stabilized is stabilized  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("name", KINDS)
def test_recipes_have_sizes_for_every_part(name: str) -> None:
    kind = KINDS[name]
    recipe: Section = IspSizes()
    if kind.denoises:
        recipe = DenoiserNetwork.model_validate({kind.part: {}})
        assert denoiser_for(kind.denoises, recipe) == name
    assert sizes_for(name, recipe).keys() - {"stabilized"} == default_sizes(name).keys() == kind.parts.keys()


def test_each_space_has_its_denoisers() -> None:
    assert denoisers_of("raw") == ["RawDenoiser", "RawGatedDenoiser"]
    assert denoisers_of("srgb") == ["SrgbDenoiser", "SrgbGatedDenoiser"]


def test_a_recipe_that_names_no_family_means_the_papers() -> None:
    assert denoiser_for("srgb", DenoiserNetwork()) == "SrgbDenoiser"
    assert sizes_for("SrgbDenoiser", DenoiserNetwork())["denoiser"] == DenoiserSizes().model_dump()


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        ({"denoiser": {}, "gated": {}}, "two families"),
        ({"gated": {"encoder": [1, 1], "decoder": [1, 1]}}, "one level less"),
        ({"gated": {"encoder": [], "decoder": []}}, "at least 1"),
        ({"gated": {"encoder": [1] * 9, "decoder": [1] * 8}}, "at most 8"),
    ],
)
def test_impossible_families_and_levels_are_named(network: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        DenoiserNetwork.model_validate(network)
